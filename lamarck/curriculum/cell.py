"""The cells of a curriculum: one skill at one difficulty each, and how much of the work goes to which. Light."""

import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from lamarck.config.strategy import Fixed, Strategy, load_strategy
from lamarck.curriculum.item import Item
from lamarck.errors import LamarckError
from lamarck.skills import Skill, get_skill


def checked_strategy(path: Path) -> Strategy:
    """Read a strategy; a skill or a difficulty that does not exist is refused by name."""
    strategy = load_strategy(path)
    for name, part in strategy.skills.items():
        known = get_skill(name).difficulties
        unknown = [difficulty for difficulty in part.difficulties if difficulty not in known]
        if unknown:
            raise LamarckError(f"{path}: skills.{name}: difficulties run from {known[0]} to {known[-1]}, not {unknown}")
    return strategy


LITTLE_MORE = 1.1  # a round that falls just short costs another


@dataclass
class Cell:
    """One skill at one difficulty: what was asked, what came of it."""

    skill: Skill
    difficulty: int
    wanted: int = 0  # items to reach
    max_samples: int = 0  # texts after which to stop trying
    sampled: int = 0  # texts that were asked for
    answered: int = 0  # further answers to their problems
    verified: int = 0  # of the texts, those that gave a right problem of this cell
    kept: list[Item] = field(default_factory=list)  # from this cell's texts, or filed here from a neighbour's
    dropped: Counter[str] = field(default_factory=Counter)
    crashes: int = 0  # of the verifier, each over an answer that was refused for it
    pass_rate: float = 0.0  # of the probe

    @property
    def name(self) -> str:
        return f"{self.skill.name}.{self.difficulty}"


def open_cells(strategy: Strategy) -> list[Cell]:
    return [
        Cell(get_skill(skill), difficulty)
        for skill, part in strategy.skills.items()
        for difficulty in part.difficulties
    ]


def allot(cells: list[Cell], strategy: Strategy) -> None:
    """Give every cell its part of its skill's items, by what its probe has shown."""
    for skill, part in strategy.skills.items():
        own = [cell for cell in cells if cell.skill.name == skill]
        weights = [_weight(cell.pass_rate, strategy) for cell in own]
        for cell, weight in zip(own, weights, strict=True):
            share = strategy.size * part.share * weight / sum(weights)
            # Of the few problems there are of an easy kind, the last ones are found by nobody.
            cell.wanted = min(math.ceil(share), max(1, cell.skill.space(cell.difficulty) // 2))
            if not _out_of_reach(cell.pass_rate, strategy):
                cell.max_samples = most_samples(cell.wanted, strategy)


def _weight(pass_rate: float, strategy: Strategy) -> float:
    policy = strategy.difficulty
    return 1.0 if isinstance(policy, Fixed) or pass_rate > policy.band[1] else policy.weight


def _out_of_reach(pass_rate: float, strategy: Strategy) -> bool:
    return not isinstance(strategy.difficulty, Fixed) and pass_rate < strategy.difficulty.band[0]


def most_samples(wanted: int, strategy: Strategy) -> int:
    return math.ceil(wanted * strategy.samples_per_item)


def next_texts(cell: Cell, most: int) -> int:
    """What the missing items take at the cell's rate so far; as this is a mean, a little more often than not."""
    needed = math.ceil(LITTLE_MORE * (cell.wanted - len(cell.kept)) * cell.sampled / max(1, len(cell.kept)))
    return min(most, cell.max_samples - cell.sampled, needed) if cell.sampled else most


def wants_more(cell: Cell) -> bool:
    return len(cell.kept) < cell.wanted and cell.sampled < cell.max_samples
