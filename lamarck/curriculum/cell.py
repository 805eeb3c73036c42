"""The cells of a curriculum: one skill at one difficulty each, and how much of the work goes to which. Light."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import NormalDist

from lamarck.config.strategy import Fixed, Strategy, load_strategy
from lamarck.curriculum.item import Item
from lamarck.errors import LamarckError
from lamarck.skills import SKILLS, Skill, get_skill
from lamarck.skills.given import GivenProblems
from lamarck.skills.own import OwnSkill, declare


def checked_strategy(path: Path) -> Strategy:
    """Read a strategy, and open the skills and problems that are the user's own. A skill or a difficulty that does not
    exist is refused by name."""
    strategy = load_strategy(path)
    declare(strategy)
    for name, part in strategy.skills.items():
        if name in SKILLS and (part.code or part.problems):
            raise LamarckError(f"{path}: skills.{name}: that is a skill of Lamarck's: call your own something else")
        if part.problems and not strategy.answers.temperatures:
            raise LamarckError(f"{path}: skills.{name}: its problems need answers.temperatures: one answer at each")
        if part.problems and part.problems.judge == "vote" and strategy.answers.choose != "vote":
            raise LamarckError(f"{path}: skills.{name}: judge: vote needs answers.choose: vote")
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
    sought: int = 0  # verified ones to choose them from
    asked: int = 0  # the items that it was last to reach while it was open
    max_samples: int = 0  # texts after which to stop trying
    sampled: int = 0  # texts that were asked for
    answered: int = 0  # further answers to their problems
    verified: int = 0  # of the texts, those that gave a right problem of this cell
    kept: list[Item] = field(default_factory=list)  # from this cell's texts, or filed here from a neighbour's
    dropped: Counter[str] = field(default_factory=Counter)
    crashes: int = 0  # of the verifier, each over an answer that was refused for it
    pass_rate: float = 0.0  # of the probe
    closed: bool = False  # no more is asked of it

    @property
    def name(self) -> str:
        return f"{self.skill.name}.{self.difficulty}"

    @property
    def given(self) -> list[str] | None:
        """The problems that a teacher only answers; None where it writes them."""
        return self.skill.prompts if isinstance(self.skill, GivenProblems) else None

    @property
    def own(self) -> bool:
        """Whether problems or skill are the user's, and of a kind that no suite knows."""
        return isinstance(self.skill, GivenProblems | OwnSkill)

    def try_at_most(self, samples: int) -> None:
        """Of given problems no more than there are."""
        self.max_samples = samples if self.given is None else min(samples, len(self.given))


def open_cells(strategy: Strategy) -> list[Cell]:
    return [
        Cell(get_skill(skill), difficulty)
        for skill, part in strategy.skills.items()
        for difficulty in part.difficulties
    ]


def allot(cells: list[Cell], strategy: Strategy) -> None:
    """Give every cell its part of its skill's items, by what it has shown; to be called after every round.

    A cell is closed where the teacher is out of its depth, or has tried long enough: it keeps what it has. What closed
    cells and small ones leave over goes to the others of their skill, and what a skill leaves over to the others.
    """
    for cell in cells:
        cell.closed |= _out_of_reach(cell, strategy)
    _divide(cells, strategy)
    while missed := [
        each for each in cells if not each.closed and _is_short(each) and each.sampled >= each.max_samples
    ]:
        for cell in missed:
            cell.closed = True
        _divide(cells, strategy)


def _divide(cells: list[Cell], strategy: Strategy) -> None:
    by_skill = [[cell for cell in cells if cell.skill.name == skill] for skill in strategy.skills]
    shares = [part.share for part in strategy.skills.values()]
    wholes = share_out(strategy.size, shares, [sum(map(_most, own)) for own in by_skill])
    for own, whole in zip(by_skill, wholes, strict=True):
        still_open = [cell for cell in own if not cell.closed]
        left = whole - sum(len(cell.kept) for cell in own if cell.closed)
        weights = [_weight(cell.pass_rate, strategy) for cell in still_open]
        for cell, part in zip(still_open, share_out(left, weights, list(map(_most, still_open))), strict=True):
            cell.wanted = cell.asked = math.ceil(round(part, 6))  # a sum of floats is not to cost an item
            # Of the few problems there are of an easy kind, no choice is waited for.
            cell.sought = max(cell.wanted, min(math.ceil(strategy.longest_of * cell.wanted), _most(cell)))
            cell.try_at_most(most_samples(cell.wanted, strategy))
        for cell in own:
            if cell.closed:
                cell.wanted = len(cell.kept)


def share_out(whole: float, weights: Sequence[float], most: Sequence[float]) -> list[float]:
    """`whole` divided by weight, with none above its `most`: what that leaves over is divided among the others."""
    given = [0.0] * len(weights)
    left, hungry = max(0.0, whole), list(range(len(weights)))
    while hungry:
        unit = left / sum(weights[place] for place in hungry)
        full = [place for place in hungry if most[place] <= unit * weights[place]]
        for place in full or hungry:
            given[place] = most[place] if full else unit * weights[place]
            left -= given[place]
        hungry = [place for place in hungry if place not in full] if full else []
    return given


def _most(cell: Cell) -> int:
    """Of the few problems there are of an easy kind, the last ones are found by nobody."""
    if cell.closed:
        return len(cell.kept)
    return len(cell.given) if cell.given is not None else max(1, cell.skill.space(cell.difficulty) // 2)


def _is_short(cell: Cell) -> bool:
    return len(cell.kept) < cell.wanted


def _weight(pass_rate: float, strategy: Strategy) -> float:
    policy = strategy.difficulty
    return 1.0 if isinstance(policy, Fixed) or pass_rate > policy.band[1] else policy.weight


def _out_of_reach(cell: Cell, strategy: Strategy) -> bool:
    """Whether the rate lies below the band even by what chance may have taken: by a few texts nobody is given up."""
    return (
        not isinstance(strategy.difficulty, Fixed)
        and highest_rate(cell.verified, cell.sampled) < strategy.difficulty.band[0]
    )


def highest_rate(passed: int, tried: int) -> float:
    """Upper end of the one-sided 95% interval of a rate (Wilson 1927)."""
    square = NormalDist().inv_cdf(0.95) ** 2
    middle = passed + square / 2
    return (middle + math.sqrt(square * (passed * (tried - passed) / tried + square / 4))) / (tried + square)


def most_samples(wanted: int, strategy: Strategy) -> int:
    return math.ceil(wanted * strategy.samples_per_item)


def next_texts(cell: Cell, most: int) -> int:
    """What the missing items take at the cell's rate so far; as this is a mean, a little more often than not."""
    needed = math.ceil(LITTLE_MORE * (cell.sought - len(cell.kept)) * cell.sampled / max(1, len(cell.kept)))
    return min(most, cell.max_samples - cell.sampled, needed) if cell.sampled else min(most, cell.max_samples)


def wants_more(cell: Cell) -> bool:
    return not cell.closed and len(cell.kept) < cell.sought and cell.sampled < cell.max_samples


def longest(items: list[Item], number: int) -> list[Item]:
    """So many of the items, those with the longest answers, in the order in which they stand."""
    places = sorted(range(len(items)), key=lambda place: -len(items[place].completion))[:number]
    return [items[place] for place in sorted(places)]
