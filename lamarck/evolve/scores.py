"""What a trained candidate is worth, as it was measured. Light."""

from pydantic import BaseModel, ConfigDict, FiniteFloat


class GenomeScores(BaseModel):
    """`blocks`: bits per byte of each held-out block. `memory`: bytes of its weights and of the cache of one whole row.
    `instability`: the largest gradient norm. None: not asked for, or never reached."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    blocks: tuple[FiniteFloat, ...]
    passkey: FiniteFloat | None = None
    recall: FiniteFloat | None = None
    memory: int
    parameters: int
    tokens_to_target: int | None = None
    instability: FiniteFloat

    @property
    def bits_per_byte(self) -> float:
        return sum(self.blocks) / len(self.blocks)
