"""Weights as what changed: a lossless difference between two states of a model, element by element, in one file.

A state is names and tensors; one that is tied to another stands there once, as in `named_parameters()`. The file is
safetensors. Its header says which state it starts from and which it leads to, by digest, so that it can be applied to
no other and to no damaged one. Of every tensor in which at most half of the elements changed it holds their places
and the differences of their bits as integers, each compressed; other tensors are there whole. Small updates of 16-bit
weights move few elements, and most of those to the neighbouring number: about two bytes each. Blocks of bytes, by
contrast, are nearly all touched by changes that lie scattered.
"""

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from lamarck.errors import LamarckError
from lamarck.files import digest_value

Tensors = Mapping[str, torch.Tensor]

HEADER = "lamarck"
INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
DENSE = 0.5  # Share of changed elements from which a tensor is written whole: places and differences gain little then.


class Patch(BaseModel):
    """A tensor of which some elements changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dtype: str
    shape: tuple[int, ...]
    changed: int


class Facts(BaseModel):
    """The header of a file: what it is, and between which states it leads. Digests are those of `state_digest`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["lamarck-delta-1"] = "lamarck-delta-1"
    kind: Literal["full", "delta"]
    base: str | None  # a full state has none
    result: str
    step: int = 0
    after: str | None = None  # in a chain: the file before this one
    patches: dict[str, Patch] = {}
    removed: tuple[str, ...] = ()
    notes: dict[str, Any] = {}


class OpenTensors(Mapping[str, torch.Tensor]):
    """The tensors of safetensors files, each read when it is asked for."""

    def __init__(self, paths: list[Path]) -> None:
        self._files = [safe_open(path, "pt") for path in paths]
        self._where = {name: file for file in self._files for name in file.keys()}  # noqa: SIM118  # no mapping

    def __getitem__(self, name: str) -> torch.Tensor:
        tensor: torch.Tensor = self._where[name].get_tensor(name)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def __len__(self) -> int:
        return len(self._where)


def tensors_of(model: Path) -> OpenTensors:
    """The weights of a model directory."""
    return OpenTensors(sorted(model.glob("*.safetensors")))


def held(tensors: Tensors) -> dict[str, torch.Tensor]:
    """A copy in this machine's memory, which training does not change."""
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}


def state_digest(tensors: Tensors) -> str:
    """sha256 over every tensor's name, type, shape and bytes: the same however they are spread over files."""

    def one(name: str) -> list[object]:
        tensor = tensors[name].detach().cpu().contiguous()
        data = tensor.flatten().view(torch.uint8).numpy() if tensor.numel() else b""
        return [str(tensor.dtype), list(tensor.shape), hashlib.sha256(data).hexdigest()]

    with ThreadPoolExecutor() as pool:
        return digest_value(dict(zip(tensors, pool.map(one, tensors), strict=True)))


def changed_bytes(base: Tensors, tensors: Tensors) -> int:
    """About what a difference takes: an element that changed costs its own size, for place and difference together."""
    total = 0
    for name, tensor in tensors.items():
        share = _changed_share(base, name, tensor)
        total += int(tensor.numel() * tensor.element_size() * (share if share <= DENSE else 1))
    return total


def write_full(path: Path, tensors: Tensors, facts: Facts) -> int:
    """Write a whole state; the bytes of the file."""
    return _write(path, dict(tensors), facts)


def write_delta(path: Path, base: Tensors, tensors: Tensors, facts: Facts) -> int:
    """Write the difference from `base` to `tensors`, both in this machine's memory; the bytes of the file.

    `facts` names the digests of both. Errors: LamarckError when it cannot be written; what was there is kept.
    """
    content: dict[str, torch.Tensor] = {}
    patches: dict[str, Patch] = {}
    for name, tensor in tensors.items():
        share = _changed_share(base, name, tensor)
        if share > DENSE:
            content[f"{name}/whole"] = tensor
        elif share:
            old, new = _bits(base[name]), _bits(tensor)
            places = np.flatnonzero(old != new)
            content[f"{name}/gaps"] = _pack(np.diff(places, prepend=-1) - 1)
            content[f"{name}/differences"] = _pack(_zigzag(new[places] - old[places]))
            patches[name] = Patch(dtype=str(tensor.dtype), shape=tuple(tensor.shape), changed=len(places))
    removed = tuple(sorted(base.keys() - tensors.keys()))
    return _write(path, content, facts.model_copy(update={"patches": patches, "removed": removed}))


def read_facts(path: Path) -> Facts:
    """The header of a file of this format. Errors: LamarckError where it is not valid."""
    with _opened(path) as file:
        try:
            return Facts.model_validate_json((file.metadata() or {})[HEADER])
        except (KeyError, ValidationError) as error:
            raise LamarckError(f"{path} is neither a full state nor a difference that lamarck wrote") from error


