"""Runs in the scripts' room, for ml_diagnosis: a broken script, the same with what fails left out, and a repaired one.

Each case is a process of its own, forked once torch is there. It says how its script ended and what it left, as plain
data; whether that is right is decided in another room (repair_examiner.py), and neither check nor verdict is here.
"""

import ast
import contextlib
import io
import json
import os
import random
import signal
import socket
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from plain_data import NotPlain, encoded, send  # type: ignore[import-not-found]

SCRIPT = "script.py"
CHANNEL = 3
SECONDS = 4  # of processor time, of one case
MOST_DROPPED = 4
TASK = Path(__file__).parent


class ScriptFailed(Exception):
    """A script that failed, and where: the line of its own that was last."""

    def __init__(self, error: BaseException) -> None:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == SCRIPT]
        self.line = frames[-1].lineno if frames else None
        self.kind, self.last = described(error)


def described(error: BaseException) -> tuple[str, str]:
    """(type, last line) of what Python prints for an exception."""
    text = traceback.format_exception_only(error)[-1].strip()
    return text.split("\n")[0].partition(":")[0], text.split("\n")[-1].strip()


def run(tree: ast.Module, seed: int) -> tuple[dict[str, Any], ScriptFailed | None, set[int]]:
    """The names that a script leaves, how it failed, and the lines that it reached."""
    reached: set[int] = set()

    def trace(frame: types.FrameType, event: str, _: object) -> Callable[..., Any] | None:
        if frame.f_code.co_filename != SCRIPT:
            return None
        if event == "line":
            reached.add(frame.f_lineno)
        return trace

    code = compile(tree, SCRIPT, "exec")
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    random.seed(seed)
    torch.manual_seed(seed)
    failed = None
    sys.settrace(trace)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            exec(code, vars(main))
    except BaseException as error:
        failed = ScriptFailed(error)
    finally:
        sys.settrace(None)
    return vars(main), failed, reached


def values_of(names: dict[str, Any], wanted: list[str]) -> dict[str, Any] | None:
    """What the check reads; None where something is missing, or is no number, text, tensor, or list of such."""
    values = {name: names[name] for name in wanted if name in names}
    try:
        encoded(values)
    except NotPlain:
        return None
    return values if len(values) == len(wanted) else None


def without(tree: ast.Module, line: int) -> ast.Module:
    """The script with its innermost statement at a line replaced by one that does nothing."""

    class Dropper(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            node = self.generic_visit(node)
            inside = isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0)
            if inside and not any(isinstance(each, ast.Pass) for each in ast.walk(node)):
                return ast.copy_location(ast.Pass(), node)
            return node

    Dropper().visit(tree)
    return tree


def code_lines(code: types.CodeType) -> Iterator[int]:
    yield from (line for _, _, line in code.co_lines() if line)
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            yield from code_lines(each)


def broken(order: dict[str, Any]) -> dict[str, Any]:
    """How the broken script fails, and what it left until then."""
    names, failed, _ = run(ast.parse(order["script"]), order["seeds"][0])
    if failed is None:
        return {"failed": False}
    return {"failed": True, "kind": failed.kind, "last": failed.last, "values": values_of(names, order["names"])}


def dropped(order: dict[str, Any]) -> dict[str, Any]:
    """What the script leaves once the line that fails has been left out, then the next that does, and so on."""
    tree = ast.parse(order["script"])
    left = []
    for _ in range(MOST_DROPPED):
        names, failed, _ = run(tree, order["seeds"][0])
        left.append(values_of(names, order["names"]))
        if failed is None or failed.line is None:
            break
        tree = without(tree, failed.line)
    return {"left": left}


def repaired(order: dict[str, Any], seed: int) -> dict[str, Any]:
    """How the repaired script ends, which of its lines were never reached, and what it left."""
    tree = ast.parse(order["repair"])
    names, failed, reached = run(tree, seed)
    if failed:
        return {"failed": True, "kind": failed.kind, "last": failed.last}
    unreached = sorted({*code_lines(compile(tree, SCRIPT, "exec"))} - reached)
    return {"failed": False, "unreached": unreached, "values": values_of(names, order["names"])}


def case(name: str, work: Callable[[], dict[str, Any]], examiner: socket.socket) -> None:
    """Run one case in a process of its own, and say what came of it."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)  # it ends the process
        send(examiner, {"case": name, **work()})
    finally:
        os._exit(0)


if __name__ == "__main__":
    torch.set_num_threads(1)
    order = json.loads((TASK / "order.json").read_text(encoding="utf-8"))
    with socket.socket(fileno=CHANNEL) as examiner:
        case("broken", lambda: broken(order), examiner)
        case("dropped", lambda: dropped(order), examiner)
        for seed in order["seeds"]:
            case("repaired", lambda: repaired(order, seed), examiner)  # noqa: B023
