"""What a run will cost, for its plan: counted from its items and its model, estimated from config/machines.yaml."""

from collections.abc import Sequence
from pathlib import Path

from lamarck.budget.estimate import estimate_training
from lamarck.budget.machine import dollars_per_device_hour, load_catalogue
from lamarck.budget.memory import GIB
from lamarck.budget.optimizer_state import optimizer_state, trained_weights_of
from lamarck.budget.shape import find_shape
from lamarck.budget.work import training_work
from lamarck.config import ADAMW, HERE, Config, Recipe, StageMachine
from lamarck.curriculum.item import Item
from lamarck.gate.plan import Optimizer, PlannedCost, PlannedMachine, PlannedStep, PlannedThen
from lamarck.lineage.generation import Generation
from lamarck.models.parameters import count_parameters

TOKENS_PER_WORD = 1.5  # of subwords, in text with code: for hours and dollars, which are estimates anyway. Assumed.


def planned_cost(config: Config, generation: Generation, weights: Path, items: Sequence[Item]) -> PlannedCost:
    """Errors: LamarckError where the run does not fit the GPU that the configuration names."""
    lengths = [len(f"{item.context} {item.prompt} {item.completion}".split()) for item in items]
    words = sum(lengths) / len(lengths)
    steps = config.recipe.steps_over(len(items))
    examples = steps * config.recipe.batch_size
    parameters = count_parameters(weights)
    return PlannedCost(
        steps=steps,
        examples=examples,
        longest_words=max(lengths),
        parameters=parameters,
        flops=_rounded(6 * parameters * words * examples),
        machine=_machine(config, generation, weights, words * TOKENS_PER_WORD * examples, steps),
        optimizer=_optimizer(config.recipe, weights),
        then=_then(config, generation),
    )


def _then(config: Config, generation: Generation) -> PlannedThen | None:
    """From ceilings and prices alone: how long a text will be decides no plan. None where nothing of it is rented."""
    catalogue, budget = load_catalogue(), config.budget
    arms = 2 if config.control and generation.number else 1

    def following(machine: StageMachine, most: float | None) -> PlannedStep:
        price = dollars_per_device_hour(catalogue, machine)
        dollars = None if most is None else _rounded(arms * most / 3600 * price)
        return PlannedStep(gpu=machine.gpu, count=machine.count, dollars=dollars)

    evaluating = following(config.machines.eval, budget.evaluating_seconds)
    writing = following(config.machines.curriculum, budget.writing_seconds)
    return None if evaluating.gpu == writing.gpu == HERE else PlannedThen(evaluating=evaluating, writing=writing)


def _optimizer(recipe: Recipe, weights: Path) -> Optimizer | None:
    if recipe.form == "adapter" and recipe.optimizer == ADAMW:
        return None
    kind, shape = recipe.optimizer.kind, find_shape(weights)
    if shape is None:
        return Optimizer(kind=kind, state_bytes=None, clipped=0)
    state = optimizer_state(trained_weights_of(shape, recipe), recipe.optimizer)
    return Optimizer(kind=kind, state_bytes=state.total, clipped=len(state.clipped))


def _machine(config: Config, generation: Generation, weights: Path, tokens: float, steps: int) -> PlannedMachine:
    """Errors: LamarckError where the run does not fit the GPU that the configuration names."""
    chosen = config.machines.train
    shape = find_shape(weights)
    if shape is None:
        return PlannedMachine(gpu=chosen.gpu, count=chosen.count, memory_gib=None, device_hours=None, dollars=None)
    most = training_work(config.recipe, steps).tokens
    estimate = estimate_training(config, load_catalogue(), generation.number, shape, min(round(tokens), most))
    return PlannedMachine(
        gpu=chosen.gpu,
        count=chosen.count,
        memory_gib=_rounded(estimate.memory.total / GIB),
        device_hours=_rounded(estimate.device_hours),
        dollars=_rounded(estimate.dollars),
    )


def _rounded(value: float) -> float:
    """To three digits: more would be noise."""
    return float(f"{value:.3g}")
