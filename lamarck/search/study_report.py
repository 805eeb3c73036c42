"""What a study shows so far: how far a child's score foretells a grandchild's, what each method's winners are worth."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from lamarck.campaign.evidence import holm
from lamarck.campaign.ledger import read_ledger
from lamarck.campaign.t_interval import t_interval
from lamarck.campaign.table import finished
from lamarck.search.file import BASELINE
from lamarck.search.proxy import FEWEST, Proxy, proxy
from lamarck.search.study import Forecast, Study, StudyProgress, forecast, spent, trainings


class MethodComparison(NamedTuple):
    """Of exam scores, in points: `first` less `second`, one value a repeat, the mean over its fresh founders."""

    first: str
    second: str
    values: list[float]
    mean: float
    low: float | None
    high: float | None
    p_value: float | None  # Wilcoxon's signed-rank test, over repeats
    p_holm: float | None  # over all comparisons of the study


class Found(NamedTuple):
    """`repeats` are those that are complete. `cost`: method -> device-seconds of each of its searches there."""

    drawn: str
    proxy: Proxy | None
    repeats: int
    of: int
    comparisons: list[MethodComparison]
    cost: dict[str, list[float]]
    trainings: int
    forecast: Forecast


def study_report(study: Study, done: StudyProgress) -> Found:
    exams = {number: values for number, values in _exams(study, done).items() if values}
    names = [BASELINE, *study.file.methods]
    pairs = [(second, first) for first, second in combinations(names, 2)]
    campaign = done.drawn[0].campaign
    return Found(
        finished(campaign) if campaign else f"0 of {_drawn_members(study)} members are finished",
        _proxy(study, done),
        len(exams),
        len(study.finals),
        _with_holm([_comparison(first, second, exams.values()) for first, second in pairs]) if exams else [],
        {method: [spent(done.searches[method, number])[1] for number in exams] for method in study.file.methods},
        trainings(study.parts[0].search),
        forecast(study, done),
    )


def _drawn_members(study: Study) -> int:
    return (1 + study.file.correlation.strategies) * len(study.file.correlation.seeds)


def _proxy(study: Study, done: StudyProgress) -> Proxy | None:
    """Over the strategies that were raised on every founder; None where they are too few."""
    campaign = done.drawn[0].campaign
    if campaign is None:
        return None
    rows = read_ledger(campaign)
    told = []
    for candidate in done.drawn[0].candidates:
        own = [rows.get((candidate.name, seed)) for seed in study.file.correlation.seeds]
        scores = [(row.proxy, row.score) for row in own if row and row.proxy is not None and row.score is not None]
        if len(scores) == len(own):
            told.append(scores)
    if len(told) < FEWEST:
        return None
    both = np.array(told)
    return proxy(both[:, :, 0], both[:, :, 1])


def _exams(study: Study, done: StudyProgress) -> dict[int, dict[str, float]]:
    """Repeat -> arm -> its mean exam score over the fresh founders; empty where one is missing."""
    found: dict[int, dict[str, float]] = {}
    for number, (final, campaign) in enumerate(zip(study.finals, done.finals, strict=True), start=1):
        rows = read_ledger(campaign) if campaign else {}
        arms = [BASELINE, *study.file.methods]
        scores = {
            arm: [rows[arm, seed].score for seed in final.file.fresh_seeds if (arm, seed) in rows] for arm in arms
        }
        values = {arm: [each for each in own if each is not None] for arm, own in scores.items()}
        whole = all(len(own) == len(final.file.fresh_seeds) for own in values.values())
        found[number] = {arm: sum(own) / len(own) for arm, own in values.items()} if whole else {}
    return found


def _comparison(first: str, second: str, exams: Iterable[Mapping[str, float]]) -> MethodComparison:
    values = [scores[first] - scores[second] for scores in exams]
    mean = sum(values) / len(values)
    if len(set(values)) < 2:
        return MethodComparison(first, second, values, mean, None, None, None, None)
    p_value = float(stats.wilcoxon(values).pvalue)
    return MethodComparison(first, second, values, mean, *t_interval(values), p_value, None)


def _with_holm(found: Sequence[MethodComparison]) -> list[MethodComparison]:
    logs = {f"{each.first}/{each.second}": -float(np.log(each.p_value)) for each in found if each.p_value is not None}
    adjusted = holm(logs, len(found))
    return [each._replace(p_holm=adjusted.get(f"{each.first}/{each.second}")) for each in found]


def as_markdown(found: Found) -> str:
    lines = [f"Random strategies: {found.drawn}.", "", _proxy_sentence(found.proxy), ""]
    lines += [f"Whole searches: {found.repeats} of {found.of} repeats are complete.", ""]
    if found.comparisons:
        lines += [
            "| exam points | repeats | mean | 95% interval | p | Holm | ahead |",
            "|---|---:|---:|---:|---:|---:|---:|",
        ]
        lines += [_row(each) for each in found.comparisons]
        lines += ["", *(_cost(method, own) for method, own in found.cost.items()), ""]
        lines += [f"Each search is {found.trainings} trainings, the baseline's of its founders included.", ""]
    return "\n".join([*lines, forecast_sentence(found.forecast)]) + "\n"


def _proxy_sentence(found: Proxy | None) -> str:
    if found is None:
        return f"Fewer than {FEWEST} strategies were raised on every founder: no correlation is given."
    interval = (
        "" if found.low is None or found.high is None else f" (95% bootstrap {found.low:.2f} to {found.high:.2f})"
    )
    corrected = (
        "a reliability is not above zero, so none is corrected"
        if found.corrected is None
        else f"between different founders, and corrected for both, {found.corrected:.2f}{interval}"
    )
    return (
        f"Child and grandchild, {found.strategies} strategies on {found.founders} founders: rank correlation "
        f"{found.plain:.2f} as measured; reliabilities of half of the founders {found.child:.2f} and "
        f"{found.grandchild:.2f}; {corrected}."
    )


def _row(each: MethodComparison) -> str:
    interval = "" if each.low is None else f"[{each.low:+.1f}, {each.high:+.1f}]"
    p_values = ["" if p is None else f"{p:.3f}" for p in (each.p_value, each.p_holm)]
    ahead = f"{sum(value > 0 for value in each.values)}/{len(each.values)}"
    cells = [f"{each.first} to {each.second}", str(len(each.values)), f"{each.mean:+.1f}", interval, *p_values, ahead]
    return f"| {' | '.join(cells)} |"


def _cost(method: str, own: Sequence[float]) -> str:
    return f"- {method}: {sum(own) / len(own):.0f} device-seconds a search."


def forecast_sentence(found: Forecast) -> str:
    if not found.members:
        return "Nothing is left to raise."
    hours = (
        "how long that takes is said when the first are finished"
        if found.hours is None
        else f"about {found.hours:.1f} hours, from the {found.measured} members measured so far"
    )
    return f"Left: at most {found.members} lineages with {found.trainings} trainings, {hours}."


def as_json(study: Study, found: Found) -> dict[str, Any]:
    return found._asdict() | {
        "study": study.name,
        "proxy": found.proxy and found.proxy._asdict(),
        "comparisons": [each._asdict() for each in found.comparisons],
        "forecast": found.forecast._asdict(),
    }
