"""Red flags: what a child has lost of the founder's general abilities, and a training that did not come to its end.
Light."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import NormalDist
from typing import NamedTuple

from lamarck.lineage.contents import CrossingReport, Scores, TrainingReport, read_training
from lamarck.lineage.generation import TRAINING_RECORD, Generation
from lamarck.lineage.records import SANITY

RISK = 0.05  # that a generation no worse than g0 gets a flag on any of its sanity tasks


class Answered(NamedTuple):
    """What was right of a task, 0..100, and of how many items."""

    score: float
    n: int


def red_flags(scores: Scores, founder: Scores) -> dict[str, float]:
    """Task -> points below g0, for every sanity task on which a generation was shown to be below it.

    A task that either lacks is an error told elsewhere, and no flag.
    """
    return lost_points(_sanity(scores), _sanity(founder))


def lost_points(own: Mapping[str, Answered], founder: Mapping[str, Answered]) -> dict[str, float]:
    """Task -> points below g0, where a one-sided test of two shares excludes that it is no worse.

    The test is z with the pooled share (Fleiss, Levin and Paik 2003, section 3.2), at `RISK` over all tasks together
    (Bonferroni). It takes the two as independent; their items are the same, so it errs on the side of no flag.
    """
    both = [task for task in own if task in founder]
    if not both:
        return {}
    limit = NormalDist().inv_cdf(1 - RISK / len(both))
    lost = {task: (founder[task].score - own[task].score, _deviations(own[task], founder[task])) for task in both}
    return {task: round(points, 6) for task, (points, deviations) in lost.items() if deviations > limit}


def _sanity(scores: Scores) -> dict[str, Answered]:
    return {
        task: Answered(figures.score, figures.n) for task, figures in scores.tasks.items() if figures.tier == SANITY
    }


def _deviations(own: Answered, founder: Answered) -> float:
    """By how many standard errors the founder is ahead; 0 where both have all, or nothing, right."""
    share = (own.score * own.n + founder.score * founder.n) / (own.n + founder.n) / 100
    variance = share * (1 - share) * (1 / own.n + 1 / founder.n)
    return (founder.score - own.score) / 100 / math.sqrt(variance) if variance > 0 else 0.0


def cut_short(training: TrainingReport | CrossingReport) -> str | None:
    """The sentence for a training that its compute ceiling ended before its last step; None for any other.

    How far such a training came is the machine's doing, or its load's: not its recipe's.
    """
    if isinstance(training, CrossingReport) or training.budget.stopped_by != "ceiling":
        return None
    return (
        f"{training.generation} was trained for {training.steps:,} of its {training.recipe['steps']:,} steps, "
        f"then its ceiling of {training.budget.ceiling_device_seconds:g} device-seconds ended that"
    )


def cut_short_among(generations: Iterable[Generation], root: Path = Path()) -> list[str]:
    """The same for those of several generations, below `root`, that were trained and did not come to their end.

    Errors: LamarckError for a training.json that is not a record of a training.
    """
    sentences = []
    for each in generations:
        path = each.find_change(root) / TRAINING_RECORD
        if not path.exists():
            continue
        if sentence := cut_short(read_training(path)):
            sentences.append(sentence)
    return sentences


def flag_sentences(generation: str, flags: dict[str, float], cut_short: Iterable[str] = ()) -> list[str]:
    lost = [f"{generation} is {points:.1f} points below g0 on {task}" for task, points in flags.items()]
    return [f"red flag: {sentence}" for sentence in (*cut_short, *lost)]
