"""Which optimizer trains a child, and how. Light: typed settings only."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from lamarck.config.section import Section

# Which weights a setting speaks of. scalars: everything that is not a matrix (norms, biases).
GroupName = Literal["embedding", "head", "matrices", "scalars"]


class Group(Section):
    """What one group of weights has of its own."""

    rate: float = Field(1.0, gt=0, description="Times the recipe's learning rate.")
    weight_decay: float | None = Field(None, ge=0, description="The recipe's when left out.")


class Groups(Section):
    """The groups; an embedding that is also the head counts as embedding."""

    embedding: Group = Group()
    head: Group = Group()
    matrices: Group = Group()
    scalars: Group = Group(weight_decay=0.0)

    def of(self, name: GroupName) -> Group:
        group: Group = getattr(self, name)
        return group


class _AnyOptimizer(Section):
    beta1: float = Field(0.9, ge=0, lt=1, description="Decay of the first moment.")
    eps: float = Field(1e-8, gt=0)
    sixteen_bit: Literal["masters", "stochastic", "nearest"] = Field(
        "masters",
        description="Weights in bfloat16. masters: a float32 copy of each is kept and updated. stochastic: no copy; "
        "the updated weight is rounded up or down at random, right in expectation. nearest: no copy; an update below "
        "half a step of bfloat16 (1/512 to 1/256 of the weight) is lost. Weights in float32: no difference.",
    )
    groups: Groups = Groups()


class AdamWSettings(_AnyOptimizer):
    """AdamW: Loshchilov and Hutter 2019, arXiv:1711.05101."""

    kind: Literal["adamw"] = "adamw"

    def projected_rank(self, group: GroupName, shape: tuple[int, ...]) -> int | None:
        """AdamW projects nothing."""
        return None


class _Projecting(_AnyOptimizer):
    projected: tuple[GroupName, ...] = Field(
        ("matrices",), description="Groups whose matrices have low-rank moments; the others are trained by AdamW."
    )
    renew_every: int = Field(200, ge=1, description="Steps after which the projection is drawn anew.")
    growth_limit: float | None = Field(
        1.01, gt=1, description="The norm of a matrix's update grows by this factor a step at most; null: no limit."
    )

    def _rank(self, rank: int, group: GroupName, shape: tuple[int, ...]) -> int | None:
        return min(rank, *shape) if len(shape) == 2 and group in self.projected else None


class ApolloSettings(_Projecting):
    """APOLLO: Zhu et al. 2024, arXiv:2412.05270, algorithm 1."""

    kind: Literal["apollo"]
    rank: int = Field(256, ge=1, description="Rank of the projection; the shorter side of a matrix below that.")
    scaling: Literal["channel", "tensor"] = Field(
        "channel", description="channel: one factor for each line along the longer side. tensor: one for a matrix."
    )
    gradient_scale: Annotated[float, Field(gt=0)] | Literal["sqrt(m/r)"] = Field(
        1.0,
        description="Alpha. A number: 1 leaves it to the learning rate, as the paper does. sqrt(m/r), for a shorter "
        "side m and rank r: makes up for what the projection takes from the factors, matrix by matrix.",
    )

    def projected_rank(self, group: GroupName, shape: tuple[int, ...]) -> int | None:
        """The rank of a weight's moments, or None where it is trained by AdamW."""
        return self._rank(self.rank, group, shape)


class ApolloMiniSettings(_Projecting):
    """APOLLO-Mini: rank 1 and one factor for a matrix (arXiv:2412.05270, section 4.3)."""

    kind: Literal["apollo-mini"]
    gradient_scale: Annotated[float, Field(gt=0)] | Literal["sqrt(m/r)"] = Field(
        128**0.5, description="As APOLLO's; the paper's is the root of 128."
    )
    rank: ClassVar[int] = 1
    scaling: ClassVar[Literal["tensor"]] = "tensor"

    def projected_rank(self, group: GroupName, shape: tuple[int, ...]) -> int | None:
        """The rank of a weight's moments, or None where it is trained by AdamW."""
        return self._rank(self.rank, group, shape)


OptimizerSettings = Annotated[AdamWSettings | ApolloSettings | ApolloMiniSettings, Field(discriminator="kind")]
