"""The tiny world: which skills the embedded founder is raised on, and how. Light: typed settings only."""

from typing import Literal

from pydantic import Field

from lamarck.config.section import Section


class SkillShare(Section):
    """How much of the founder's corpus a skill is, and how its difficulties share that part."""

    share: float = Field(gt=0, description="Relative to the other skills' shares.")
    weights: tuple[float, ...] = Field(min_length=1, description="Relative weight of difficulty 1, 2, 3, ...")
    target_loss: float = Field(
        0.0,
        ge=0,
        description="Nats per answer word, smoothed, at which the skill is half learned. Skills are learned late and "
        "suddenly, each at another step on every seed: one that is below its target is rarely drawn, until the others "
        "are below theirs. 0: never; the founder's steps decide alone.",
    )


class TinyFounder(Section):
    """A small Llama pretrained here on a seeded procedural corpus: a fresh clone needs no model hub."""

    kind: Literal["tiny"]
    skills: dict[str, SkillShare] = Field(min_length=1, description="Skill -> its part of the corpus.")
    hidden_size: int = Field(64, ge=32)
    layers: int = Field(2, ge=1)
    heads: int = Field(4, ge=1)
    head_size: int = Field(32, ge=32, description="vLLM's CPU build serves none below 32.")
    intermediate_size: int = Field(128, ge=1)
    context: int = Field(128, ge=16, description="Longest text, in tokens.")
    steps: int = Field(3000, ge=1, description="Most optimizer steps of pretraining, the final decay included.")
    decay_steps: int = Field(
        200, ge=0, description="Steps over which the rate falls to nothing, once every skill has reached its target."
    )
    batch_size: int = Field(64, ge=1, description="Lines per step.")
    learning_rate: float = Field(6e-3, gt=0)
    warmup_steps: int = Field(100, ge=0)
    weight_decay: float = Field(0.05, ge=0)
    prompt_weight: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Weight of a problem's words in the loss, an answer's being 1: problems are random, so most of "
        "their loss can not be learned, but a teacher must be able to write them.",
    )
