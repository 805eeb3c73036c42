"""Python that leads nowhere out of computing: decided by reading it, before it may run in the sandbox. Light."""

import ast
import collections
import functools
import itertools
import math
import re
import statistics
import string
import types
import typing
from collections.abc import Set

from lamarck.skills.base import Malformed

MODULES = (collections, functools, itertools, math, re, statistics, string, typing)
IMPORTS = frozenset(module.__name__ for module in MODULES)
BUILTINS = frozenset(
    "abs all any ascii bin bool bytearray bytes callable chr complex dict divmod enumerate filter float format "
    "frozenset hex int isinstance issubclass iter len list map max min next oct ord pow range repr reversed round set "
    "slice sorted str sum tuple zip ArithmeticError AssertionError AttributeError Exception IndexError KeyError "
    "LookupError OverflowError RecursionError StopIteration TypeError ValueError ZeroDivisionError".split()
)
# The modules that these modules import, and what of theirs evaluates text, follows names, or copies what names hold.
INTERNALS = {name for each in MODULES for name, value in vars(each).items() if isinstance(value, types.ModuleType)}
INTERNALS |= {"*", "Formatter", "get_type_hints", "singledispatch", "singledispatchmethod", "update_wrapper", "wraps"}
INNER = re.compile(r"_|(ag|co|cr|f|gi|tb)_")  # also of frames, which lead to whoever called
UNUSUAL = (ast.ClassDef, ast.AsyncFunctionDef, ast.Await, ast.Global, ast.Match)


def plain_statements(code: str, *known: str) -> list[ast.stmt]:
    """The statements of Python code that is plain and may use the `known` names. Errors: Malformed."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Malformed("code that Python cannot read") from error
    foreign = _foreign(tree, {*known, *BUILTINS})
    if foreign:
        raise Malformed(f"code that is not plain: it uses {foreign}")
    return tree.body


def _foreign(tree: ast.Module, known: Set[str]) -> str | None:
    """What in the code could lead out of plain computing, if anything."""
    used: set[str] = set()
    bound: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                used.add(name)
            case ast.Name(id=name) | ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.ExceptHandler(name=str(name)):
                bound.add(name)
            case ast.Attribute(attr=name, ctx=ctx):
                if not isinstance(ctx, ast.Load) or name in INTERNALS or INNER.match(name):
                    return f"the attribute {name}"
            case ast.Import(names=names):
                bound |= {alias.asname or alias.name for alias in names}
                if not IMPORTS.issuperset(alias.name for alias in names):
                    return f"the module {names[0].name}"
            case ast.ImportFrom(module=module, names=names, level=level):
                bound |= {alias.asname or alias.name for alias in names}
                if level or module not in IMPORTS or any(a.name in INTERNALS or INNER.match(a.name) for a in names):
                    return f"the import of {names[0].name}"
            case _ if isinstance(node, UNUSUAL):
                return f"a {type(node).__name__}"
    # Whatever a name is bound to, the room has no other builtins than these.
    dunder = (name for name in sorted(used | bound) if name.startswith("__"))
    return next((f"the name {name}" for name in (*dunder, *sorted(used - bound - known))), None)
