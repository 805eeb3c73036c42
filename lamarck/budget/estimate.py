"""A step on a machine: does it fit, how long may it take, what may it cost, and what would fit where it does not."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from lamarck.budget.machine import (
    CATALOGUE,
    Catalogue,
    Speed,
    dollars_per_hour,
    load_catalogue,
    training_speed,
    writing_speed,
)
from lamarck.budget.memory import GIB, ROOM, Memory, loading_memory, recomputed_layers, training_memory
from lamarck.budget.shape import Shape
from lamarck.budget.work import (
    TokenWork,
    curriculum_work,
    evaluation_work,
    most_items,
    rows_at_once,
    training_work,
)
from lamarck.budget.writer import GPUS, Writer, writes_on
from lamarck.config import Config, Recipe, StageMachine
from lamarck.config.strategy import load_strategy
from lamarck.errors import LamarckError

Step = Literal["curriculum", "train", "eval"]


@dataclass(frozen=True)
class Estimate:
    """One step of one generation, both arms where there is a control arm; memory is on each GPU."""

    generation: int
    step: Step
    machine: StageMachine
    memory: Memory
    tokens: int
    speed: Speed
    hours: float
    dollars: float

    @property
    def device_hours(self) -> float:
        return self.hours * self.machine.count


def estimate_generation(config: Config, number: int, shape: Shape) -> tuple[Estimate, Estimate, Estimate]:
    """gN's curriculum, training and evaluation, each at most.

    Errors: LamarckError for a step that does not fit its machine, with what would.
    """
    catalogue = load_catalogue()
    machines = config.machines
    steps = config.recipe.steps_over(most_items(config, number))
    asked = curriculum_work(load_strategy(config.strategy_of(number)))
    return (
        _writing(config, catalogue, number, "curriculum", machines.curriculum, shape, asked),
        estimate_training(config, catalogue, number, shape, training_work(config.recipe, steps).tokens),
        _writing(config, catalogue, number, "eval", machines.eval, shape, evaluation_work(config)),
    )


def estimate_training(config: Config, catalogue: Catalogue, number: int, shape: Shape, tokens: int) -> Estimate:
    """`tokens` of one arm. The approved ceiling ends a run that would take longer. Errors: as above."""
    machine = config.machines.train
    memory, recomputed = _training_memory(catalogue, shape, config.recipe, machine)
    if not _fits(catalogue, machine, memory):
        others = _trains_on(catalogue, shape, config.recipe, machine)
        raise LamarckError(_refusal("train", catalogue, machine, memory, others))
    speed = training_speed(catalogue, machine, shape, config.recipe, recomputed)
    seconds = min(tokens / speed.tokens_per_second, config.budget.of(number) / machine.count)
    return _priced(config, catalogue, number, "train", machine, memory, tokens, speed, seconds)


def _writing(
    config: Config, catalogue: Catalogue, number: int, step: Step, machine: StageMachine, shape: Shape, work: TokenWork
) -> Estimate:
    engine = config.engine
    if engine.kind == "server":
        # What a server holds, on how many GPUs, is its own affair: only its hours are estimated.
        memory = Memory(weights=0, trained=0)
        speed = writing_speed(catalogue, machine, shape, "bfloat16", engine.concurrency, work.longest)
    else:
        if engine.kind == "hf":
            if machine.count > 1:
                raise LamarckError(
                    f"machines.{step}.count is {machine.count}, but the engine hf uses one GPU: the others would idle"
                )
        elif machine.count != engine.tensor_parallel:
            raise LamarckError(
                f"machines.{step}.count is {machine.count}, but engine.tensor_parallel splits the model over "
                f"{engine.tensor_parallel}: make them equal"
            )
        rank = config.recipe.rank if config.recipe.form == "adapter" else 0
        writer = Writer(engine, shape, rank, work.longest)
        rows, memory = writer.batch(catalogue.gpu(machine.gpu))
        if not _fits(catalogue, machine, memory):
            others = writes_on(catalogue, writer, machine.gpu)
            raise LamarckError(_refusal(step, catalogue, machine, memory, others))
        speed = writing_speed(catalogue, machine, shape, writer.format, rows, work.longest)
    ceiling = config.budget.writing_seconds if step == "curriculum" else config.budget.evaluating_seconds
    most = float("inf") if ceiling is None else ceiling / machine.count
    seconds = min(work.tokens / speed.tokens_per_second, most)
    return _priced(config, catalogue, number, step, machine, memory, work.tokens, speed, seconds)


def _priced(
    config: Config,
    catalogue: Catalogue,
    number: int,
    step: Step,
    machine: StageMachine,
    memory: Memory,
    tokens: int,
    speed: Speed,
    seconds: float,
) -> Estimate:
    arms = 2 if config.control else 1
    hours = arms * seconds / 3600
    dollars = hours * dollars_per_hour(catalogue, machine)
    return Estimate(number, step, machine, memory, arms * tokens, speed, hours, dollars)


def _training_memory(catalogue: Catalogue, shape: Shape, recipe: Recipe, machine: StageMachine) -> tuple[Memory, int]:
    """The fuller of loading and training, and the layers that are computed again: on a GPU as many as it asks for."""
    gpu = catalogue.gpu(machine.gpu)
    rows = rows_at_once(recipe.batch_size // machine.count)
    recomputed = recomputed_layers(shape, recipe, rows, machine.count, ROOM * gpu.memory) if gpu else 0
    training = training_memory(shape, recipe, rows, recomputed, machine.count)
    memory = max(loading_memory(shape, recipe), training, key=lambda each: each.total)
    return memory.with_reserve() if gpu else memory, recomputed


def _fits(catalogue: Catalogue, machine: StageMachine, memory: Memory) -> bool:
    """Of this machine nothing is known, so nothing is refused."""
    gpu = catalogue.gpu(machine.gpu)
    return gpu is None or memory.total <= gpu.memory


def _refusal(step: Step, catalogue: Catalogue, machine: StageMachine, memory: Memory, others: Iterator[str]) -> str:
    advice = "; ".join(others)
    return (
        f"{step} does not fit: it needs {memory.total / GIB:.0f} GiB, {memory.weights / GIB:.0f} of them for weights, "
        f"and one {machine.gpu} has {catalogue.gpus[machine.gpu].gib:.0f}; "
        + (f"what would: {advice}" if advice else f"nothing in {CATALOGUE} would: write or train less at once")
    )


def _trains_on(catalogue: Catalogue, shape: Shape, recipe: Recipe, machine: StageMachine) -> Iterator[str]:
    """The least change of the recipe that fits on the machine asked for; for the recipe as it is the fewest more GPUs
    of its kind, and the cheapest kind."""

    def fits(recipe: Recipe, machine: StageMachine) -> bool:
        return _fits(catalogue, machine, _training_memory(catalogue, shape, recipe, machine)[0])

    count, kind = machine.count, machine.gpu
    sizes = range(recipe.batch_size - count, 0, -count)  # each GPU has as many examples
    smaller: list[dict[str, Any]] = [{"batch_size": size} for size in sizes]
    quantised = [{"quantize": "nf4"}, *({"quantize": "nf4"} | each for each in smaller)]
    may_be = recipe.quantize == "none" and recipe.form == "adapter"
    for change in (*smaller, *(quantised if may_be else [])):
        if fits(recipe.model_copy(update=change), machine):
            yield f"{' and '.join(f'recipe.{key}: {value}' for key, value in change.items())} on {_of(count, kind)}"
            break
    for more in GPUS:
        if more > count and recipe.batch_size % more == 0 and fits(recipe, StageMachine(gpu=kind, count=more)):
            yield f"as it is on {_of(more, kind)}"
            break
    fitting = [kind for kind in catalogue.gpus if fits(recipe, StageMachine(gpu=kind, count=count))]
    if fitting:
        yield f"as it is on {_of(count, min(fitting, key=lambda kind: catalogue.gpus[kind].dollars))}"


def _of(count: int, kind: str) -> str:
    return f"one {kind}" if count == 1 else f"{count} x {kind}"


def duration(hours: float) -> str:
    """For people: 12 s, 7 min, 2.1 h."""
    seconds = 3600 * hours
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{hours:.1f} h" if hours < 100 else f"{hours:.0f} h"
