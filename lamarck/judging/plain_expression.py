"""What an `assert` of a model's comes to, without running it: an interpreter of a small part of Python's expressions.

A test that a model wrote must not decide by running: it could do anything, the verdict included. So its expressions are
read and carried out here, over plain data: literals, names, operators, comparisons, comprehensions, and calls of what
the lists below name. Nothing in it can reach an attribute that is not listed. Also runs in the rooms, alone.
"""

import ast
import builtins
import math
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

FUNCTIONS = (
    "abs all any bool complex dict divmod enumerate float frozenset int isinstance len list max min ord chr pow range "
    "reversed round set sorted str sum tuple zip"
).split()
METHODS: dict[type, frozenset[str]] = {
    str: frozenset("count endswith find index isalpha isdigit join lower replace split startswith strip upper".split()),
    list: frozenset(("count", "index")),
    tuple: frozenset(("count", "index")),
    dict: frozenset(("get", "items", "keys", "values")),
    set: frozenset("difference intersection issubset issuperset union".split()),
}
# Of torch, as functions and as methods of tensors: they compute, and reach nothing else.
TORCH = frozenset(
    "abs add all allclose amax amin any arange argmax argmin argsort binary_cross_entropy bincount bmm bool cat ceil "
    "chunk clamp clone cos cosine_similarity cross_entropy cumprod cumsum detach diag diagonal diff dim div dot double "
    "dtype einsum eq equal exp expand eye finfo flatten flip float floor full full_like gather ge gelu gt histc "
    "index_select int isclose isfinite isin isinf isnan item l1_loss layer_norm le linspace log log1p log2 log_softmax "
    "logsumexp long lt masked_fill masked_select matmul max maximum mean median min minimum mm mse_loss mul ndim ne "
    "neg nll_loss nonzero norm normalize numel one_hot ones ones_like outer permute pow prod relu repeat reshape roll "
    "round rsqrt select shape sigmoid sign sin size softmax sort split sqrt square squeeze stack std sub sum t take "
    "tan tanh tensor tile tolist topk trace transpose tril triu trunc unbind unique unsqueeze var view where zeros "
    "zeros_like T bfloat16 bool float16 float32 float64 int8 int16 int32 int64 uint8".split()
)
BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.MatMult: operator.matmul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
    ast.BitXor: operator.xor,
}
UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
}
COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda one, other: one in other,
    ast.NotIn: lambda one, other: one not in other,
}


class NotPlainExpression(ValueError):
    """An expression that nothing here can decide; the text says what in it."""


def holds(check: str, names: Mapping[str, Any]) -> bool:
    """Whether every assert of `check` holds; `names` are plain data and functions of the caller's. What raises does not
    hold. Errors: NotPlainExpression."""
    lines = ast.parse(check).body
    scope = dict(names)
    try:
        for line in lines:
            match line:
                case ast.Import(names=[ast.alias(name="math", asname=None)]):
                    scope["math"] = math
                case ast.Assert(test=test):
                    if not _value(test, scope):
                        return False
                case _:
                    raise NotPlainExpression(f"a statement of kind {type(line).__name__}")
    except NotPlainExpression:
        raise
    except (Exception, RecursionError):
        return False
    return True


