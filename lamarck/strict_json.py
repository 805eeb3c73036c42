"""JSON as a model wrote it, or as it comes from the net, read so that no text can mean two things. Light."""

import json
import math
from typing import Any, Never

MOST_DIGITS = 15  # of an integer: longer ones do not survive arithmetic with floats


def loads(text: str) -> Any:
    """The value of a JSON text. Errors: ValueError for what is not JSON, for a key that stands twice, for NaN and the
    infinities, and for numbers too large to be computed with; RecursionError where it is nested too deep."""
    return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse, parse_float=_float, parse_int=_int)


def finite(text: str) -> Any:
    """The value of a JSON text, without NaN and the infinities. Errors: ValueError, and RecursionError, as `loads`."""
    return json.loads(text, parse_constant=_refuse, parse_float=_float)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a key stands twice")
    return members


def _refuse(constant: str) -> Never:
    raise ValueError(f"{constant} is not JSON")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large")
    return value


def _int(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError("an integer is too long")
    return int(text)
