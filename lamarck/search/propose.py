"""The candidates of a round, from the search's file and what earlier rounds came to. Pure: always the same."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from lamarck.errors import LamarckError
from lamarck.gate.search import PROMPTS
from lamarck.search.file import SearchFile
from lamarck.search.sampler import centre, sample
from lamarck.search.space import Values, cross, draw, mutate
from lamarck.seeds import seed_for

ELITE = 3  # candidates that may have children
TRIES = 1000


class Candidate(NamedTuple):
    """`parents` and `how`: where it comes from. A candidate of an earlier round keeps its name."""

    name: str
    values: Values
    parents: tuple[str, ...] = ()
    how: str = "drawn"


class Result(NamedTuple):
    """A candidate of the rounds before, and what it was worth: its mean paired difference to the baseline, in points.

    `seeds`: on how many founders; those that were left out early have fewer.
    """

    candidate: Candidate
    difference: float
    seeds: int


def propose(
    file: SearchFile, before: Sequence[Mapping[str, Result]], written: Path = Path("prompts")
) -> list[Candidate]:
    """The candidates of the next round. `before`: what candidates came to, round by round; `written`: where rewritten
    prompts of theirs will lie.

    Evolution takes the best of the round before along, to be tried again on the next founders: what leads by luck does
    not stay. Errors: LamarckError where the space has too few different candidates.
    """
    number = len(before) + 1
    rng = random.Random(seed_for(file.seed, "search", str(number)))
    latest = {name: result for found in before for name, result in found.items()}
    leading = sorted(latest.values(), key=lambda result: (-result.difference, result.candidate.name))
    # Those that were left out early lead on founders that may have been kind to them.
    longest = max((result.seeds for result in leading), default=0)
    elite = [result.candidate for result in leading if result.seeds == longest][:ELITE]
    if file.proposer == "cma":
        return _sampled(file, before, elite[:1], rng)
    evolved = file.proposer == "evolution" and bool(elite)
    found = [elite[0]] if evolved else []
    known = {_key(result.candidate.values) for result in latest.values()}
    for _ in range(TRIES):
        if len(found) == file.candidates:
            return found
        made = _child(file, elite, rng) if evolved else Candidate("", draw(file.space, rng))
        if _key(made.values) not in known:
            known.add(_key(made.values))
            made = made._replace(name=_name(number, len(found) + 1))
            rewritten = evolved and file.writer is not None and rng.random() < file.writer.share
            found.append(_rewritten(made, written) if rewritten else made)
    raise LamarckError(
        f"round {number}: the space holds no {file.candidates} candidates that were not tried yet: widen it, or ask "
        "for fewer candidates or rounds"
    )


def _sampled(
    file: SearchFile, before: Sequence[Mapping[str, Result]], elite: list[Candidate], rng: random.Random
) -> list[Candidate]:
    """Who leads is tried again, and all others come from CMA-ES; in the first round a draw stands for who leads."""
    number = len(before) + 1
    first = elite[0] if elite else Candidate(_name(number, 1), draw(file.space, rng))
    leading = elite[0].values if elite else None
    made = sample(file.space, file.seed, file.candidates - 1, _worths(file, before), leading)
    return [
        first,
        *(Candidate(_name(number, each), values, (), "sampled") for each, values in enumerate(made, start=2)),
    ]


def centred(file: SearchFile, before: Sequence[Mapping[str, Result]], leader: Candidate) -> Candidate:
    """Where CMA-ES stands after all rounds: what it found."""
    values = centre(file.space, file.seed, file.candidates - 1, _worths(file, before), leader.values)
    return Candidate("centre", values, (leader.name,), "the centre of what was sampled")


def _worths(file: SearchFile, before: Sequence[Mapping[str, Result]]) -> list[list[float | None]]:
    """Round by round what the candidates that were sampled for it came to there; the first was not sampled."""
    worths: list[list[float | None]] = []
    for number, found in enumerate(before, start=1):
        names = [_name(number, each) for each in range(2, file.candidates + 1)]
        worths.append([found[name].difference if name in found else None for name in names])
    return worths


def _name(number: int, candidate: int) -> str:
    return f"r{number}-c{candidate:02}"


def _rewritten(made: Candidate, written: Path) -> Candidate:
    values = {**made.values, PROMPTS: str(written / f"{made.name}.yaml")}
    return made._replace(values=values, how=f"{made.how}, prompts rewritten")


def _child(file: SearchFile, elite: list[Candidate], rng: random.Random) -> Candidate:
    first, second = rng.choice(elite), rng.choice(elite)
    # Prompts are no key of the space: they are handed down whole, by the first parent.
    handed = {PROMPTS: first.values[PROMPTS]} if PROMPTS in first.values and PROMPTS not in file.space else {}
    if first is second:
        return Candidate("", {**mutate(file.space, first.values, rng), **handed}, (first.name,), "mutated")
    crossed = cross({key: first.values[key] for key in file.space}, second.values, rng)
    mutated = {**mutate(file.space, crossed, rng), **handed}
    return Candidate("", mutated, (first.name, second.name), "crossed and mutated")


def _key(values: Values) -> tuple[tuple[str, object], ...]:
    return tuple(sorted(values.items()))
