"""What may vary between strategies: keys with their ranges, how a value is drawn, changed, and handed down. Pure."""

import math
import random
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from lamarck.config.section import Section

STEP = 0.2  # standard deviation of a mutation, as a share of the range
Value = int | float | str | bool | None
Values = Mapping[str, Value]  # place of a key, such as `difficulty.weight` -> its value


class Range(Section):
    """`log`: drawn, and changed, by ratios instead of differences."""

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _is_a_range(self) -> "Range":
        if not self.low < self.high:
            raise ValueError(f"a range runs from a lower to a higher value, not from {self.low:g} to {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError("ratios need a range above zero")
        return self

    def at(self, share: float) -> float:
        """The value at a share 0..1 of the way from low to high."""
        if self.log:
            return self.low * (self.high / self.low) ** share
        return self.low + share * (self.high - self.low)

    def share_of(self, value: float) -> float:
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


class Number(Range):
    kind: Literal["number"]

    @property
    def ends(self) -> tuple[Value, ...]:
        return self.low, self.high

    def draw(self, rng: random.Random) -> Value:
        return self.value_at(rng.random())

    def mutate(self, value: Value, rng: random.Random) -> Value:
        return self.value_at(_stepped(self.share_of(_number(value)), rng))

    def value_at(self, share: float) -> float:
        """To three digits: a person reads it, and no score is that exact."""
        return min(max(float(f"{self.at(share):.3g}"), self.low), self.high)


class Integer(Range):
    kind: Literal["integer"]

    @model_validator(mode="after")
    def _has_whole_ends(self) -> "Integer":
        if not (self.low.is_integer() and self.high.is_integer()):
            raise ValueError(f"whole numbers run between whole ends, not from {self.low:g} to {self.high:g}")
        return self

    @property
    def ends(self) -> tuple[Value, ...]:
        return round(self.low), round(self.high)

    def draw(self, rng: random.Random) -> Value:
        return self.value_at(rng.random())

    def value_at(self, share: float) -> int:
        return round(self.at(share))

    def mutate(self, value: Value, rng: random.Random) -> Value:
        changed = self.value_at(_stepped(self.share_of(_number(value)), rng))
        if changed != value:
            return changed
        # A step too small to be seen is one to a neighbour.
        return rng.choice([each for each in (changed - 1, changed + 1) if self.low <= each <= self.high])


class Choice(Section):
    kind: Literal["choice"]
    of: tuple[Value, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _differ(self) -> "Choice":
        if len({repr(each) for each in self.of}) < len(self.of):
            raise ValueError("of: the same value stands there twice")
        return self

    @property
    def ends(self) -> tuple[Value, ...]:
        return self.of

    def draw(self, rng: random.Random) -> Value:
        return rng.choice(self.of)

    def mutate(self, value: Value, rng: random.Random) -> Value:
        return rng.choice([each for each in self.of if each != value])


Key = Annotated[Number | Integer | Choice, Field(discriminator="kind")]
Space = Mapping[str, Number | Integer | Choice]


def draw(space: Space, rng: random.Random) -> Values:
    return {name: key.draw(rng) for name, key in space.items()}


def mutate(space: Space, values: Values, rng: random.Random) -> Values:
    """One key changes for sure, each other one with a chance of one in as many keys."""
    names = list(space)
    sure = rng.choice(names)
    return {
        name: space[name].mutate(values[name], rng) if name == sure or rng.random() < 1 / len(names) else values[name]
        for name in names
    }


def cross(first: Values, second: Values, rng: random.Random) -> Values:
    """Each key from one of the two, evenly."""
    return {name: rng.choice((first[name], second[name])) for name in first}


def nested(values: Values) -> dict[str, Any]:
    """`{"difficulty.weight": 2}` -> `{"difficulty": {"weight": 2}}`."""
    result: dict[str, Any] = {}
    for place, value in values.items():
        *above, last = place.split(".")
        section = result
        for part in above:
            section = section.setdefault(part, {})
        section[last] = value
    return result


def _stepped(share: float, rng: random.Random) -> float:
    """A normal step, turned back at the ends of the range."""
    moved = abs(share + rng.gauss(0, STEP)) % 2
    return min(moved, 2 - moved)


def _number(value: Value) -> float:
    assert isinstance(value, int | float)  # a range draws nothing else
    return value
