"""The typed recipe of a curriculum: what the teacher is asked, how often, and what is kept. Light: no torch."""

from pathlib import Path

from pydantic import Field

from lamarck.config import Section, load_section
from lamarck.curriculum.limits import Limit, Measure
from lamarck.errors import LamarckError


class Effort(Section):
    """How much one cell, that is one skill at one difficulty, is worth."""

    items: int = Field(ge=1, description="Distinct verified items to reach.")
    max_samples: int = Field(ge=1, description="Samples after which to stop trying.")


class Strategy(Section):
    description: str = Field(description="One line: when to use this strategy.")
    skills: dict[str, tuple[int, ...]] = Field(description="Skill -> the difficulties to ask for.")
    temperature: float = Field(1.0, gt=0, description="Of the teacher's sampling; 1 is its own distribution.")
    top_p: float = Field(1.0, gt=0, le=1, description="Nucleus of the teacher's sampling.")
    max_new_tokens: int = Field(64, ge=1, description="Longest line the teacher may write.")
    probe_samples: int = Field(200, ge=1, description="Samples per cell that measure the teacher's pass rate there.")
    frontier_below: float = Field(
        0.6, ge=0, le=1, description="A cell whose probed pass rate is lower is the frontier: it gets that effort."
    )
    effort: Effort = Field(description="For a cell that the teacher masters.")
    frontier_effort: Effort = Field(description="For a cell at the teacher's frontier.")
    replay_per_cell: int = Field(
        0, ge=0, description="Items per cell of each earlier generation's own curriculum that are mixed in."
    )
    limits: dict[Measure, Limit] = Field(
        {}, description="Guard-rail -> how far it may go from the founder's own curriculum before the run stops."
    )
    minimum_items: int = Field(
        200, ge=1, description="The floor: a curriculum with fewer verified items is an error, not a training run."
    )


def load_strategy(path: Path) -> Strategy:
    """Read a strategy; a skill or a difficulty that does not exist is refused by name."""
    from lamarck.skills import get_skill

    strategy = load_section(path, Strategy)
    for name, difficulties in strategy.skills.items():
        known = get_skill(name).difficulties
        unknown = [difficulty for difficulty in difficulties if difficulty not in known]
        if unknown or not difficulties:
            raise LamarckError(f"{path}: skills.{name}: difficulties run from {known[0]} to {known[-1]}, not {unknown}")
    return strategy
