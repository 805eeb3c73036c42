"""Code in which names mean nothing: for problems that stay the same whatever their variables are called. Light."""

import ast
from collections.abc import Mapping, Sequence

from lamarck.errors import Malformed


def renamed(tree: ast.AST, names: Mapping[str, str], arguments: Mapping[str, str]) -> str:
    """The code of a tree in one layout and one case: without comments, its variables and functions under other `names`,
    and `arguments` too where they are given by name. Errors: Malformed for what is nested too deep."""
    try:
        return ast.unparse(_Renaming(names, arguments).visit(tree)).casefold()
    except RecursionError as error:
        raise Malformed("code that is nested too deep") from error


def numbered(tree: ast.AST) -> tuple[dict[str, str], dict[str, str]]:
    """(other names, other arguments) for all that a script binds, numbered in the order in which they come up."""
    names: dict[str, str] = {}
    arguments: dict[str, str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.setdefault(name, f"v{len(names)}")
            case ast.arg(arg=name):
                arguments[name] = names.setdefault(name, f"v{len(names)}")
    return names, arguments


def in_order(arguments: Sequence[str]) -> dict[str, str]:
    """Other names for the arguments of one function."""
    return {name: f"a{place}" for place, name in enumerate(arguments)}


class _Renaming(ast.NodeTransformer):
    def __init__(self, names: Mapping[str, str], arguments: Mapping[str, str]) -> None:
        self._names = names
        self._arguments = arguments

    def visit(self, node: ast.AST) -> ast.AST:
        self.generic_visit(node)
        match node:
            case ast.Name(id=name):
                node.id = self._names.get(name, name)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                node.name = self._names.get(name, name)
            case ast.arg(arg=name):
                node.arg = self._names.get(name, name)
            case ast.keyword(arg=str(name)):
                node.arg = self._arguments.get(name, name)
        return node
