"""The configuration, typed: unknown keys are refused with the nearest valid name. Light: no torch here."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, get_args

from pydantic import Field, model_validator

from lamarck import strict_yaml
from lamarck.config.engine import EngineConfig, HFEngineConfig
from lamarck.config.founder import Founder, with_recipe
from lamarck.config.optimizer import AdamWSettings, OptimizerSettings
from lamarck.config.section import Section, check_section

V = TypeVar("V")


ADAMW = AdamWSettings()
Form = Literal["adapter", "delta", "weights"]
FORMS: tuple[Form, ...] = get_args(Form)


class Recipe(Section):
    """How a child is trained on its curriculum. LoRA: Hu et al. 2021, arXiv:2106.09685; QLoRA: arXiv:2305.14314."""

    circumstance: ClassVar[frozenset[str]] = frozenset({"checkpoint_every", "checkpoint_minutes", "copy_to"})

    # Shown only where it is another than the default: plans and records from before it was a setting stay as they are.
    form: Form = Field(
        "adapter",
        exclude_if=lambda value: value == "adapter",
        description="adapter: LoRA on the founder's frozen weights. delta: all weights are trained, and the child is "
        "their lossless difference to the founder's. weights: the same, and the child is a whole model directory.",
    )
    inherit: Literal["continue", "stack", "fresh"] = Field(
        "continue",
        description="continue: go on training the parent's adapter, or its weights. stack: a fresh adapter on the "
        "frozen parent, exported as one adapter of summed rank. fresh: retrain from g0 on this curriculum.",
    )
    rank: int = Field(16, ge=1, description="LoRA rank r.")
    alpha: int = Field(32, ge=1, description="LoRA alpha: the update is scaled by alpha / r.")
    dropout: float = Field(0.0, ge=0, lt=1, description="LoRA dropout.")
    target_modules: tuple[str, ...] | Literal["all-linear"] = Field(
        "all-linear", description="Names of the layers that get an adapter, or all-linear."
    )
    quantize: Literal["none", "nf4"] = Field(
        "none", description="nf4: the base in 4 bits, double quantisation (QLoRA)."
    )
    dtype: Literal["float32", "bfloat16"] = Field("float32", description="Compute type of the frozen base.")
    steps: int | None = Field(
        300, ge=1, description="Optimizer steps: steps, not seconds, decide the end. null, or left out: `epochs` do."
    )
    # Shown as `form` is.
    epochs: float | None = Field(
        None,
        gt=0,
        exclude_if=lambda value: value is None,
        description="Instead of steps: passes over the curriculum, so that they grow with its items. What the plan "
        "counts is what is trained, in the control arm too.",
    )
    batch_size: int = Field(64, ge=1, description="Examples per optimizer step.")
    max_tokens: int = Field(512, ge=8, description="Longest example, in tokens; a longer one is cut at the end.")
    reasoning: Literal["left out", "learned"] = Field(
        "left out",
        description="Of items whose teacher showed how it came to the answer: learned puts that before the answer, in "
        "<think> tags, as reasoning models write it.",
    )
    # Shown as `form` is, and so is the optimizer.
    loss: Literal["plain", "context-frozen"] = Field(
        "plain",
        exclude_if=lambda value: value == "plain",
        description="Of the answer's tokens. context-frozen: keys and values of the prompt are constants, so that how "
        "a prompt is read is not trained, only what is made of it.",
    )
    trained: Literal["all", "queries"] = Field(
        "all",
        exclude_if=lambda value: value == "all",
        description="Of a delta or whole weights. queries: the query projections alone, so that what is looked for "
        "changes, and nothing that is found there. (Of an adapter, `target_modules: [q_proj]` says the same.)",
    )
    optimizer: OptimizerSettings = Field(
        ADAMW, exclude_if=lambda value: value == ADAMW, description="AdamW, APOLLO or APOLLO-Mini: docs/optimizers.md."
    )
    learning_rate: float = Field(3e-3, gt=0)
    warmup_steps: int = Field(10, ge=0, description="Linear warm-up.")
    decay_share: float = Field(
        1.0, ge=0, le=1, description="Share of the steps, at the end, over which the rate decays."
    )
    weight_decay: float = Field(0.0, ge=0)
    beta2: float = Field(0.98, gt=0, lt=1, description="Decay of the second moment.")
    max_grad_norm: float = Field(1.0, gt=0)
    checkpoint_every: int = Field(100, ge=1, description="Steps between checkpoints: what a killed run can lose.")
    checkpoint_minutes: float = Field(10, gt=0, description="Minutes between checkpoints, where steps are slow.")
    copy_to: str | None = Field(
        None,
        min_length=1,
        description="A second place for every checkpoint, for a machine that dies: a directory, or HOST:DIRECTORY as "
        "rsync reaches it through ssh. `lamarck resume` takes such a copy in.",
    )

    @model_validator(mode="before")
    @classmethod
    def _epochs_stand_for_steps(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("epochs") is not None and "steps" not in values:
            return values | {"steps": None}
        return values

    @model_validator(mode="after")
    def _steps_or_epochs(self) -> "Recipe":
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("`steps` or `epochs` decide the end: set one of them, and the other to null")
        return self

    def steps_over(self, items: int) -> int:
        """Optimizer steps over so many items: those of the recipe, or as many whole batches as its epochs take."""
        if self.epochs is None:
            assert self.steps is not None
            return self.steps
        return math.ceil(self.epochs * items / self.batch_size)

    def taking(self, steps: int) -> "Recipe":
        """The same recipe with its steps counted."""
        return self.model_copy(update={"steps": steps, "epochs": None})

    @model_validator(mode="after")
    def _whole_weights_have_no_lora(self) -> "Recipe":
        alone: dict[str, bool] = {
            "inherit: stack": self.inherit == "stack",
            "quantize: nf4": self.quantize == "nf4",
            "dropout": self.dropout > 0,
        }
        if self.form == "adapter" and self.trained == "queries":
            raise ValueError("`trained: queries` is for `form: delta` or `weights`: name target_modules: [q_proj]")
        for setting, wrong in alone.items():
            if self.form != "adapter" and wrong:
                raise ValueError(f"`{setting}` is LoRA's, and `form: {self.form}` trains the weights: leave it out")
        return self


class Budget(Section):
    """The compute ceilings, in device-seconds and in dollars. gN may never have more than g(N-1)."""

    device_seconds: float = Field(
        gt=0, description="Of training: the ceiling of every generation that `overrides` does not name."
    )
    overrides: dict[int, float] = Field(
        {}, description="Generation -> its own ceiling; lower ones hold for all that follow."
    )
    dollars: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="What the run that trains a generation may cost where it is rented: the pod ends there.",
    )
    writing_seconds: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Device-seconds of writing one curriculum."
    )
    evaluating_seconds: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Device-seconds of one evaluation, or of one exam."
    )

    def of(self, generation: int) -> float:
        """The ceiling of gN: that of the nearest override at or before N, else `device_seconds`."""
        return _latest(self.overrides, generation, self.device_seconds)

    def ceilings(self, generation: int) -> tuple[float | None, ...]:
        """Of gN: device-seconds of training, dollars, and, where there are any, those of writing and of evaluating."""
        stages = (self.writing_seconds, self.evaluating_seconds)
        return self.of(generation), self.dollars, *(stages if any(stages) else ())


HERE = "here"  # Not a kind of GPU: the machine that the command runs on.


class StageMachine(Section):
    """Where a step runs: what its memory, hours and dollars are estimated for."""

    gpu: str = Field(HERE, description="A kind in config/machines.yaml; here: this machine, without a GPU.")
    count: int = Field(1, ge=1, description="GPUs of it; in training also processes, and here those of the CPU.")
    tokens_per_second: float | None = Field(
        None, gt=0, description="Of all of them, as measured; assumed from config/machines.yaml when left out."
    )
    dollars_per_hour: float | None = Field(
        None, gt=0, description="Of one GPU; that of config/machines.yaml when left out."
    )

    @property
    def place(self) -> tuple[str, int]:
        """What is rented, or used: kind and number. Prices and speeds may be known better by tomorrow."""
        return self.gpu, self.count


THIS_MACHINE = StageMachine()


class Machines(Section):
    curriculum: StageMachine = THIS_MACHINE
    train: StageMachine = THIS_MACHINE
    eval: StageMachine = THIS_MACHINE


REPO = r"^[\w.-]+/[\w.-]+$"  # of a model on the hub


class Publishing(Section):
    """Where every generation goes right after its training, and again with its scores."""

    repo: str = Field(pattern=REPO, description="owner/name on the Hugging Face hub.")
    public: bool = Field(False, description="false: only whom the owner lets in can see it.")


class Config(Section):
    generations: int = Field(ge=1, description="How far this lineage is meant to go. Any number: there is no cap.")
    seed: int = Field(0, ge=0, description="Everything random descends from this number.")
    control: bool = Field(True, description="Also raise a control arm on unverified items, with the same budget.")
    founder: Founder
    strategy: str = Field(description="Path of the strategy: what the teacher is asked and what is kept.")
    strategies: dict[int, str] = Field(
        {}, description="Generation -> the strategy of its curriculum and of those that follow, where another is meant."
    )
    suite: str = Field(description="Directory of the frozen evaluation suite.")
    exams: tuple[str, ...] = Field(
        (),
        description="Directories of exam suites, for the founder, the last generation and its control arm: nothing is "
        "chosen by what comes out.",
    )
    recipe: Recipe
    budget: Budget
    engine: EngineConfig = HFEngineConfig()
    machines: Machines = Machines()
    publish: Publishing | None = Field(None, description="Off when left out.")
    metrics: Literal["none", "tensorboard"] = Field(
        "none", description="Where a training shows itself while it lasts; tensorboard: under logs/tensorboard/."
    )

    @model_validator(mode="after")
    def _each_process_has_as_many_examples(self) -> "Config":
        size, count = self.recipe.batch_size, self.machines.train.count
        if size % count:
            raise ValueError(
                f"recipe.batch_size is {size}, which {count} GPUs (machines.train.count) cannot share evenly: "
                f"make it a multiple of {count}"
            )
        return self

    @model_validator(mode="after")
    def _exams_choose_nothing(self) -> "Config":
        names = [Path(each).name for each in (self.suite, *self.exams)]
        if len(set(names)) < len(names):
            raise ValueError("an exam is another suite than the one that selects, and is named once: see `exams`")
        return self

    def strategy_of(self, generation: int) -> Path:
        """The strategy of the curriculum that gN is trained on: the nearest of `strategies` at or before N."""
        return Path(_latest(self.strategies, generation, self.strategy))


def _latest(overrides: Mapping[int, V], generation: int, otherwise: V) -> V:
    """The override of the nearest generation at or before this one."""
    earlier = [number for number in overrides if number <= generation]
    return overrides[max(earlier)] if earlier else otherwise


def load_config(path: Path) -> Config:
    """Read and check a configuration file. Errors: LamarckError with one sentence that names the key.

    `founder: {kind: tiny, recipe: FILE}` takes the keys of FILE, a YAML file such as a ratchet improves; those that
    stand beside `recipe` go before them. They are the founder's own from there on, by value, like any others."""
    values = strict_yaml.load(path)
    founder = values.get("founder") if isinstance(values, dict) else None
    if isinstance(founder, dict) and founder.get("kind") == "tiny" and "recipe" in founder:
        values = {**values, "founder": with_recipe(founder, str(path))}
    return check_section(values, Config, str(path))
