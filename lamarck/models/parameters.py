"""Parameters of a model directory, counted from the headers of its files. Light."""

import json
import math
import struct
from collections.abc import Iterator
from pathlib import Path

from lamarck.errors import LamarckError
from lamarck.models.shards import read_shards


def count_parameters(weights: Path) -> int:
    """Parameters of a model directory, from the safetensors headers: no tensor is loaded. Of weights on the hub they
    have been counted.

    Errors: LamarckError where there is no such file, or a broken one.
    """
    if (shards := read_shards(weights)) is not None:
        return shards.parameters
    files = sorted(weights.glob("*.safetensors"))
    if not files:
        raise LamarckError(f"{weights} has no *.safetensors: it is not a model that can be trained")
    return sum(math.prod(shape) for path in files for shape in _shapes(path))


def _shapes(path: Path) -> Iterator[list[int]]:
    """Format: 8 bytes of little-endian header length, then a JSON header (huggingface/safetensors, README)."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            # A broken length may be any number, and reading allocates it.
            header = json.loads(file.read(min(length, path.stat().st_size)))
        shapes = [tensor["shape"] for name, tensor in header.items() if name != "__metadata__"]
    except (struct.error, ValueError, AttributeError, KeyError, TypeError) as error:
        raise LamarckError(f"{path} is not a valid safetensors file: restore it with `dvc pull`") from error
    yield from shapes
