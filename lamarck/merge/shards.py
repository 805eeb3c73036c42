"""The output's weights: safetensors files of bounded size, each written tensor by tensor and put in place whole.

A file that lies under its final name is complete: it was flushed to disk before it was renamed. So a merge that was
killed goes on with the first file that is missing.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lamarck.errors import LamarckError
from lamarck.files import write_json
from lamarck.merge.weights import Header, count_bytes, write_safetensors_header

if TYPE_CHECKING:
    from torch import Tensor

INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class ShardLayout:
    """One file, and the tensors in it in the order in which they lie there."""

    name: str
    tensors: dict[str, Header]


def plan_shards(tensors: dict[str, Header], most_bytes: int) -> tuple[ShardLayout, ...]:
    """Tensors in their order, a new file before one would exceed `most_bytes`; a larger tensor has a file alone."""
    groups: list[dict[str, Header]] = [{}]
    size = 0
    for name, header in tensors.items():
        if groups[-1] and size + header.bytes > most_bytes:
            groups.append({})
            size = 0
        groups[-1][name] = header
        size += header.bytes
    if len(groups) == 1:
        return (ShardLayout("model.safetensors", groups[0]),)
    return tuple(
        ShardLayout(f"model-{number:05d}-of-{len(groups):05d}.safetensors", group)
        for number, group in enumerate(groups, start=1)
    )


def write_shards(
    directory: Path,
    shards: Sequence[ShardLayout],
    make: Callable[[str], "Tensor"],
    advance: Callable[[int], None],
) -> None:
    """Write those of `shards` that `directory` does not hold yet; `make` gives a tensor by its name.

    `advance` is told of every tensor. Errors: LamarckError where the disk is full; finished files stay.
    """
    for shard in shards:
        path = directory / shard.name
        if path.exists():
            advance(len(shard.tensors))
            continue
        _write(path, shard.tensors, (_counted(make, name, advance) for name in shard.tensors))
    if len(shards) > 1:
        located = {name: shard.name for shard in shards for name in shard.tensors}
        size = sum(count_bytes(shard.tensors) for shard in shards)
        write_json(directory / INDEX, {"metadata": {"total_size": size}, "weight_map": located})


def _counted(make: Callable[[str], "Tensor"], name: str, advance: Callable[[int], None]) -> "Tensor":
    tensor = make(name)
    advance(1)
    return tensor


def _write(path: Path, headers: dict[str, Header], tensors: Iterable["Tensor"]) -> None:
    import torch

    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            file.write(write_safetensors_header(headers))
            for tensor in tensors:
                file.write(memoryview(tensor.contiguous().view(-1).view(torch.uint8).numpy()))
                del tensor  # before the next is made
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise LamarckError(
            f"cannot write {path}: {error.strerror}; what is finished stays: make room and run the same command again"
        ) from error
