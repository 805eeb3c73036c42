"""What code of a model's may say, decided by reading it: for items that people and models learn from. Light.

One way to read, and two sets of rules. `PURE` is for functions in Python alone: few builtins, no classes. `TORCH` is
for scripts and modules that train: any builtin but those that open, run or list something, and nothing inside torch
replaced. No verdict hangs on it: an answer that reading lets through still runs in a room where nothing can be won.
"""

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
from collections.abc import Iterator, Set
from dataclasses import dataclass

from lamarck.errors import Malformed


@dataclass(frozen=True)
class Rules:
    imports: frozenset[str]  # the modules that it may import, with what lies in them
    internals: frozenset[str]  # names that lead out of these modules
    attributes: re.Pattern[str]  # what it may call no attribute
    names: re.Pattern[str]  # nor anything else
    methods: frozenset[str]  # may be defined all the same
    builtins: frozenset[str] | None  # the only ones; None: all
    barred: frozenset[str]  # names that it may not use, though others may be called so, as in model.eval()
    unusual: tuple[type[ast.AST], ...]  # statements and expressions that it may not have
    stores: bool  # whether it may set attributes, of what it has not imported


_MODULES = (collections, functools, itertools, math, re, statistics, string, typing)
# The modules that these modules import, and what of theirs evaluates text, follows names, or copies what names hold.
_INTERNALS = {name for each in _MODULES for name, value in vars(each).items() if isinstance(value, types.ModuleType)}
_INTERNALS |= {"*", "Formatter", "get_type_hints", "singledispatch", "singledispatchmethod", "update_wrapper", "wraps"}

PURE = Rules(
    imports=frozenset(module.__name__ for module in _MODULES),
    internals=frozenset(_INTERNALS),
    attributes=re.compile(r"_|(ag|co|cr|f|gi|tb)_"),  # also of frames, which lead to whoever called
    names=re.compile("__"),
    methods=frozenset(),
    builtins=frozenset(
        "abs all any ascii bin bool bytearray bytes callable chr complex dict divmod enumerate filter float format "
        "frozenset hex int isinstance issubclass iter len list map max min next oct ord pow range repr reversed round "
        "set slice sorted str sum tuple zip ArithmeticError AssertionError AttributeError Exception IndexError "
        "KeyError LookupError OverflowError RecursionError StopIteration TypeError ValueError ZeroDivisionError".split()
    ),
    barred=frozenset(),
    unusual=(ast.ClassDef, ast.AsyncFunctionDef, ast.Await, ast.Global, ast.Match),
    stores=False,
)

_DUNDERS = (
    "__init__ __new__ __name__ __qualname__ __class__ __all__ __call__ __doc__ __len__ __iter__ __getitem__ "
    "__setattr__ __getstate__ __setstate__ __enter__ __exit__"
).split()
_INTERPRETERS = re.compile(rf"(?!(?:{'|'.join(_DUNDERS)})$)__.*__$", re.DOTALL)

# As every prompt states them: these imports only, no files, no interpreter internals, nothing of torch replaced.
TORCH = Rules(
    imports=frozenset(
        "torch math typing collections dataclasses itertools functools random copy abc enum numbers warnings "
        "contextlib __future__".split()
    ),
    internals=frozenset(
        "* os sys io inspect importlib gc builtins load from_file f_back f_globals tb_frame _C hub ctypes subprocess "
        "pathlib shutil tempfile tarfile zipfile pickle marshal mmap runpy linecache traceback unittest "
        "multiprocessing urllib socket CodeType FunctionType".split()
    ),
    attributes=_INTERPRETERS,
    names=_INTERPRETERS,
    # Not among them: what would let a value claim to equal another.
    methods=frozenset("__post_init__ __repr__ __str__ __next__ __contains__ __getattr__ __setitem__".split()),
    builtins=None,
    barred=frozenset("open exec eval compile globals vars breakpoint input".split()),
    unusual=(),
    stores=True,
)


