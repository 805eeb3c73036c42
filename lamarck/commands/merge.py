"""`lamarck merge check|plan|run|stand-ins`: one model made of several."""

import json
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.table import Table

from lamarck import merge, output
from lamarck.commands.named_values import named_values
from lamarck.config.section import load_section
from lamarck.export.gguf import GgufType, convert, find_converter
from lamarck.files import write_json
from lamarck.merge.document import Note
from lamarck.merge.estimate import MergePlan
from lamarck.progress import count_up


def show_check(file: Path, models: Path | None, variables: Sequence[str], seed: int | None, as_json: bool) -> None:
    """Say that the merge can run, or the first thing that is wrong; and what is ignored or assumed."""
    checked = merge.check(file, models, named_values(variables), seed)
    if as_json:
        documents = [layout.document.model_dump(mode="json") for layout in checked.layouts]
        notes = [note.model_dump(mode="json") for note in checked.notes]
        print(json.dumps({"documents": documents, "notes": notes, "result": checked.result}, indent=2, sort_keys=True))
        return
    _print_notes(checked.notes)
    tensors, merges = len(checked.layouts[-1].outputs), len(checked.layouts)
    print(f"{file}: sound. {checked.result} has {tensors} tensors, from {merges} merges.")


def show_plan(
    file: Path, models: Path | None, variables: Sequence[str], seed: int | None, out: Path | None, as_json: bool
) -> None:
    """Errors: LamarckError; with `out`, also where a model is not here."""
    _on_one_thread()
    plan = merge.plan(file, models, named_values(variables), seed, pin=out is not None)
    if out is not None:
        write_json(out, plan.model_dump(mode="json"))
    if as_json:
        print(json.dumps(plan.model_dump(mode="json"), indent=2, sort_keys=True))
        return
    _print_notes(plan.notes)
    output.console().print(_table(plan))
    print(f"Parameters: {plan.steps[-1].parameters:,} in {plan.steps[-1].tensors} tensors.")
    print(f"Memory: {_size(plan.memory_bytes)}: of each step (models + 2) x the largest tensor.")
    print(f"Disk: {_size(plan.disk_bytes)} at the fullest; merges that later ones read are deleted after them.")
    print(
        f"Time: {_duration(plan.seconds)}: each method timed here on half a million parameters, reading and writing at "
        f"{plan.disk_bytes_per_second / 1e9:g} GB/s (assumed)."
    )
    if out is not None:
        print(f"{out}: the plan; `lamarck merge run {file} --plan {out} --out DIR` refuses models that changed since.")


def run(
    file: Path,
    out: Path,
    models: Path | None,
    variables: Sequence[str],
    seed: int | None,
    plan: Path | None,
    gguf: GgufType | None,
    as_json: bool,
) -> None:
    """Errors: LamarckError, and no `out`; where it cannot be converted, `out` without a GGUF file."""
    converter = find_converter() if gguf else None
    planned = load_section(plan, MergePlan) if plan else None
    _on_one_thread()
    values = named_values(variables)
    checked = merge.check(file, models, values, seed)
    total = sum(len(layout.outputs) for layout in checked.layouts)
    with count_up(f"merging {checked.result}", "tensors", total) as advance:
        merge.run(file, out, models, values, seed, planned, advance=advance)
    if converter and gguf:
        convert(converter, out, out / f"{checked.result.replace('/', '--')}-{gguf}.gguf", gguf)
    if as_json:
        print((out / "merge.json").read_text(encoding="utf-8"), end="")
        return
    _print_notes(checked.notes)
    print(f"{out}: {checked.result}; README.md tells how it was made, merge.json what of.")


def make_stand_ins(file: Path, to: Path, variables: Sequence[str]) -> None:
    from lamarck.merge.load import load_merge
    from lamarck.merge.stand_ins import make_stand_ins as make

    made = make(load_merge(file, named_values(variables)), to)
    print(f"{to}: {len(made)} tiny models; `lamarck merge run {file} --models {to} --out DIR` merges them.")


def _on_one_thread() -> None:
    """Tensors are merged in blocks that fit a core's cache: a second thread would only wait for the first."""
    import torch

    torch.set_num_threads(1)


def _print_notes(notes: Sequence[Note]) -> None:
    for note in notes:
        print(note)


def _table(plan: MergePlan) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("merge", overflow="fold")
    for name in ("method", "models", "reads", "writes", "memory", "time"):
        table.add_column(name, justify="left" if name == "method" else "right")
    for step in plan.steps:
        table.add_row(
            step.name,
            step.method,
            str(len(step.models)),
            _size(step.read_bytes),
            _size(step.written_bytes),
            _size(step.memory_bytes),
            _duration(step.seconds),
        )
    return table


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.2f} MB"


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.1f} s"
