"""Runs in the sandbox, for ml_diagnosis: a broken script, the same with what fails left out, and a repaired one.

Each case is a process of its own, forked once torch is there, and ends with one line of JSON on standard output, behind
a nonce that the scripts have no way to read (see guard.py); what they print themselves is kept from the output.
"""

import ast
import contextlib
import hashlib
import io
import json
import os
import random
import signal
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from guard import lock  # type: ignore[import-not-found]

SCRIPT = "script.py"
SECONDS = 4  # of processor time, of one case
MOST_DROPPED = 4
NOISES = 8
MOST_NUMBERS = 100_000  # of a checked value
TASK = Path(__file__).parent


class Failed(Exception):
    """A script that failed, and where: the line of its own that was last."""

    def __init__(self, error: BaseException) -> None:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == SCRIPT]
        self.line = frames[-1].lineno if frames else None
        self.kind, self.last = described(error)


def described(error: BaseException) -> tuple[str, str]:
    """(type, last line) of what Python prints for an exception."""
    text = traceback.format_exception_only(error)[-1].strip()
    return text.split("\n")[0].partition(":")[0], text.split("\n")[-1].strip()


def run(tree: ast.Module, seed: int) -> tuple[dict[str, Any], Failed | None, set[int]]:
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
        failed = Failed(error)
    finally:
        sys.settrace(None)
    return vars(main), failed, reached


def holds(check: ast.Module, values: dict[str, Any]) -> bool:
    """Whether every assert of the check holds for the values that it reads."""
    try:
        exec(compile(check, "check.py", "exec"), {**values, "torch": torch, "math": __import__("math")})
    except BaseException:
        return False
    return True


def values_of(names: dict[str, Any], wanted: list[str]) -> dict[str, Any] | None:
    """What the check reads; None where something is missing, or is no number, text, tensor, or list of such."""
    values = {name: names[name] for name in wanted if name in names}
    left = [MOST_NUMBERS]
    return values if len(values) == len(wanted) and all(is_plain(value, left) for value in values.values()) else None


def is_plain(value: Any, left: list[int]) -> bool:
    """Whether a value is made of Python's own kinds and tensors, no more than `left` of them: of these no script can
    change what comparing them means."""
    left[0] -= value.numel() if isinstance(value, torch.Tensor) else 1
    if left[0] < 0:
        return False
    if type(value) in (list, tuple):
        return all(is_plain(each, left) for each in value)
    if type(value) is dict:
        return all(is_plain(each, left) for pair in value.items() for each in pair)
    return type(value) in (int, float, bool, str, type(None), torch.Tensor)


def shown(value: Any) -> object:
    """A value in Python's own kinds."""
    if type(value) is torch.Tensor:
        return [str(value.dtype), value.detach().tolist()]
    if type(value) in (list, tuple):
        return [shown(each) for each in value]
    return [[shown(key), shown(each)] for key, each in value.items()] if type(value) is dict else repr(value)


def noise(value: Any) -> Any:
    """Something of the same kind and shape that says nothing."""
    if type(value) is torch.Tensor:
        if value.is_floating_point():
            return torch.randn_like(value)
        most = 2 * int(value.abs().max()) + 1 if value.numel() and value.dtype is not torch.bool else 1
        return torch.randint_like(value, 0, most + 1)
    if type(value) in (list, tuple):
        return type(value)(noise(each) for each in value)
    if type(value) is dict:
        return {key: noise(each) for key, each in value.items()}
    if type(value) is bool:
        return random.random() < 0.5
    if type(value) is int:
        return random.randint(0, 2 * abs(value) + 1)
    return random.gauss(0, 1) if type(value) is float else value


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


def broken(order: dict[str, Any], check: ast.Module) -> dict[str, Any]:
    """How the broken script fails, and whether the check holds for what it left until then."""
    names, failed, _ = run(ast.parse(order["script"]), order["seeds"][0])
    if failed is None:
        return {"failed": False}
    values = values_of(names, order["names"])
    return {
        "failed": True,
        "kind": failed.kind,
        "last": failed.last,
        "holds": values is not None and holds(check, values),
    }


def dropped(order: dict[str, Any], check: ast.Module) -> dict[str, Any]:
    """Whether the check holds once whatever fails has been left out."""
    tree = ast.parse(order["script"])
    for _ in range(MOST_DROPPED):
        names, failed, _ = run(tree, order["seeds"][0])
        values = values_of(names, order["names"])
        if values is not None and holds(check, values):
            return {"holds": True}
        if failed is None or failed.line is None:
            break
        tree = without(tree, failed.line)
    return {"holds": False}


def repaired(order: dict[str, Any], check: ast.Module, seed: int) -> dict[str, Any]:
    """How the repaired script ends, which of its lines were never reached, and what the check says."""
    tree = ast.parse(order["repair"])
    names, failed, reached = run(tree, seed)
    if failed:
        return {"failed": True, "kind": failed.kind, "last": failed.last}
    values = values_of(names, order["names"])
    if values is None:
        return {"failed": False, "values": None}
    unreached = sorted({*code_lines(compile(tree, SCRIPT, "exec"))} - reached)
    digest = hashlib.sha256(repr([shown(values[name]) for name in order["names"]]).encode(errors="replace")).hexdigest()
    passes = holds(check, values)
    blind = passes and all(holds(check, {name: noise(each) for name, each in values.items()}) for _ in range(NOISES))
    return {"failed": False, "unreached": unreached, "values": digest, "holds": passes, "blind": blind}


def case(name: str, work: Callable[[], dict[str, Any]], report: int) -> None:
    """Run one case in a process of its own, and write its line."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)  # it ends the process
        unlock = lock()
        result = json.dumps({"case": name, **work()})
        unlock()
        os.write(report, f"\n{(TASK / 'nonce').read_text()} {result}\n".encode())
    finally:
        os._exit(0)


def warm_up() -> None:
    """Make torch import, once for all cases, what it otherwise imports when an optimizer is first used."""
    weight = torch.ones(1, requires_grad=True)
    weight.sum().backward()
    torch.optim.Adam([weight]).step()


if __name__ == "__main__":
    torch.set_num_threads(1)
    order = json.loads((TASK / "order.json").read_text(encoding="utf-8"))
    check = ast.parse(order["check"])
    if "optim" in order["script"]:
        warm_up()
    report = os.dup(1)
    case("broken", lambda: broken(order, check), report)
    case("dropped", lambda: dropped(order, check), report)
    for seed in order["seeds"]:
        case("repaired", lambda: repaired(order, check, seed), report)  # noqa: B023
