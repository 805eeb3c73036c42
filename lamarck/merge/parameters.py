"""The value that a parameter has for one tensor: filters, gradients, and which level wins. Light."""

from collections.abc import Sequence
from dataclasses import dataclass

from lamarck.merge.document import Filtered, Scalar, Setting, Settings


@dataclass(frozen=True)
class Level:
    """The settings of one level, and where the tensor lies in what its gradients run over: 0 first, 1 last layer."""

    settings: Settings
    position: float


def lookup(name: str, tensor: str, levels: Sequence[Level]) -> Scalar | None:
    """The value of the parameter `name` for `tensor`: of the first level that has one. None where none has."""
    for level in levels:
        if name in level.settings:
            value = evaluate(level.settings[name], tensor, level.position)
            if value is not None:
                return value
    return None


def evaluate(setting: Setting, tensor: str, position: float) -> Scalar | None:
    """The value of one setting; None where it has filters and none matches."""
    if not isinstance(setting, tuple):
        return setting
    if setting and isinstance(setting[0], Filtered):
        for choice in setting:
            assert isinstance(choice, Filtered)
            if choice.filter in (None, "*") or choice.filter in tensor:
                return evaluate(choice.value, tensor, position)
        return None
    return _along([value for value in setting if not isinstance(value, Filtered)], position)


def _along(values: list[Scalar], position: float) -> Scalar:
    """Piecewise linear through the values, evenly spaced over 0..1; steps where they are no numbers."""
    place = position * (len(values) - 1)
    left = min(int(place), len(values) - 1)
    first, second = values[left], values[min(left + 1, len(values) - 1)]
    if isinstance(first, bool | str) or isinstance(second, bool | str):
        return first
    share = place - left
    return (1 - share) * first + share * second


def values_of(setting: Setting) -> list[Scalar]:
    """Every value that stands in a setting: to check them all before anything runs."""
    if not isinstance(setting, tuple):
        return [setting]
    flat: list[Scalar] = []
    for part in setting:
        flat += values_of(part.value) if isinstance(part, Filtered) else [part]
    return flat