def plain_statements(
    code: str, rules: Rules, *, known: Set[str] = frozenset(), forbids: Set[str] = frozenset()
) -> list[ast.stmt]:
    """The statements of Python code that keeps the rules; it may use the `known` names and none that the caller
    `forbids`. Errors: Malformed."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Malformed("code that Python cannot read") from error
    foreign = next(_foreign(tree, rules, known, forbids), None)
    if foreign:
        raise Malformed(f"code that is not plain: it uses {foreign}")
    return tree.body


def names_in(code: str) -> set[str]:
    """Every name in Python code: of variables, attributes, modules and what is imported from them; none where Python
    cannot read it."""
    try:
        nodes = list(ast.walk(ast.parse(code)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    names |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            names |= set((node.module or "").split("."))
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {part for alias in node.names for part in alias.name.split(".")}
    return names


def _foreign(tree: ast.Module, rules: Rules, known: Set[str], forbids: Set[str]) -> Iterator[str]:
    """What in the code could lead out of plain computing."""
    nodes = list(ast.walk(tree))
    imported = set(_imported(nodes))
    used: set[str] = set()
    bound = set(imported)
    for node in nodes:
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                used.add(name)
            case ast.Name(id=name) | ast.arg(arg=name) | ast.ExceptHandler(name=str(name)):
                bound.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if name not in rules.methods:
                bound.add(name)
            case ast.Attribute(value=value, attr=name, ctx=ctx):
                if _leads_out(name, rules, forbids) or rules.attributes.match(name):
                    yield f"the attribute {name}"
                if not isinstance(ctx, ast.Load) and (not rules.stores or _root(value) in imported):
                    yield f"the attribute {name}, which it sets"
            case ast.Import(names=names):
                for alias in names:
                    if _is_closed(alias.name, rules) or not forbids.isdisjoint(alias.name.split(".")):
                        yield f"the module {alias.name}"
            case ast.ImportFrom(module=module, names=names, level=level):
                for alias in names:
                    inner = _leads_out(alias.name, rules, forbids)
                    if level or _is_closed(module or "", rules) or inner or rules.attributes.match(alias.name):
                        yield f"the import of {alias.name}"
            case ast.Call(func=ast.Name(id="getattr" | "setattr" | "delattr" as name), args=[first, *_]):
                if _root(first) in imported:
                    yield f"{name} on what it imports"
        if isinstance(node, rules.unusual):
            yield f"a {type(node).__name__}"
    if _passes_torch_on(nodes):
        yield "a module of torch as a value"
    # Whatever a name is bound to, the room has no other builtins than these.
    unknown = used - bound - known - rules.builtins if rules.builtins is not None else set()
    barred = {node.id for node in nodes if isinstance(node, ast.Name)} & (rules.barred | forbids)
    internal = {name for name in used | bound if rules.names.match(name)}
    yield from (f"the name {name}" for name in (*sorted(internal), *sorted(barred | unknown)))


def _imported(nodes: list[ast.AST]) -> Iterator[str]:
    """The names by which the code knows what it imports."""
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name.partition(".")[0]


def _leads_out(name: str, rules: Rules, forbids: Set[str]) -> bool:
    """Whether a name leads out of its module. Standard modules import others under names such as _os; what models call
    _load is their own."""
    return name in rules.internals | forbids or name.lstrip("_") in rules.internals - {"load"}


def _is_closed(module: str, rules: Rules) -> bool:
    first, *rest = module.split(".")
    return first not in rules.imports or not rules.internals.isdisjoint(rest)


def _passes_torch_on(nodes: list[ast.AST]) -> bool:
    """Whether an imported module of torch is used for more than what is in it: by another name it escapes the rules."""
    aliases = [alias for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    modules = {alias.asname or "torch" for alias in aliases if alias.name.partition(".")[0] == "torch"}
    looked_into = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    used = (node for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load))
    return any(node.id in modules and id(node) not in looked_into for node in used)


def _root(node: ast.expr) -> str | None:
    """The first name of `a.b.c`."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None
