"""Write a layer, a loss, an optimizer or a collator in plain torch.

The one rung, `passes`: the answer keeps the rules of plain code, and every hidden test of the task file passes against
it. The rules are decided here by reading the code (RULES and the task's `forbids`), the tests by running them in the
sandbox. They share a process with the answer, so an answer that could look around there could also forge a pass: this
is why it may import little and name nothing that leads out of its module.
"""

import ast
import secrets
from collections.abc import Iterator, Set
from typing import ClassVar, Literal

from pydantic import Field

from lamarck.eval.answer import code_of
from lamarck.eval.engineering.base import EngineeringTask
from lamarck.eval.sandbox import Limits, Sandbox

LIMITS = Limits(seconds=40, output_bytes=256 * 2**10)
LONGEST_ANSWER = 100_000

# RULES, as every prompt states them: these imports only, no files, no interpreter internals, nothing of torch replaced.
IMPORTS = frozenset(
    "torch math typing collections dataclasses itertools functools random copy abc enum numbers warnings contextlib "
    "__future__".split()
)
DUNDERS = frozenset(
    "__init__ __new__ __name__ __qualname__ __class__ __all__ __call__ __doc__ __len__ __iter__ __getitem__ __setattr__ "
    "__getstate__ __setstate__ __enter__ __exit__".split()
)
INTERNALS = frozenset("os sys io inspect importlib gc builtins load from_file f_back f_globals tb_frame".split())
BUILTINS = frozenset("open exec eval compile globals vars breakpoint input".split())

# Prints the nonce only after the last test: an answer that exits early, or prints, never gets there.
CHECK = """
from pathlib import Path

nonce = Path("/task/nonce").read_text()
import hidden

tests = [value for name, value in vars(hidden).items() if name.startswith("test_")]
assert tests
for test in tests:
    test()
print("\\n" + nonce)
"""


class CustomCode(EngineeringTask):
    """A module to be written, judged by unit tests that the prompt describes but does not show."""

    rungs: ClassVar[tuple[str, ...]] = ("passes",)

    kind: Literal["custom_code"]
    tests: str = Field(min_length=1, description="Python: functions test_*, which import from `solution`.")
    forbids: tuple[str, ...] = Field(
        (), description="Names that would do the work for the answer; the prompt says them."
    )

    def judge(self, answer: str, sandbox: Sandbox) -> dict[str, bool]:
        code = code_of(answer) if len(answer) <= LONGEST_ANSWER else ""
        return {"passes": _is_plain(code, frozenset(self.forbids)) and self._passes(code, sandbox)}

    def _passes(self, code: str, sandbox: Sandbox) -> bool:
        nonce = secrets.token_hex(16)
        files = {"solution.py": code, "hidden.py": self.tests, "check.py": CHECK, "nonce": nonce}
        run = sandbox.python(files, "check.py", LIMITS)
        return run.succeeded and nonce in run.stdout.splitlines()


def _is_plain(code: str, forbids: Set[str]) -> bool:
    """Whether the code can be read, holds something, and keeps the rules."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    imported = set(_imported(tree))
    broken = any(_breaks(node, imported, forbids) for node in ast.walk(tree))
    return bool(tree.body) and not broken


def _imported(tree: ast.Module) -> Iterator[str]:
    """The names by which the module knows what it imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name.partition(".")[0]


def _breaks(node: ast.AST, imported: Set[str], forbids: Set[str]) -> bool:
    match node:
        case ast.Import(names=names):
            return any(_is_closed(alias.name) or not forbids.isdisjoint(alias.name.split(".")) for alias in names)
        case ast.ImportFrom(module=module, names=names, level=level):
            named = {alias.name for alias in names}
            return level > 0 or _is_closed(module or "") or bool(named & (INTERNALS | {"*"} | forbids))
        case ast.Attribute(value=value, attr=attr, ctx=ctx):
            replaced = not isinstance(ctx, ast.Load) and _root(value) in imported
            return replaced or attr in INTERNALS | forbids or _is_internal(attr)
        case ast.Name(id=name):
            return name in BUILTINS | forbids or _is_internal(name)
        case ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[first, *_]):
            return _root(first) in imported
    return False


def _is_closed(module: str) -> bool:
    first, *rest = module.split(".")
    return first not in IMPORTS or not INTERNALS.isdisjoint(rest)


def _is_internal(name: str) -> bool:
    return name.startswith("__") and name.endswith("__") and name not in DUNDERS


def _root(node: ast.expr) -> str | None:
    """The first name of `a.b.c`."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None