def read_full(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a full state. Its digest is for the caller to compare."""
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping


def apply_delta(path: Path, base: Tensors) -> dict[str, torch.Tensor]:
    """The state that a difference makes of `base`, which stays as it is; tensors that are equal are shared with it.

    Digests are for the caller to compare: before and after each, or once at the end of a chain.
    Errors: LamarckError for a file that is damaged or does not fit.
    """
    facts = read_facts(path)
    state = {name: tensor for name, tensor in base.items() if name not in facts.removed}
    with _opened(path) as file:
        for key in file.keys():  # noqa: SIM118  # no mapping
            name, kind = key.rsplit("/", 1)
            if kind == "whole":
                state[name] = file.get_tensor(key)
        for name, patch in facts.patches.items():
            try:
                gaps, differences = file.get_tensor(f"{name}/gaps"), file.get_tensor(f"{name}/differences")
                state[name] = _patched(state[name], patch, gaps, differences)
            except (KeyError, ValueError, zlib.error) as error:
                raise LamarckError(f"{path} is damaged, or no difference to this state, at {name}: {error}") from error
    return state


def read_delta(path: Path, base: Tensors) -> dict[str, torch.Tensor]:
    """As `apply_delta`, with both digests compared.

    Errors: LamarckError when `base` is not the state that it starts from, and when it leads to another than it says.
    """
    facts, found = read_facts(path), state_digest(base)
    if facts.base != found:
        raise LamarckError(
            f"{path} is a difference to the weights {str(facts.base)[:12]}, and these are {found[:12]}: "
            "apply it to those it was made from"
        )
    state = apply_delta(path, base)
    if state_digest(state) != facts.result:
        raise LamarckError(f"{path} is damaged: it does not lead to the weights that it names; fetch it again")
    return state


def _changed_share(base: Tensors, name: str, tensor: torch.Tensor) -> float:
    """Of a tensor's elements; all of them where the base has none that it can be compared with."""
    old = base.get(name)
    if old is None or old.dtype != tensor.dtype or old.shape != tensor.shape:
        return 1.0
    return float(np.count_nonzero(_bits(old) != _bits(tensor))) / max(1, tensor.numel())


def _bits(tensor: torch.Tensor) -> np.ndarray:
    """Its elements' bits as unsigned integers of their size, flat; -0 and 0 differ, and a NaN equals itself."""
    flat: np.ndarray = tensor.detach().contiguous().flatten().view(INTEGERS[tensor.element_size()]).numpy()
    return flat.view(f"u{tensor.element_size()}")


def _zigzag(differences: np.ndarray) -> np.ndarray:
    """Small differences of either sign as small numbers: 0, -1, 1, -2, ... become 0, 1, 2, 3, ...."""
    signed = differences.view(f"i{differences.itemsize}")
    folded: np.ndarray = (signed << 1) ^ (signed >> (8 * signed.itemsize - 1))
    return folded.view(differences.dtype)


def _unzigzag(folded: np.ndarray) -> np.ndarray:
    differences: np.ndarray = (folded >> 1) ^ (~(folded & 1) + 1)
    return differences


def _pack(numbers: np.ndarray) -> torch.Tensor:
    """Numbers >= 0 as bytes: their width, then the low bytes of all, the next ones of all, ..., compressed.

    Runs and symbol frequencies alone are used (zlib's RLE): there is nothing to find in scattered places but those, and
    it is several times as fast, within a twentieth of their entropy.
    """
    most = int(numbers.max(initial=0))
    width = next(size for size in INTEGERS if most < 1 << (8 * size))
    planes = numbers.astype(f"<u{width}").view(np.uint8).reshape(-1, width).T
    packer = zlib.compressobj(level=1, strategy=zlib.Z_RLE)
    data = bytes([width]) + packer.compress(planes.tobytes()) + packer.flush()
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


def _unpack(data: torch.Tensor, count: int) -> np.ndarray:
    """The `count` numbers of `_pack`. Errors: ValueError, zlib.error."""
    packed = data.numpy().tobytes()
    width = packed[0] if packed else 0
    if width not in INTEGERS:
        raise ValueError("a number's width is missing")
    size = count * width
    unpacker = zlib.decompressobj()
    planes = unpacker.decompress(packed[1:], size + 1)  # never more than it should be, whatever it says
    if len(planes) != size:
        raise ValueError(f"it holds {len(planes)} bytes instead of {size}")
    numbers: np.ndarray = np.frombuffer(planes, np.uint8).reshape(width, count).T.copy().view(f"<u{width}")[:, 0]
    return numbers


def _patched(tensor: torch.Tensor, patch: Patch, gaps: torch.Tensor, differences: torch.Tensor) -> torch.Tensor:
    """A copy with the changes made. Errors: ValueError, zlib.error."""
    if str(tensor.dtype) != patch.dtype or tuple(tensor.shape) != patch.shape:
        raise ValueError(
            f"{patch.dtype} of {patch.shape} is expected, {tensor.dtype} of {tuple(tensor.shape)} is there"
        )
    between = _unpack(gaps, patch.changed)
    places = np.cumsum(between.astype(np.int64) + 1) - 1
    if patch.changed and max(int(between.max()), int(places[-1])) >= tensor.numel():
        raise ValueError("a place lies outside of it")
    changed = tensor.detach().clone(memory_format=torch.contiguous_format)
    bits = _bits(changed)
    bits[places] += _unzigzag(_unpack(differences, patch.changed).astype(bits.dtype))
    return changed


def _write(path: Path, content: dict[str, torch.Tensor], facts: Facts) -> int:
    """Write beside `path`, then put it in its place: a kill or a full disk leaves what was there."""
    header = {HEADER: json.dumps(facts.model_dump(mode="json"), sort_keys=True)}
    # A folder, since safetensors writes a file of its own beside the one asked for: a kill leaves both in it.
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.mkdir(parents=True)
        save_file(content, partial / path.name, header)
        _sync(partial / path.name)
        size = (partial / path.name).stat().st_size
        os.replace(partial / path.name, path)
        _sync(path.parent)
    except (OSError, SafetensorError) as error:
        raise LamarckError(f"cannot write {path}: {error}; make room, what was there before is kept") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return size


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, "pt") as file:
            yield file
    except FileNotFoundError as error:
        raise LamarckError(f"{path} does not exist") from error
    except (OSError, SafetensorError) as error:
        raise LamarckError(f"{path} is damaged: {error}") from error
