"""What a change of a file is: how much more there is to read, whether it changes anything, or luck alone. Pure."""

import ast
from collections.abc import Mapping
from typing import Any

import yaml

from lamarck import strict_yaml
from lamarck.errors import LamarckError

SEED = "seed"
PYTHON, YAML = (".py",), (".yaml", ".yml")


def nodes(name: str, content: bytes) -> int:
    """Of the syntax tree of a Python file, of the tree of a YAML file; of any other file its words.

    Errors: ValueError where it cannot be parsed; the message says where.
    """
    text = _text(content)
    if name.endswith(PYTHON):
        return sum(1 for _ in ast.walk(_parsed(text)))
    if name.endswith(YAML):
        return _yaml_nodes(yaml.compose(text, yaml.SafeLoader))
    return len(text.split())


def added(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> int:
    """Nodes that `after` has more. Errors: ValueError where it cannot be parsed."""
    return sum(nodes(name, content) for name, content in after.items()) - sum(
        nodes(name, content) for name, content in before.items()
    )


def says_the_same(name: str, before: bytes, after: bytes, without_seeds: bool = False) -> bool:
    """Whether two files mean the same: comments and layout aside, and, if asked, numbers that are seeds."""
    if before == after:
        return True
    try:
        return _meaning(name, before, without_seeds) == _meaning(name, after, without_seeds)
    except ValueError:
        return False


def _meaning(name: str, content: bytes, without_seeds: bool) -> Any:
    text = _text(content)
    if name.endswith(PYTHON):
        tree = _parsed(text)
        return ast.dump(_Seedless().visit(tree) if without_seeds else tree)
    if name.endswith(YAML):
        try:
            value = strict_yaml.loads(content, name)
        except LamarckError as error:
            raise ValueError(str(error)) from error
        return _seedless(value) if without_seeds else value
    return text.split()


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8 text") from error


def _parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError as error:
        raise ValueError(f"{type(error).__name__}: {error.msg} (line {error.lineno})") from error
    except (RecursionError, MemoryError) as error:
        raise ValueError("SyntaxError: it is nested too deep") from error


def _yaml_nodes(node: yaml.Node | None) -> int:
    if node is None:
        return 0
    if isinstance(node, yaml.MappingNode):
        return 1 + sum(_yaml_nodes(key) + _yaml_nodes(value) for key, value in node.value)
    if isinstance(node, yaml.SequenceNode):
        return 1 + sum(map(_yaml_nodes, node.value))
    return 1


def _seedless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _seedless(each) for key, each in value.items() if SEED not in str(key).lower()}
    return [_seedless(each) for each in value] if isinstance(value, list) else value


PLAIN_CALLS = frozenset(("int", "float", "str", "abs", "hash", "get", "getenv"))


class _Seedless(ast.NodeTransformer):
    """What is assigned to, or given to a call of, what is called a seed becomes zero, unless it computes more."""

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        if any(_about_seeds(target) for target in node.targets) and _is_plain(node.value):
            node.value = ast.Constant(0)
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if _about_seeds(node.target) and node.value is not None and _is_plain(node.value):
            node.value = ast.Constant(0)
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if _about_seeds(node.func) or any(_is_text_about_seeds(each) for each in node.args):
            node.args = [ast.Constant(0) if _is_plain(each) else each for each in node.args]
        for keyword in node.keywords:
            if keyword.arg and SEED in keyword.arg.lower() and _is_plain(keyword.value):
                keyword.value = ast.Constant(0)
        return self.generic_visit(node)


def _is_plain(node: ast.expr) -> bool:
    """Whether an expression is a number, or one that is read from somewhere: it computes nothing else."""
    calls = [each.func for each in ast.walk(node) if isinstance(each, ast.Call)]
    return all(_called(func) in PLAIN_CALLS or SEED in _called(func).lower() for func in calls)


def _called(func: ast.expr) -> str:
    return func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""


def _about_seeds(node: ast.expr) -> bool:
    """Whether a name, an attribute or a key speaks of a seed."""
    if isinstance(node, ast.Subscript):
        return _about_seeds(node.value) or _about_seeds(node.slice)
    return SEED in _called(node).lower() or _is_text_about_seeds(node)


def _is_text_about_seeds(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and SEED in node.value.lower()
