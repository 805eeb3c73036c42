"""The examination of python_code: runs in the examiner's room. NAME, EXAMPLES, TESTS, FEWEST_TESTS stand before it.

The tests are a model's, so none of them runs: plain_expression.py carries them out, and the function that they call is
the answer's, in its room, or one of the stubs here.
"""

import ast

from examiner import ask  # type: ignore[import-not-found]
from plain_expression import NotPlainExpression, holds  # type: ignore[import-not-found]

MOST_VARIED = 24  # calls that are in no test
calls = []  # of the examples and tests: what was given, and the value that came


def answer(*given, **named):
    return ask(f"{NAME}(*given, **named)", given=given, named=named)  # noqa: F821


def noted(*given, **named):
    value = answer(*given, **named)
    calls.append((given, named, value))
    return value


def none(*given, **named):
    return None


def first(*given, **named):
    return [*given, *named.values()][0]


def other(*given, **named):
    return another(answer(*given, **named))


def another(value):
    """A different value of the same kind."""
    match value:
        case bool():
            return not value
        case int() | float() | complex():
            return value + 1
        case str():
            return f"{value}?"
        case list():
            return [*value, *value[-1:]] or [0]
        case tuple():
            return (*value, *value[-1:]) or (0,)
        case dict():
            return {**value, "?": 0}
        case set() | frozenset():
            return value | {"?"}
        case bytes():
            return value + b"?"
    return 0


def varied(value):
    """Values of the kind of `value`, as a call might have them: shorter, longer, in another order, other numbers."""
    match value:
        case bool():
            return [not value]
        case int() | float():
            return [value + 1, value - 1, 2 * value + 3]
        case str() | list() | tuple():
            return [value[1:], value[::-1], value + value[:1]]
        case dict():
            pairs = list(value.items())
            return [dict(pairs[1:]), {key: (varied(each) or [each])[0] for key, each in pairs}]
    return []


def passes(tests, function):
    try:
        return holds(tests, {NAME: function})  # noqa: F821
    except NotPlainExpression as reason:
        raise AssertionError(f"a test with {reason}") from reason


def test_answer():
    assert passes(f"{EXAMPLES}\n{TESTS}", noted)  # noqa: F821


def none_fails():
    assert not passes(TESTS, none)  # noqa: F821


def first_fails():
    assert not passes(TESTS, first)  # noqa: F821


def others_fail():
    """So many tests hold for the right value alone that a function which knows no more than its kind passes few."""
    lines = ast.parse(TESTS).body  # noqa: F821
    imports = [ast.unparse(line) for line in lines if not isinstance(line, ast.Assert)]
    tests = {ast.unparse(line) for line in lines if isinstance(line, ast.Assert)}
    exact = [test for test in tests if not passes("\n".join([*imports, test]), other)]
    assert len(exact) >= FEWEST_TESTS  # noqa: F821


def values_differ():
    assert len({repr(value) for _, _, value in calls}) > 1


def more_than_a_table():
    """What is in no test is answered too: some of it with a value of the tests' kind, and not all with the same one."""
    known = {repr((given, named)) for given, named, _ in calls}
    kinds, results = {type(value) for _, _, value in calls}, {repr(value) for _, _, value in calls}
    said = set()
    for number, (given, named) in enumerate(fresh()):
        if number == MOST_VARIED:
            break
        if repr((given, named)) in known:
            continue
        try:
            value = answer(*given, **named)
        except Exception:  # a call that the function refuses
            continue
        if type(value) in kinds:
            said.add(repr(value))
    assert len(said) > (1 if len(results) > 2 else 0)


def fresh():
    """Every call with one argument varied, those of all calls in turn."""
    for given, named, _ in calls:
        for place, each in enumerate(given):
            yield from (((*given[:place], value, *given[place + 1 :]), named) for value in varied(each))
        for name, each in named.items():
            yield from ((given, {**named, name: value}) for value in varied(each))
