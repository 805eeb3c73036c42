"""How two parents become one child. Light: typed settings only."""

from pydantic import Field

from lamarck.config.section import Section

CONCATENATE = "concatenate"


class Crossing(Section):
    """Of the adapters of two generations of one founder; a lineage's description holds it (results/ID/lineage.yaml)."""

    method: str = Field(
        CONCATENATE,
        description="concatenate: the weighted sum of both, exactly, in an adapter of summed rank. Else a merge method "
        "on differences to a base, such as ties or della: on what each adapter adds to a weight, then the nearest "
        "adapter of `rank`.",
    )
    weights: tuple[float, float] = Field((1.0, 1.0), description="Of the first parent and of the second.")
    rank: int | None = Field(None, ge=1, description="Of the child; the sum of the parents' where left out.")
    parameters: dict[str, bool | float] = Field({}, description="Of the method, such as density, for both alike.")


# What a cross is measured against: the plain average of both, exactly.
AVERAGE = Crossing(weights=(0.5, 0.5))
