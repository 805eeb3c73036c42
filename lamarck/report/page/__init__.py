"""The page of a lineage: what is shown is gathered from the records, then drawn. Light."""

from pydantic import BaseModel, ConfigDict


class Shown(BaseModel):
    """What every part of the page's data is: typed, frozen, and readable by the page's script as JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True)
