"""Plain data between two rooms: what may cross, and how it is written. Also runs in the rooms, alone.

Exact None, bool, int, float, str, bytes, complex, list, tuple, dict, set, frozenset, and dense tensors as dtype, shape
and bytes. A message is its length and JSON: what JSON has is itself, everything else is an object with one key that
names its kind. The reader trusts nothing: sizes, depth, kinds and shapes are checked before anything is built, and what
it builds is of Python's own types, whose operations nobody can change.
"""

import base64
import json
import math
import socket
import struct
import sys
from typing import Any

MOST_BYTES = 48 * 2**20  # of a message
MOST_VALUES = 1_000_000
MOST_DEPTH = 60
DTYPES = {
    "bool": 1,
    "uint8": 1,
    "int8": 1,
    "int16": 2,
    "int32": 4,
    "int64": 8,
    "float16": 2,
    "bfloat16": 2,
    "float32": 4,
    "float64": 8,
}
SEQUENCES: dict[str, type] = {"tuple": tuple, "set": set, "frozenset": frozenset}


class NotPlain(ValueError):
    """A value that may not cross, or a message that is none; the text says which."""


def send(connection: socket.socket, value: object) -> None:
    """Errors: NotPlain where the value may not cross, OSError where nobody reads."""
    try:
        body = json.dumps(encoded(value)).encode()
    except (RecursionError, ValueError) as error:
        raise NotPlain(str(error)) from error
    if len(body) > MOST_BYTES:
        raise NotPlain(f"more than {MOST_BYTES} bytes")
    connection.sendall(struct.pack("<Q", len(body)) + body)


def receive(connection: socket.socket) -> Any:
    """Errors: NotPlain for what is no message of plain data, EOFError where the other room has ended."""
    (length,) = struct.unpack("<Q", _exactly(connection, 8))
    if length > MOST_BYTES:
        raise NotPlain(f"more than {MOST_BYTES} bytes")
    body = _exactly(connection, length)
    try:
        return _Reader().value(json.loads(body), 0)
    except NotPlain:
        raise
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise NotPlain(f"no plain data: {type(error).__name__}") from error


def encoded(value: Any, depth: int = 0) -> Any:
    """The JSON of a value. Errors: NotPlain."""
    if depth > MOST_DEPTH:
        raise NotPlain("a value that is nested too deep, or holds itself")
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if kind is list:
        return [encoded(each, depth + 1) for each in value]
    if kind is dict:
        return {"dict": [[encoded(part, depth + 1) for part in pair] for pair in value.items()]}
    if kind in SEQUENCES.values():
        return {kind.__name__: [encoded(each, depth + 1) for each in value]}
    if kind is bytes:
        return {"bytes": base64.b64encode(value).decode()}
    if kind is complex:
        return {"complex": [value.real, value.imag]}
    torch = sys.modules.get("torch")
    if torch is not None and kind is torch.Size:
        return {"tuple": list(value)}
    if torch is not None and kind in (torch.Tensor, torch.nn.Parameter):
        return {"tensor": _encoded_tensor(torch, value)}
    raise NotPlain(f"a value of type {kind.__name__}")


def _encoded_tensor(torch: Any, value: Any) -> list[Any]:
    dtype = str(value.dtype).removeprefix("torch.")
    if dtype not in DTYPES or value.layout is not torch.strided or value.device.type != "cpu":
        raise NotPlain("a tensor that is not dense, of an ordinary type, and in memory")
    flat = value.detach().contiguous().reshape(-1)
    content = flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
    return [dtype, list(value.shape), base64.b64encode(content).decode()]


class _Reader:
    def __init__(self) -> None:
        self._left = MOST_VALUES

    def value(self, said: Any, depth: int) -> Any:
        self._left -= 1
        if self._left < 0 or depth > MOST_DEPTH:
            raise NotPlain("more values than may cross, or nested too deep")
        if isinstance(said, list):
            return [self.value(each, depth + 1) for each in said]
        if not isinstance(said, dict):
            return said
        if len(said) != 1:
            raise NotPlain("an object that names no kind")
        ((kind, content),) = said.items()
        if kind == "tensor":
            return _tensor(content)
        if kind == "bytes":
            return base64.b64decode(content, validate=True)
        if not isinstance(content, list):
            raise NotPlain(f"no {kind}")
        values = [self.value(each, depth + 1) for each in content]
        if kind in SEQUENCES:
            return SEQUENCES[kind](values)
        if kind == "dict":
            return {key: each for key, each in values}
        if kind == "complex":
            real, imaginary = values
            return complex(real, imaginary)
        raise NotPlain(f"a kind that may not cross: {kind[:40]}")


def _tensor(content: Any) -> Any:
    import torch

    dtype, shape, text = content
    if not isinstance(dtype, str) or dtype not in DTYPES or not isinstance(shape, list) or len(shape) > 16:
        raise NotPlain("no tensor")
    if not all(type(size) is int and 0 <= size <= MOST_BYTES for size in shape):
        raise NotPlain("no shape")
    data = base64.b64decode(text, validate=True)
    if math.prod(shape) * DTYPES[dtype] != len(data):
        raise NotPlain("a shape that is not its data's")
    if not data:
        return torch.empty(shape, dtype=getattr(torch, dtype))
    flat = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    return flat.view(getattr(torch, dtype)).reshape(shape).clone()


def _exactly(connection: socket.socket, length: int) -> bytes:
    parts = []
    while length:
        part = connection.recv(min(length, 2**20))
        if not part:
            raise EOFError("the other room has ended")
        parts.append(part)
        length -= len(part)
    return b"".join(parts)
