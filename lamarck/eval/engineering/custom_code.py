"""Write a layer, a loss, an optimizer or a collator in plain torch.

The one rung, `passes`: the answer keeps the rules of plain code, and every hidden test of the task file passes against
it. The rules are decided here by reading the code (RULES and the task's `forbids`), the tests by running them in the
sandbox. They share a process with the answer, so an answer that could look around there could also forge a pass: this
is why it may import little and name nothing that leads out of its module. What reading misses, the process itself
refuses (GUARD): the number used once, which says that all tests passed, cannot be read before they did.
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
    "__init__ __new__ __name__ __qualname__ __class__ __all__ __call__ __doc__ __len__ __iter__ __getitem__ "
    "__setattr__ __getstate__ __setstate__ __enter__ __exit__".split()
)
# May be defined but not called by name. Not among them: what would let a value claim to equal another.
METHODS = DUNDERS | frozenset("__post_init__ __repr__ __str__ __next__ __contains__ __getattr__ __setitem__".split())
INTERNALS = frozenset(
    "os sys io inspect importlib gc builtins load from_file f_back f_globals tb_frame _C hub ctypes subprocess pathlib "
    "shutil tempfile tarfile zipfile pickle marshal mmap runpy linecache traceback unittest multiprocessing urllib "
    "socket CodeType FunctionType".split()
)
BUILTINS = frozenset("open exec eval compile globals vars breakpoint input".split())

# A file of its own in the sandbox. An audit hook cannot be taken away again by Python code.
GUARD = """
import sys

import torch
import torch.testing

BARRED = {"ctypes.dlopen", "ctypes.dlsym", "os.exec", "os.link", "os.posix_spawn", "os.rename", "os.symlink"}
BARRED |= {"os.system", "subprocess.Popen"}
OWNERS = (torch, torch.Tensor, torch.nn, torch.nn.Module, torch.nn.functional, torch.testing)


def tools():
    # What a name means in a class may come from any of its parents. Optimizers make torch wrap its own manual_seed.
    for owner in OWNERS:
        for part in reversed(getattr(owner, "__mro__", [owner])):
            for name, tool in vars(part).items():
                if callable(tool) and name != "manual_seed":
                    yield (owner, name), tool


def lock():
    # From here on nothing can read the nonce, or start a program that does, until what this returns is called; that
    # fails if a part of torch, with which the answer is tested, is no longer what it was.
    before = dict(tools())
    locked = [True]

    def watch(event, arguments):
        if locked and (event in BARRED or event == "open" and "nonce" in str(arguments[0])):
            raise PermissionError(event)

    def unlock():
        now = dict(tools())
        changed = [name for (owner, name), tool in before.items() if now.get((owner, name)) is not tool]
        assert not changed, f"torch was changed: {changed}"
        locked.clear()

    sys.addaudithook(watch)
    return unlock
"""

# Prints the nonce only after the last test: an answer that exits early, or prints, never gets there.
CHECK = """
from pathlib import Path

from guard import lock

unlock = lock()
import hidden

tests = [value for name, value in vars(hidden).items() if name.startswith("test_")]
assert tests
for test in tests:
    test()
unlock()
print("\\n" + Path("/task/nonce").read_text())
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
        return {"passes": is_plain(code, frozenset(self.forbids)) and self._passes(code, sandbox)}

    def _passes(self, code: str, sandbox: Sandbox) -> bool:
        nonce = secrets.token_hex(16)
        files = {"solution.py": code, "hidden.py": self.tests, "check.py": CHECK, "guard.py": GUARD, "nonce": nonce}
        run = sandbox.python(files, "check.py", LIMITS)
        return run.succeeded and nonce in run.stdout.splitlines()


def is_plain(code: str, forbids: Set[str] = frozenset()) -> bool:
    """Whether the code can be read, holds something, and keeps the rules."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    imported = set(_imported(tree))
    broken = any(_breaks(node, imported, forbids) for node in ast.walk(tree))
    return bool(tree.body) and not broken and not _passes_torch_on(tree)


def _passes_torch_on(tree: ast.Module) -> bool:
    """Whether an imported module of torch is used for more than what is in it: by another name it escapes the rules."""
    nodes = list(ast.walk(tree))
    aliases = [alias for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    modules = {alias.asname or "torch" for alias in aliases if alias.name.partition(".")[0] == "torch"}
    looked_into = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    used = (node for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load))
    return any(node.id in modules and id(node) not in looked_into for node in used)


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
            bare = {name.lstrip("_") for name in named}
            return level > 0 or _is_closed(module or "") or bool((named | bare) & (INTERNALS | {"*"} | forbids))
        case ast.Attribute(value=value, attr=attr, ctx=ctx):
            replaced = not isinstance(ctx, ast.Load) and _root(value) in imported
            # Standard modules import others under names such as _os.
            inner = attr in INTERNALS or attr.lstrip("_") in INTERNALS - {"load"}
            return replaced or inner or attr in forbids or _is_internal(attr)
        case ast.Name(id=name):
            return name in BUILTINS | forbids or _is_internal(name)
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return _is_internal(name) and name not in METHODS
        case ast.Call(func=ast.Name(id="getattr" | "setattr" | "delattr"), args=[first, *_]):
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
