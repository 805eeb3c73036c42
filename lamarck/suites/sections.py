"""What the files of a suite hold, typed: tiers, tasks, student and recipe of suite.yaml, items, corpus. Light."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lamarck.config.founder import HubFounder
from lamarck.config.section import Section
from lamarck.config.tiny import TinyFounder
from lamarck.suites.tasks.base import Domain

# Of our own rules for what an answer is worth. 1: every rung of an engineering task counts alike, whatever the others
# are. 2: a rung counts where all before it hold, and is worth the points that the suite gives it. 3: of the problems
# that a model writes, moreover, only those count that take work, for judges and student: lamarck/eval/work.py.
EACH_RUNG_ALONE, RUNGS_IN_ORDER, WORK_ASKED = "1", "2", "3"
SCORING = WORK_ASKED
OF_A_CHILD = {"inherit", "quantize", "steps", "writing_share", "checkpoint_every"}
# What is judged of an answer, in the order in which each rung builds on the one before: lamarck/eval/ladders.py.
RUNGS = {
    "trace": ("form", "half", "whole"),
    "record": ("parses", "keys", "values"),
    "writing": ("parses", "asked", "right", "new"),
}


class SuiteTask(Section):
    """Held-out problems of one skill at one difficulty."""

    name: str = Field(pattern=r"^[a-z0-9_]+$", description="Names items/NAME.jsonl.")
    domain: Domain
    skill: str
    difficulty: int = Field(ge=0)
    weight: float = Field(1.0, gt=0, description="Share of this task in its tier, relative to the other weights.")
    max_new_tokens: int = Field(ge=1, description="Longest answer, in the model's tokens.")


class HeldOutTask(SuiteTask):
    """Held-out problems that lm-eval asks, and scores by exact match."""

    kind: Literal["held_out"] = "held_out"


class BenchmarkTask(Section):
    """A public benchmark. lm-eval has its data from the hub, asks it, and scores it unless a program must be run."""

    kind: Literal["benchmark"]
    name: str = Field(pattern=r"^[a-z0-9_]+$", description="Names tasks/NAME.yaml, and in it the lm-eval task.")
    domain: Domain
    weight: float = Field(1.0, gt=0, description="As above.")
    items: int = Field(ge=1, description="How many the benchmark has: with another number it is another one.")
    scorer: Literal["lm_eval", "program"] = Field(
        "lm_eval", description="program: the answer's code, then the item's `test`, run in the sandbox."
    )
    metric: str = Field("exact_match", description="Of lm-eval's, where it scores.")
    filter: str = Field("none", description="Name of the lm-eval filter whose answers are scored.")
    max_new_tokens: int = Field(ge=1, description="Longest answer, reasoning included.")


class LadderTask(SuiteTask):
    """Held-out problems that are judged rung by rung: see lamarck.eval.ladders."""

    kind: Literal["trace", "record"]


class WritingTask(SuiteTask):
    """Problems that the model writes itself, sampled and seeded, judged as curriculum items are."""

    kind: Literal["writing"]
    samples: int = Field(ge=1, description="How many problems it writes.")


class SanityTier(Section):
    weight: float = Field(gt=0)
    tasks: tuple[Annotated[HeldOutTask | BenchmarkTask, Field(discriminator="kind")], ...] = Field(min_length=1)


class EngineeringTier(Section):
    weight: float = Field(gt=0)
    points: dict[str, dict[str, Annotated[float, Field(ge=0)]]] = Field(
        {}, description="Kind of task -> rung, in their order -> what it is worth where all before it hold."
    )
    answer_tokens: int = Field(8192, ge=1, description="Longest answer, reasoning included, to a task that is a file.")
    tasks: tuple[Annotated[LadderTask | WritingTask, Field(discriminator="kind")], ...] = ()


class StudentRecipe(Section):
    """How the student is trained: a fresh adapter, AdamW, and as many steps as the tier's epochs take.

    A class of its own, because what is added to the recipe of children must not change a ruler.
    """

    rank: int = Field(16, ge=1, description="LoRA rank r.")
    alpha: int = Field(32, ge=1, description="LoRA alpha: the update is scaled by alpha / r.")
    dropout: float = Field(0.0, ge=0, lt=1, description="LoRA dropout.")
    target_modules: tuple[str, ...] | Literal["all-linear"] = Field(
        "all-linear", description="Names of the layers that get an adapter, or all-linear."
    )
    dtype: Literal["float32", "bfloat16"] = Field("float32", description="Compute type of the frozen student.")
    batch_size: int = Field(64, ge=1, description="Examples per optimizer step.")
    max_tokens: int = Field(512, ge=8, description="Longest example, in tokens; a longer one is cut at the end.")
    learning_rate: float = Field(3e-3, gt=0)
    warmup_steps: int = Field(10, ge=0, description="Linear warm-up.")
    decay_share: float = Field(
        1.0, ge=0, le=1, description="Share of the steps, at the end, over which the rate decays."
    )
    weight_decay: float = Field(0.0, ge=0)
    beta2: float = Field(0.98, gt=0, lt=1, description="AdamW's second-moment decay; the first is 0.9.")
    max_grad_norm: float = Field(1.0, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _without_a_childs(cls, values: object) -> object:
        """Suites frozen earlier say here what only the recipe of a child decides, and never decided anything."""
        return (
            {key: value for key, value in values.items() if key not in OF_A_CHILD}
            if isinstance(values, dict)
            else values
        )


class ShippedStudent(Section):
    """A student that lies in the suite: whoever evaluates has the same, to the bit, whatever the processor."""

    kind: Literal["shipped"]
    weights: str = Field(pattern=r"^[0-9a-f]{64}$", description="Digest of the files in student/.")
    world: TinyFounder = Field(description="What it was pretrained as, with `student_seed`.")


class TeachingTier(Section):
    """The model writes a curriculum for a fixed student, who is trained on it by a fixed recipe and examined."""

    weight: float = Field(gt=0)
    student: Annotated[TinyFounder | HubFounder | ShippedStudent, Field(discriminator="kind")]
    student_seed: int
    skill: str
    writes: tuple[int, ...] = Field(min_length=1, description="The difficulties that the model is asked to write.")
    samples: int = Field(ge=1, description="How many problems it writes of each.")
    writing_tokens: int = Field(ge=1, description="Longest problem with its answer, in the model's tokens.")
    temperature: float = Field(1.0, gt=0, description="Of the model's sampling.")
    epochs: int = Field(ge=1, description="Passes over what it wrote; they decide the steps, whatever the recipe says.")
    recipe: StudentRecipe
    tasks: tuple[SuiteTask, ...] = Field(min_length=1, description="What the student is asked in the end.")


class Tiers(Section):
    sanity: SanityTier
    engineering: EngineeringTier
    teaching: TeachingTier


class SuiteFile(Section):
    """What suite.yaml holds."""

    name: str
    scorers: dict[str, str] = Field(description="Package -> version that scores: with another, scores may differ.")
    tiers: Tiers
    corpus: str | None = Field(None, description="Held-out lines for bits per byte, relative to the suite.")
    exam: bool = Field(
        False, description="For what another suite has selected: no lineage may name it as its own suite."
    )

    @model_validator(mode="after")
    def _points(self) -> "SuiteFile":
        if (self.scorers.get("lamarck") == EACH_RUNG_ALONE) == bool(self.tiers.engineering.points):
            raise ValueError(
                f"tiers.engineering.points: lamarck {EACH_RUNG_ALONE} has none, and every later one needs them"
            )
        return self


class ProblemItem(Section):
    prompt: str = Field(min_length=1)
    target: str = Field(min_length=1)


class CorpusLine(Section):
    text: str = Field(min_length=1)
