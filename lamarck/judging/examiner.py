"""Runs in the examiner's room, as a script: holds the examination, asks the answer's room, and writes the verdict.

No code of the answer's runs here; what comes from its room is plain data. The examination is Python, and defines the
functions that must return without an exception; it imports `ask`, `refuses`, `close` and `equal` from `examiner`.
Argument: JSON, the groups of functions as [name, prefix]; a group counts only where those before it held.
Prints one line of JSON: the names of the groups that held, and the first failure.
"""

import builtins
import json
import socket
import sys
import traceback
import types
from typing import Any

from plain_data import NotPlain, receive, send  # type: ignore[import-not-found]

CHANNEL = 3
# What ends a loop without a word: where a test asks in one, it would pass over what it should have asked.
ENDS = (StopIteration, StopAsyncIteration)


class Failed(AssertionError):
    """What the answer's room said is not what it should have said."""


class Examination:
    def __init__(self, room: socket.socket) -> None:
        self._room = room

    def begin(self) -> None:
        """Errors: Failed where the answer did not come to its end."""
        ended = receive(self._room)
        if type(ended) is not dict or ended.get("error", "") is not None:
            raise Failed("the answer did not come to its end")

    def ask(self, code: str, **inputs: Any) -> Any:
        """What the code's last expression comes to in the answer's room. An exception there is one here: of the same
        type where it is one of Python's own, else Failed."""
        send(self._room, {"code": code, "inputs": inputs})
        try:
            reply = receive(self._room)
        except NotPlain as error:  # a ValueError, which some answers must raise: this is none of theirs
            raise Failed(str(error)) from error
        if type(reply) is dict and set(reply) == {"value"}:
            return reply["value"]
        name = reply.get("error") if type(reply) is dict else None
        kind = getattr(builtins, name, None) if type(name) is str else None
        if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, ENDS):
            raise kind("raised in the answer's room")
        raise Failed("the answer's room did not give a value")

    def refuses(self, code: str, **inputs: Any) -> bool:
        """Whether the code raises a ValueError."""
        try:
            self.ask(code, **inputs)
        except ValueError:
            return True
        return False


def close(said: Any, wanted: Any, rtol: float | None = None, atol: float | None = None) -> None:
    """Tensors of the same type and shape, or real numbers, that are close. Errors: AssertionError."""
    import torch

    if isinstance(wanted, torch.Tensor):
        assert isinstance(said, torch.Tensor)
        torch.testing.assert_close(said, wanted, rtol=rtol, atol=atol)
        return
    if isinstance(said, torch.Tensor):
        assert said.shape == ()
        said = said.item()
    assert type(said) in (int, float) and abs(said - wanted) <= (atol or 0) + (rtol or 0) * abs(wanted)


def equal(said: Any, wanted: Any) -> None:
    """The same value of the same types, through and through. Errors: AssertionError."""
    torch = sys.modules.get("torch")
    assert type(said) is type(wanted), (type(said), type(wanted))
    if torch is not None and isinstance(wanted, torch.Tensor):
        assert said.dtype == wanted.dtype and torch.equal(said, wanted)
    elif isinstance(wanted, list | tuple):
        assert len(said) == len(wanted)
        for each, other in zip(said, wanted, strict=True):
            equal(each, other)
    elif isinstance(wanted, dict):
        assert list(map(repr, said)) == list(map(repr, wanted))
        for each, other in zip(said.values(), wanted.values(), strict=True):
            equal(each, other)
    else:
        assert said == wanted, (said, wanted)


def held(groups: list[list[str]], tests: dict[str, Any]) -> list[str]:
    """Errors: whatever the first function raises that does not hold."""
    names: list[str] = []
    for name, prefix in groups:
        functions = [each for test, each in tests.items() if test.startswith(prefix) and callable(each)]
        assert functions, f"the examination has no {prefix}"
        for function in functions:
            try:
                function()
            except (Exception, RecursionError):
                traceback.print_exc()
                return names
        names.append(name)
    return names


def main() -> None:
    (groups,) = map(json.loads, sys.argv[1:])
    with open("/task/examination.py", encoding="utf-8") as file:
        source = file.read()
    with socket.socket(fileno=CHANNEL) as room:
        examination = Examination(room)
        tools = types.ModuleType("examiner")
        vars(tools).update(ask=examination.ask, refuses=examination.refuses, close=close, equal=equal)
        sys.modules["examiner"] = tools
        tests: dict[str, Any] = {"__name__": "examination"}
        exec(compile(source, "/task/examination.py", "exec"), tests)
        try:
            examination.begin()
            names = held(groups, tests)
        except (NotPlain, EOFError, OSError, Failed) as error:
            print(error, file=sys.stderr)
            names = []
    print(json.dumps({"held": names}))


if __name__ == "__main__":
    main()
