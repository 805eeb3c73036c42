"""The examination of python_code: runs in the examiner's room. TESTS, NAME and STUBS are put before it.

The tests are a model's, so none of them runs: plain_expression.py carries them out, and the function that they call is
the answer's, in its room, or one of the stubs here.
"""

from examiner import ask  # type: ignore[import-not-found]
from plain_expression import NotPlainExpression, holds  # type: ignore[import-not-found]


def answer(*given, **named):
    return ask(f"{NAME}(*given, **named)", given=given, named=named)  # noqa: F821


def none(*given, **named):
    return None


def first(*given, **named):
    return [*given, *named.values()][0]


def passes(tests, function):
    try:
        return holds(tests, {NAME: function})  # noqa: F821
    except NotPlainExpression as reason:
        raise AssertionError(f"a test with {reason}") from reason


def test_answer():
    assert passes(ALL_TESTS, answer)  # noqa: F821


def none_fails():
    assert not passes(TESTS, none)  # noqa: F821


def first_fails():
    assert not passes(TESTS, first)  # noqa: F821
