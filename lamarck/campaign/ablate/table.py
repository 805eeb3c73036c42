"""What an ablation shows: every arm's score over the seeds, and its paired difference to the first arm."""

from pathlib import Path
from typing import NamedTuple

from rich import box
from rich.table import Table
from scipy import stats

from lamarck.campaign.ablate.plan import AblationPlan, Arm
from lamarck.errors import LamarckError
from lamarck.files import read_json
from lamarck.lineage.flags import cut_short_among
from lamarck.lineage.generation import parse_generation

CONFIDENCE = 0.95


class Row(NamedTuple):
    """One arm over the seeds; differences are paired by seed, in points of 0..100."""

    arm: str
    why: str
    generation: str
    scores: list[float]
    mean: float
    difference: float | None  # None for the first arm, with which the others are compared
    low: float | None  # of the t interval of the mean difference
    high: float | None
    p_value: float | None  # Wilcoxon's signed-rank test, exact
    ahead: int  # seeds on which it scored higher than the first arm
    cut_short: list[str]  # trainings that their ceiling ended: what they show is the machine's load, too

    @property
    def verdict(self) -> str:
        if self.low is None or self.high is None:
            return ""
        return "better" if self.low > 0 else "worse" if self.high < 0 else "no difference shown"


def rows(plan: AblationPlan, root: Path) -> list[Row]:
    """Errors: LamarckError for a lineage that has not been scored, or only in part."""
    seeds = plan.ablation.seeds
    first, *_ = arms = plan.ablation.arms
    scores = {arm.name: [_score(plan, root, arm, seed) for seed in seeds] for arm in arms}
    return [
        _row(arm, scores[arm.name], None if arm is first else scores[first.name], _cut_short(plan, root, arm))
        for arm in arms
    ]


def _row(arm: Arm, scores: list[float], baseline: list[float] | None, cut_short: list[str]) -> Row:
    mean = sum(scores) / len(scores)
    if baseline is None:
        return Row(arm.name, arm.why, arm.scored, scores, mean, None, None, None, None, 0, cut_short)
    differences = [own - other for own, other in zip(scores, baseline, strict=True)]
    bounds = stats.ttest_1samp(differences, 0).confidence_interval(CONFIDENCE)
    return Row(
        arm.name,
        arm.why,
        arm.scored,
        scores,
        mean,
        sum(differences) / len(differences),
        float(bounds.low),
        float(bounds.high),
        float(stats.wilcoxon(differences).pvalue) if any(differences) else 1.0,
        sum(difference > 0 for difference in differences),
        cut_short,
    )


def _cut_short(plan: AblationPlan, root: Path, arm: Arm) -> list[str]:
    line = parse_generation(arm.scored).line
    return [
        f"{arm.name}, seed {seed}: {sentence}"
        for seed in plan.ablation.seeds
        for sentence in cut_short_among(line, root / plan.lineages[arm.name, seed].directory)
    ]


def _score(plan: AblationPlan, root: Path, arm: Arm, seed: int) -> float:
    path = root / plan.lineages[arm.name, seed].directory / parse_generation(arm.scored).scores
    if not path.exists():
        raise LamarckError(f"{path} does not exist: run the ablation to its end first")
    scores = read_json(path)
    if scores["partial"]:
        raise LamarckError(f"{path} is partial: errors are not scores, and are never compared")
    return float(scores["score"])


def as_table(found: list[Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("arm", "read at", "mean", "to the first", "95% interval", "p", "ahead"):
        table.add_column(heading, justify="left" if heading in ("arm", "read at") else "right")
    for row in found:
        table.add_row(row.arm, row.generation, f"{row.mean:.1f}", *_cells(row))
    return table


def as_sentences(found: list[Row]) -> list[str]:
    """What the table does not show: trainings cut short, whose arms are not what they say."""
    return [f"red flag: {sentence}" for row in found for sentence in row.cut_short]


def as_markdown(found: list[Row]) -> str:
    lines = [
        "| arm | read at | mean | to the first arm | 95% interval | p | ahead | verdict | what it tells |",
        "|---|---|---:|---:|---:|---:|---:|---|---|",
    ]
    for row in found:
        cells = [row.arm, row.generation, f"{row.mean:.1f}", *_cells(row), row.verdict, row.why]
        lines.append(f"| {' | '.join(cells)} |")
    if flags := as_sentences(found):
        lines += ["", *(f"- {sentence}" for sentence in flags)]
    return "\n".join(lines) + "\n"


def _cells(row: Row) -> tuple[str, str, str, str]:
    if row.difference is None or row.p_value is None:
        return "", "", "", ""
    interval = f"[{row.low:+.1f}, {row.high:+.1f}]"
    return f"{row.difference:+.1f}", interval, f"{row.p_value:.3f}", f"{row.ahead}/{len(row.scores)}"
