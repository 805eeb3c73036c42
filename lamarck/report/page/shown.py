"""What every part of the page's data is: typed, frozen, and readable by the page's script as JSON. Light."""

from pydantic import BaseModel, ConfigDict


class Shown(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