def _value(node: ast.expr, scope: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return _named(name, scope)
        case ast.List(elts=elements):
            return [*_elements(elements, scope)]
        case ast.Tuple(elts=elements):
            return (*_elements(elements, scope),)
        case ast.Set(elts=elements):
            return {*_elements(elements, scope)}
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            return {_value(_whole(key), scope): _value(each, scope) for key, each in pairs}
        case ast.UnaryOp(op=op, operand=operand):
            return UNARY[type(op)](_value(operand, scope))
        case ast.BinOp(left=left, op=op, right=right):
            return _binary(op, _value(left, scope), _value(right, scope))
        case ast.BoolOp(op=op, values=values):
            return _boolean(op, values, scope)
        case ast.Compare(left=left, ops=ops, comparators=others):
            return _compared(_value(left, scope), ops, others, scope)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return _value(body if _value(test, scope) else orelse, scope)
        case ast.Subscript(value=value, slice=index):
            return _value(value, scope)[_value(index, scope)]
        case ast.Slice(lower=lower, upper=upper, step=step):
            return slice(*(_value(each, scope) if each else None for each in (lower, upper, step)))
        case ast.GeneratorExp(elt=element, generators=generators) | ast.ListComp(elt=element, generators=generators):
            return [_value(element, inner) for inner in _scopes(generators, scope)]
        case ast.SetComp(elt=element, generators=generators):
            return {_value(element, inner) for inner in _scopes(generators, scope)}
        case ast.DictComp(key=key, value=value, generators=generators):
            return {_value(key, inner): _value(value, inner) for inner in _scopes(generators, scope)}
        case ast.Attribute(value=value, attr=name):
            return _attribute(_value(value, scope), name)
        case ast.Call(func=function, args=arguments, keywords=keywords):
            given = [*_elements(arguments, scope)]
            named = {_text(keyword.arg): _value(keyword.value, scope) for keyword in keywords}
            called = _value(function, scope)
            if isinstance(called, type) and called.__module__ != "builtins":
                raise NotPlainExpression(f"a call of {called.__name__}")
            return called(*given, **named)
    raise NotPlainExpression(f"an expression of kind {type(node).__name__}")


def _named(name: str, scope: Mapping[str, Any]) -> Any:
    if name in scope:
        return scope[name]
    if name in FUNCTIONS:
        return getattr(builtins, name)
    raise NotPlainExpression(f"the name {name}")


def _elements(nodes: list[ast.expr], scope: Mapping[str, Any]) -> Iterator[Any]:
    for node in nodes:
        if isinstance(node, ast.Starred):
            yield from _value(node.value, scope)
        else:
            yield _value(node, scope)


def _binary(op: ast.operator, left: Any, right: Any) -> Any:
    # Format strings lead to attributes.
    if isinstance(op, ast.Mod) and isinstance(left, str | bytes):
        raise NotPlainExpression("a format string")
    return BINARY[type(op)](left, right)


def _boolean(op: ast.boolop, values: list[ast.expr], scope: Mapping[str, Any]) -> Any:
    found = None
    for each in values:
        found = _value(each, scope)
        if bool(found) is isinstance(op, ast.Or):
            break
    return found


def _compared(left: Any, ops: list[ast.cmpop], others: list[ast.expr], scope: Mapping[str, Any]) -> Any:
    result = True
    for op, other in zip(ops, others, strict=True):
        right = _value(other, scope)
        result = COMPARE[type(op)](left, right)
        if len(ops) > 1 and not result:
            break
        left = right
    return result


def _scopes(generators: list[ast.comprehension], scope: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if not generators:
        yield scope
        return
    first, *rest = generators
    for each in _value(first.iter, scope):
        inner = {**scope, **_bound(first.target, each)}
        if all(_value(condition, inner) for condition in first.ifs):
            yield from _scopes(rest, inner)


def _bound(target: ast.expr, value: Any) -> dict[str, Any]:
    match target:
        case ast.Name(id=name):
            return {name: value}
        case ast.Tuple(elts=targets) | ast.List(elts=targets):
            pairs = zip(targets, value, strict=True)
            return {name: each for inner, part in pairs for name, each in _bound(inner, part).items()}
    raise NotPlainExpression("a target that is no name")


def _attribute(value: Any, name: str) -> Any:
    """Errors: NotPlainExpression for every attribute that is not listed."""
    if value is math and not name.startswith("_"):
        return getattr(math, name)
    for kind, methods in METHODS.items():
        if type(value) is kind and name in methods:
            return getattr(value, name)
    module = type(value).__module__
    is_torch = getattr(value, "__name__", "") in ("torch", "torch.nn", "torch.nn.functional", "torch.linalg")
    if is_torch and (name in TORCH or name in ("nn", "functional", "linalg")):
        return getattr(value, name)
    if module == "torch" and type(value).__name__ == "Tensor" and name in TORCH:
        return getattr(value, name)
    # What sort, max and topk return: named results.
    if module == "torch.return_types" and name in ("values", "indices"):
        return getattr(value, name)
    raise NotPlainExpression(f"the attribute {name}")


def _whole(key: ast.expr | None) -> ast.expr:
    if key is None:
        raise NotPlainExpression("a dictionary that takes in another")
    return key


def _text(name: str | None) -> str:
    if name is None:
        raise NotPlainExpression("keywords from a dictionary")
    return name
