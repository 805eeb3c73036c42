"""Whether a behaviour holds without its instruction: what a child answers to a suite's problems, which have none.

A behaviour is a skill that reads the suite's own problems and asks for other answers to them. What it reads are the
problems that it concerns; the others say what it costs. Texts that a model makes up, and what it teaches, are neither.
"""

from pathlib import Path
from typing import NamedTuple

from lamarck.config.strategy import Strategy
from lamarck.errors import LamarckError
from lamarck.lineage.contents import SampleRow, read_samples, read_scores
from lamarck.skills import Malformed, Problem, Skill, get_skill
from lamarck.skills.own import declare


class Behaviour(NamedTuple):
    """Points of 0..100: of the problems that it concerns, how many are answered as asked; of the others, the score."""

    held: float
    others: float


def behaviour_of(name: str, strategy: Strategy, scores: Path, samples: Path) -> Behaviour:
    """`name`: a skill of `strategy`. Errors: LamarckError where the suite has no problem of it, or no other."""
    declare(strategy)
    skill = get_skill(name)
    tasks = read_scores(scores).tasks
    asked = [row for row in read_samples(samples) if row["target"] and tasks[row["task"]].tier != "teaching"]
    concerned: list[SampleRow] = []
    others: list[SampleRow] = []
    for row in asked:
        (concerned if _reads(skill, row) else others).append(row)
    if not (concerned and others):
        raise LamarckError(
            f"{samples} has {len(concerned)} problems that {name} concerns and {len(others)} others: name another "
            "`behaviour`, or another suite"
        )
    held = sum(skill.verify(Problem(row["prompt"], row["answer"])).verified for row in concerned)
    return Behaviour(_points(held, concerned), _points(sum(row["score"] for row in others), others))


def _reads(skill: Skill, row: SampleRow) -> bool:
    try:
        skill.difficulty(row["prompt"])
    except Malformed:
        return False
    return True


def _points(total: float, rows: list[SampleRow]) -> float:
    return round(100 * total / len(rows), 6)
