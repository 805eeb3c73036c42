"""How good each generation is: its scores with 95% intervals, and the paired differences that decide. Light."""

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lamarck.config import Config
from lamarck.errors import LamarckError
from lamarck.eval.compare import Comparison, check_same_ruler, compare
from lamarck.eval.interval import Interval, interval
from lamarck.eval.outcome import smoothed
from lamarck.lineage.contents import Scores, TaskFigures, read_scores
from lamarck.lineage.digest import suite_digest
from lamarck.lineage.flags import red_flags
from lamarck.lineage.generation import Generation
from lamarck.report.page import Shown
from lamarck.report.page.members import ShownMember
from lamarck.report.page.outcomes import Outcomes
from lamarck.suites.suite import TIERS, suite_kinds, suite_weights

Z = 1.959964  # two-sided 95% of a standard normal

Rows = Sequence[Mapping[str, Any]]


class TierScore(Shown):
    score: float | None  # None where a task of the tier could not run
    weight: float
    interval: Interval | None = None  # normal approximation, from the standard errors of its tasks


class TaskScore(Shown):
    tier: str
    score: float
    n: int
    interval: Interval | None  # normal approximation from the task's standard error


class Score(Shown):
    """One generation's evaluation. A partial one has no score and no intervals: errors are not zeros."""

    generation: str
    partial: bool
    score: float | None
    interval: Interval | None
    bits_per_byte: float | None
    suite: str
    tiers: dict[str, TierScore]
    tasks: dict[str, TaskScore]
    errors: dict[str, str]
    flags: dict[str, float]
    to_parent: Comparison | None = None
    to_other_parent: Comparison | None = None  # of a child of two
    to_founder: Comparison | None = None
    to_control: Comparison | None = None
    note: str = ""  # why there are no intervals or differences, where there could be


class SuiteWeights:
    """The weights of the configured suite, as long as the evaluation was on exactly that one."""

    def __init__(self, path: Path) -> None:
        self.weights = suite_weights(path)
        self.kinds = suite_kinds(path)
        self.digest = suite_digest(path)


def find_scores(config: Config, members: Sequence[ShownMember], outcomes: Outcomes) -> dict[str, Score]:
    """Name -> scores, for every generation that was evaluated. Files that cannot be read tell so in their note."""
    try:
        suite, reason = SuiteWeights(Path(config.suite)), ""
    except LamarckError as error:
        suite, reason = None, str(error)
    scored = [member for member in members if member.generation.scores.exists()]
    # Most of it is drawing bootstrap samples, for which numpy lets other threads run.
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda member: _score(member, suite, reason, outcomes), scored)
        return {score.generation: score for score in found}


def _score(member: ShownMember, suite: SuiteWeights | None, reason: str, outcomes: Outcomes) -> Score:
    generation = member.generation
    try:
        content = read_scores(generation.scores)
        bare = _bare(member.name, content)
    except LamarckError as error:
        return _unreadable(member.name, f"{generation.scores} cannot be read: {error}")
    if bare.partial:
        return bare
    if suite is None or content.suite.digest != suite.digest:
        other = reason or "it was scored on another suite than the configured one"
        return bare.model_copy(update={"note": f"no intervals, no differences: {other}"})
    try:
        rows = outcomes.of(generation)
        compared = {
            name: _difference(content, rows, other, suite, outcomes) for name, other in _others(generation).items()
        }
        if generation.number == 1:
            compared["to_parent"] = compared["to_founder"]
        tiers = {tier: _with_interval(tier, shown, content.tasks, suite) for tier, shown in bare.tiers.items()}
        whole = interval(rows, suite.weights, suite.kinds)
    except (LamarckError, KeyError, TypeError) as error:
        return bare.model_copy(update={"note": f"no intervals, no differences: {error}"})
    return bare.model_copy(update={**compared, "tiers": tiers, "interval": whole})


def _others(generation: Generation) -> dict[str, Generation]:
    """With whom a generation is compared."""
    if not generation.number:
        return {}
    others = {"to_founder": Generation(0)}
    if generation.number > 1:
        others["to_parent"] = generation.parent
    if generation.is_crossed:
        others["to_other_parent"] = generation.parents[1]
    return others if generation.is_control else others | {"to_control": generation.control}


def _difference(
    own: Scores, rows: Rows, other: Generation, suite: SuiteWeights, outcomes: Outcomes
) -> Comparison | None:
    """None where the other was not evaluated, or only in part, or its scores cannot be read, which stands with it.

    Errors: LamarckError where the two were not measured alike; `own` is what eval.json says.
    """
    if not (other.scores.exists() and other.samples.exists() and _is_whole(other)):
        return None
    check_same_ruler(own, read_scores(other.scores))
    return compare(rows, outcomes.of(other), suite.weights, suite.kinds)


def _is_whole(generation: Generation) -> bool:
    try:
        return not read_scores(generation.scores).partial
    except LamarckError:
        return False


def _bare(name: str, content: Scores) -> Score:
    """What eval.json says by itself. Errors: LamarckError where the founder's cannot be read."""
    founder = Generation(0).scores
    return Score(
        generation=name,
        partial=content.partial,
        score=None if content.partial else content.score,
        interval=None,
        bits_per_byte=content.bits_per_byte,
        suite=content.suite.name,
        tiers={
            tier: TierScore(score=shown.score, weight=shown.weight)
            for tier, shown in sorted(content.tiers.items(), key=lambda each: TIERS.index(each[0]))
        },
        tasks={task: _task(shown) for task, shown in content.tasks.items()},
        errors=content.errors,
        flags=red_flags(content, read_scores(founder)) if founder.exists() else {},
    )


def _task(shown: TaskFigures) -> TaskScore:
    bounds = None  # one item has no error
    if shown.stderr is not None:
        bounds = _around(shown.score, *smoothed(shown.score, shown.n, shown.stderr))
    return TaskScore(tier=shown.tier, score=shown.score, n=shown.n, interval=bounds)


def _around(score: float, mean: float, error: float) -> Interval:
    """95% about the smoothed mean; it holds the score, and stays on the scale."""
    low, high = min(score, mean - Z * error), max(score, mean + Z * error)
    return Interval(low=round(max(0.0, low), 6), high=round(min(100.0, high), 6))


def _with_interval(tier: str, shown: TierScore, tasks: Mapping[str, TaskFigures], suite: SuiteWeights) -> TierScore:
    """Errors: KeyError for a task that the suite does not have."""
    own = {task: figures for task, figures in tasks.items() if figures.tier == tier}
    errors = {task: figures.stderr for task, figures in own.items() if figures.stderr is not None}
    if shown.score is None or errors.keys() != own.keys():
        return shown
    total = sum(suite.weights[task] for task in own)
    shares = {task: suite.weights[task] / total for task in own}
    each = {task: smoothed(figures.score, figures.n, errors[task]) for task, figures in own.items()}
    mean = sum(shares[task] * each[task][0] for task in own)
    error = math.sqrt(sum((shares[task] * each[task][1]) ** 2 for task in own))
    return shown.model_copy(update={"interval": _around(shown.score, mean, error)})


def _unreadable(name: str, note: str) -> Score:
    return Score(
        generation=name,
        partial=True,
        score=None,
        interval=None,
        bits_per_byte=None,
        suite="",
        tiers={},
        tasks={},
        errors={},
        flags={},
        note=note,
    )
