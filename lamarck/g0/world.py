"""The tiny world: which skills the embedded founder is raised on, and how. Light: typed settings only."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class SkillShare(BaseModel):
    """How much of the founder's corpus a skill is, and how its difficulties share that part."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    share: float = Field(gt=0, description="Relative to the other skills' shares.")
    weights: tuple[float, ...] = Field(min_length=1, description="Relative weight of difficulty 1, 2, 3, ...")


class TinyFounder(BaseModel):
    """A small Llama pretrained here on a seeded procedural corpus: a fresh clone needs no model hub."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["tiny"]
    skills: dict[str, SkillShare] = Field(min_length=1, description="Skill -> its part of the corpus.")
    hidden_size: int = Field(64, ge=32)
    layers: int = Field(2, ge=1)
    heads: int = Field(
        2, ge=1, description="hidden_size / heads is the head dimension; vLLM's CPU build wants 32 or more."
    )
    intermediate_size: int = Field(128, ge=1)
    context: int = Field(128, ge=16, description="Longest text, in tokens.")
    steps: int = Field(1500, ge=1, description="Optimizer steps of pretraining.")
    batch_size: int = Field(64, ge=1, description="Lines per step.")
    learning_rate: float = Field(6e-3, gt=0)
    warmup_steps: int = Field(100, ge=0)
    decay_share: float = Field(
        0.3, ge=0, le=1, description="Share of the steps, at the end, over which the rate decays."
    )
    weight_decay: float = Field(0.05, ge=0)
    prompt_weight: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Weight of a problem's words in the loss, an answer's being 1: problems are random, so most of "
        "their loss can not be learned, but a teacher must be able to write them.",
    )
