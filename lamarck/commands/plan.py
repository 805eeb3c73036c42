"""`lamarck plan`: what every step takes before anything is rented: machines, memory, hours and dollars."""

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from lamarck import output
from lamarck.budget.estimate import Estimate, duration, estimate_generation
from lamarck.budget.machine import CATALOGUE, Catalogue, load_catalogue
from lamarck.budget.memory import CONTEXT, FRAGMENTATION, GIB, PROMPT_TOKENS, Memory
from lamarck.budget.shape import Shape, shape_of_founder
from lamarck.config import HERE, Config, Machines, StageMachine, load_config
from lamarck.lineage.generation import Generation

PARTS = tuple(part.name for part in fields(Memory))


def show(path: Path, gpu: str | None, dollars_per_hour: float | None, as_json: bool) -> None:
    """`gpu` and `dollars_per_hour`, where given, are every step's instead of the configuration's.

    Errors: LamarckError for a founder whose shape is not known, or a step that does not fit, with what would.
    """
    config = _instead(load_config(path), gpu, dollars_per_hour)
    shape = shape_of_founder(config.founder, Generation(0).weights)
    steps = [each for number in range(1, config.generations + 1) for each in estimate_generation(config, number, shape)]
    if as_json:
        print(json.dumps(_json(shape, steps), indent=2, sort_keys=True))
        return
    console = output.console()
    console.print(_table(shape, steps))
    for sentence in _assumptions(config, load_catalogue(), steps):
        console.print(f"- {sentence}", markup=False, highlight=False)


def _instead(config: Config, gpu: str | None, dollars: float | None) -> Config:
    """Every step with another GPU or price. A speed was measured on the GPU that it stands with, so it goes with it."""
    changes: dict[str, Any] = {"gpu": gpu, "tokens_per_second": None} if gpu else {}
    changes |= {"dollars_per_hour": dollars} if dollars else {}
    split = config.engine.tensor_parallel if config.engine.kind == "vllm" else 1

    def changed(machine: StageMachine, count: int) -> StageMachine:
        return machine.model_copy(update=changes | ({"count": count} if gpu else {}))

    kept = config.machines
    machines = Machines(
        curriculum=changed(kept.curriculum, split),
        train=changed(kept.train, kept.train.count),
        eval=changed(kept.eval, split),
    )
    return config.model_copy(update={"machines": machines})


def _json(shape: Shape, steps: Sequence[Estimate]) -> dict[str, Any]:
    """Memory in bytes on each GPU."""
    rows = [
        {
            "generation": f"g{each.generation}",
            "step": each.step,
            "gpu": each.machine.gpu,
            "count": each.machine.count,
            "memory": {part: round(getattr(each.memory, part)) for part in PARTS} | {"total": round(each.memory.total)},
            "tokens": each.tokens,
            "tokens_per_second": round(each.speed.tokens_per_second, 1),
            "hours": round(each.hours, 4),
            "device_hours": round(each.device_hours, 4),
            "dollars": round(each.dollars, 2),
        }
        for each in steps
    ]
    whole = {"hours": sum(each.hours for each in steps), "dollars": sum(each.dollars for each in steps)}
    return {"parameters": shape.parameters, "steps": rows, "at_most": {key: round(whole[key], 2) for key in whole}}


def _table(shape: Shape, steps: Sequence[Estimate]) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=0,
        title=f"At most, for {shape.parameters:,} parameters; memory in GiB on each GPU",
    )
    for heading in ("", "on"):
        table.add_column(heading, no_wrap=True)
    for heading in ("weights", "child", "work", "cache", "spare", "all", "time", "$"):
        table.add_column(heading, justify="right", no_wrap=True)
    for each in steps:
        gpu = "this machine" if each.machine.gpu == HERE else f"{each.machine.count}x {each.machine.gpu}"
        memory = each.memory
        parts = (memory.weights, memory.trained, memory.activations + memory.logits, memory.cache, memory.reserve)
        cells = [_gib(amount) for amount in (*parts, memory.total)]
        table.add_row(f"g{each.generation} {each.step}", gpu, *cells, duration(each.hours), _dollars(each.dollars))
    table.add_section()
    hours, dollars = sum(each.hours for each in steps), sum(each.dollars for each in steps)
    table.add_row("all", "", *[""] * len(PARTS), duration(hours), _dollars(dollars))
    return table


def _gib(amount: float) -> str:
    gib = amount / GIB
    if gib >= 100:
        return f"{gib:.0f}"
    return f"{gib:.1f}" if gib >= 0.05 else "-" if not amount else "<0.1"


def _dollars(dollars: float) -> str:
    return f"{dollars:,.0f}" if dollars >= 100 else f"{dollars:.2f}" if dollars else "none"


def _ceilings(config: Config) -> list[str]:
    """Of steps that have one, in hours of their machines."""
    machines, budget = config.machines, config.budget
    most = (
        ("curriculum", budget.writing_seconds, machines.curriculum),
        ("train", budget.of(1), machines.train),
        ("eval", budget.evaluating_seconds, machines.eval),
    )
    return [f"{step} {duration(given / machine.count / 3600)}" for step, given, machine in most if given is not None]


def _assumptions(config: Config, catalogue: Catalogue, steps: Sequence[Estimate]) -> list[str]:
    """Every number behind the table that is not counted."""
    sentences = [
        "at most: every text that may be asked for is, and each is as long as it may be",
        "child: LoRA, with gradients and optimizer in training; work: activations and logits; cache: keys and values",
        f"a prompt has up to {PROMPT_TOKENS} tokens; starting a machine and fetching the weights are not counted",
    ]
    if config.control:
        sentences.append("both arms of every step are counted, one after the other")
    for each in steps[:3]:
        sentences.append(f"{each.step}: {each.speed.tokens_per_second:,.0f} tokens/s, from {each.speed.source}")
    sentences.append(f"{', '.join(_ceilings(config))} an arm are the ceilings: there a step ends, whatever is left")
    gpus = config.machines.train.count
    if gpus > 1:
        sentences.append(
            f"train: {gpus} GPUs split the frozen layers, but each loads all of them first; the fuller moment counts"
        )
    for kind in dict.fromkeys(each.machine.gpu for each in steps if each.machine.gpu != HERE):
        gpu = catalogue.gpus[kind]
        own = [each.machine.dollars_per_hour for each in steps if each.machine.gpu == kind]
        price = f"${own[0]:.2f} an hour, as you say" if own[0] else f"${gpu.dollars:.2f} an hour on {gpu.priced}"
        sentences.append(f"{kind}: {gpu.gib:.1f} GiB, {price}")
    if any(each.machine.gpu != HERE for each in steps):
        share = config.engine.memory_share if config.engine.kind == "vllm" else None
        sentences.append(
            f"spare: {CONTEXT / GIB:.0f} GiB for CUDA and {FRAGMENTATION:.0%} of everything for fragmentation"
            + (f"; while vLLM writes, the {1 - share:.0%} of each GPU that it leaves alone" if share else "")
        )
    sentences.append(f"speeds and prices: {CATALOGUE}, or `machines` in the configuration; formulas: docs/cost.md")
    return sentences
