"""What a merge takes before it runs: models, bytes, memory, disk and time."""

import time
from pathlib import Path

from lamarck.config.section import Section
from lamarck.errors import LamarckError
from lamarck.merge.checked import Checked
from lamarck.merge.document import Note
from lamarck.merge.layout import Layout
from lamarck.merge.weights import BYTES, count_bytes

PROBE = 2**19  # elements of the tensor on which a method's speed is measured
DISK = 1e9  # bytes a second, assumed for reading and for writing


class MergeStep(Section):
    """One document. Bytes as files have them; memory: tensors held at once."""

    name: str
    method: str
    models: tuple[str, ...]
    tensors: int
    parameters: int
    read_bytes: int
    written_bytes: int
    memory_bytes: int
    seconds: float


class MergePlan(Section):
    """`inputs`: model -> file -> sha256, where the plan holds the models to it. `merge`: digest of the documents."""

    result: str
    merge: str
    steps: tuple[MergeStep, ...]
    disk_bytes: int
    disk_bytes_per_second: float
    inputs: dict[str, dict[str, str]] | None
    notes: tuple[Note, ...]

    @property
    def memory_bytes(self) -> int:
        return max(step.memory_bytes for step in self.steps)

    @property
    def seconds(self) -> float:
        return sum(step.seconds for step in self.steps)


def make_plan(checked: Checked, inputs: dict[str, dict[str, str]] | None) -> MergePlan:
    """The time is measured on half a million elements for each document, and scaled; the disk is assumed."""
    return MergePlan(
        result=checked.result,
        merge=checked.digest(),
        steps=tuple(_step(checked, layout) for layout in checked.layouts),
        disk_bytes=needed_bytes(checked),
        disk_bytes_per_second=DISK,
        inputs=inputs,
        notes=checked.notes,
    )


def _step(checked: Checked, layout: Layout) -> MergeStep:
    pieces = [[*output.pieces, *([output.base] if output.base else [])] for output in layout.outputs]
    read = sum(checked.models[piece.model].tensors[piece.tensor].bytes for each in pieces for piece in each)
    written = count_bytes(layout.view.tensors)
    parameters = sum(output.header.elements for output in layout.outputs)
    seconds = parameters / PROBE * _probe(layout) + (read + written) / DISK
    return MergeStep(
        name=layout.document.name,
        method=layout.method.name,
        models=layout.document.models,
        tensors=len(layout.outputs),
        parameters=parameters,
        read_bytes=read,
        written_bytes=written,
        memory_bytes=memory_bytes(layout),
        seconds=seconds,
    )


def memory_bytes(layout: Layout) -> int:
    """(models + 2) times the largest tensor, in the dtype in which it is merged."""
    largest = max(output.header.elements * BYTES[output.dtype] for output in layout.outputs)
    return (layout.models + 2) * largest


def _probe(layout: Layout) -> float:
    """Seconds that the method takes for PROBE elements."""
    import torch

    from lamarck.merge.draws import draw_for
    from lamarck.merge.methods.base import Inputs

    output = max(layout.outputs, key=lambda each: each.header.elements)
    kind = getattr(torch, output.dtype)
    values = draw_for(0, "probe", "probe", 0)
    tensors = [values(PROBE).sub_(0.5).view(512, -1).to(kind) for _ in range(len(output.pieces) + 1)]
    inputs = Inputs(
        load=[tensor.clone for tensor in tensors[1:]],
        own=list(output.own),
        shared=output.shared,
        draws=[draw_for(0, "probe", "probe", i) for i in range(len(output.pieces))],
        load_base=tensors[0].clone if output.base else None,
        base_weight=output.base_weight,
    )
    seconds = []
    for _ in range(2):  # the first warms up
        started = time.perf_counter()
        layout.method.merge(inputs)
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def needed_bytes(checked: Checked) -> int:
    """Disk that the merge needs at its fullest: what later documents read stays until they have."""
    sizes = {layout.document.name: count_bytes(layout.view.tensors) for layout in checked.layouts}
    most, kept = 0, set[str]()
    for i, layout in enumerate(checked.layouts):
        kept.add(layout.document.name)
        most = max(most, sum(sizes[name] for name in kept))
        later = {name for each in checked.layouts[i + 1 :] for name in each.document.references}
        kept = {name for name in kept if name in later or name == checked.result}
    return most


def check_room(needed: int, free: int, place: Path) -> None:
    """Errors: LamarckError where the disk cannot hold what is written."""
    if needed > free:
        raise LamarckError(
            f"the merge writes up to {needed / 1e9:.1f} GB and {place} has {free / 1e9:.1f} GB free: make room, or "
            "name another place"
        )
