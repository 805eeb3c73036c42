"""How far a curriculum may drift from the founder's own before it stops the run. Light.

No measure is good or bad by itself, so a limit is a share of what the founder's own curriculum had.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from lamarck.config.section import Section

# What lamarck.curriculum.guard_rails measures of every curriculum, whatever the suites.
Measure = Literal[
    "acceptance",
    "replayed",
    "anchored",
    "near_duplicates",
    "novelty",
    "vendi",
    "distinct_1",
    "distinct_2",
    "vocabulary",
    "coverage",
    "prompt_words",
    "completion_words",
    "boilerplate",
    "overlap",
]


class Limit(Section):
    """How far a measure may go, as a share of what it was in the founder's own curriculum."""

    at_least: float | None = Field(None, ge=0)
    at_most: float | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _says_something(self) -> "Limit":
        if self.at_least is None and self.at_most is None:
            raise ValueError("a limit needs at_least, at_most, or both")
        return self


def broken_limits(
    limits: Mapping[Measure, Limit], measures: Mapping[str, float], first: Mapping[str, float]
) -> list[str]:
    """One sentence for each limit that a curriculum breaks; `first` are the measures of the founder's own."""
    sentences = []
    for name, limit in limits.items():
        value, founder = measures[name], first[name]
        if limit.at_least is not None and value < limit.at_least * founder:
            sentences.append(f"{name} is {value:g}, below {limit.at_least:g} of the founder's {founder:g}")
        if limit.at_most is not None and value > limit.at_most * founder:
            sentences.append(f"{name} is {value:g}, above {limit.at_most:g} times the founder's {founder:g}")
    return sentences
