"""What a campaign shows so far: every arm's scores over the seeds, and its paired difference to the first arm."""

import math
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from rich import box
from rich.table import Table
from rich.text import Text
from scipy import stats

from lamarck.campaign.evidence import holm
from lamarck.campaign.ledger import Finished, Key, read_ledger
from lamarck.campaign.members import Arm, Campaign
from lamarck.campaign.race import race_of
from lamarck.campaign.racing import verdicts
from lamarck.campaign.t_interval import CONFIDENCE, t_interval

# Of a behaviour: field of a ledger's row -> what it is called, and its digits.
_KEPT = {
    "behaviour": ("answered as asked, %", ".1f"),
    "others": ("other problems, score", ".1f"),
    "bits_per_byte": ("bits per byte", ".3f"),
}


class ArmRow(NamedTuple):
    """One arm; differences are paired by seed, over the seeds that both arms have, in points of 0..100."""

    arm: str
    why: str
    generation: str
    scores: dict[int, float]  # seed -> score
    mean: float | None
    difference: float | None  # None for the first arm, with which the others are compared
    low: float | None  # of the t interval of the mean difference; None below two pairs
    high: float | None
    p_value: float | None  # Wilcoxon's signed-rank test, exact
    p_holm: float | None  # Holm's, over all arms of the campaign: those not finished yet count
    pairs: int
    ahead: int  # seeds on which it scored higher than the first arm
    cut_short: list[str]  # trainings that their ceiling ended: what they show is the machine's load, too

    @property
    def verdict(self) -> str:
        """By Holm's p: with many arms, one below the level is to be expected by chance."""
        if self.p_holm is None or self.difference is None:
            return ""
        if self.p_holm > 1 - CONFIDENCE:
            return "no difference shown"
        return "better" if self.difference > 0 else "worse"


def rows(campaign: Campaign) -> list[ArmRow]:
    done = read_ledger(campaign)
    first, *others = campaign.file.arms
    compared = [_row(campaign, arm, done, first) for arm in others]
    return [_row(campaign, first, done, None), *_with_holm(compared)]


def _row(campaign: Campaign, arm: Arm, done: Mapping[Key, Finished], first: Arm | None) -> ArmRow:
    own = {seed: done[arm.name, seed] for seed in campaign.file.seeds if (arm.name, seed) in done}
    scores = {seed: each.score for seed, each in own.items() if each.score is not None}
    cut_short = [f"{arm.name}, seed {seed}: {sentence}" for seed, each in own.items() for sentence in each.cut_short]
    mean = sum(scores.values()) / len(scores) if scores else None
    bare = ArmRow(arm.name, arm.why, arm.scored, scores, mean, None, None, None, None, None, 0, 0, cut_short)
    if first is None:
        return bare
    differences = _paired(scores, _by_seed(campaign, done, first, "score"))
    if not differences:
        return bare
    ahead = sum(each > 0 for each in differences)
    bare = bare._replace(difference=sum(differences) / len(differences), pairs=len(differences), ahead=ahead)
    low, high = t_interval(differences)
    if low is None:
        return bare
    return bare._replace(low=low, high=high, p_value=float(stats.wilcoxon(differences).pvalue))


def _with_holm(compared: list[ArmRow]) -> list[ArmRow]:
    adjusted = _adjusted({row.arm: row.p_value for row in compared if row.p_value is not None}, len(compared))
    return [row._replace(p_holm=adjusted.get(row.arm)) for row in compared]


def _by_seed(campaign: Campaign, done: Mapping[Key, Finished], arm: Arm, field: str) -> dict[int, float]:
    """What an arm's finished members have in a field of their rows, where they have it."""
    rows = {seed: done[arm.name, seed] for seed in campaign.file.seeds if (arm.name, seed) in done}
    return {seed: value for seed, row in rows.items() if (value := getattr(row, field)) is not None}


def _paired(own: Mapping[int, float], first: Mapping[int, float]) -> list[float]:
    """Differences to the first arm, over the seeds that both have."""
    return [value - first[seed] for seed, value in own.items() if seed in first]


def _adjusted(p_values: Mapping[str, float], arms: int) -> dict[str, float]:
    """Holm's, over so many arms."""
    return holm({arm: -math.log(value) for arm, value in p_values.items()}, arms)


def finished(campaign: Campaign) -> str:
    """*n of N*, while members are missing."""
    done, all_members = len(read_ledger(campaign)), len(campaign.lineages)
    return f"{done} of {all_members} members are finished"


def as_table(found: list[ArmRow]) -> Table:
    """Within 80 columns: an arm's generation stands below its name, and no name is cut."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("arm, read at", overflow="fold")
    for heading in ("seeds", "mean", "to the first (95%)", "p", "Holm", "ahead"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in found:
        difference, interval, *rest = _cells(row)
        arm = Text(f"{row.arm}\n  {row.generation}")
        table.add_row(arm, str(len(row.scores)), _mean(row), f"{difference} {interval}".strip(), *rest)
    return table


def as_sentences(found: list[ArmRow]) -> list[str]:
    """What the table does not show: trainings cut short, whose arms are not what they say."""
    return [f"red flag: {sentence}" for row in found for sentence in row.cut_short]


def result_of(campaign: Campaign) -> dict[str, Any]:
    """The table for machines, and where its race stands."""
    said = {
        "campaign": campaign.name,
        "finished": finished(campaign),
        "arms": [row._asdict() for row in rows(campaign)],
    }
    if not campaign.file.race:
        return said
    race = race_of(campaign, read_ledger(campaign))
    return said | {"race": [standing.model_dump(mode="json") for standing in verdicts(race)]}


def as_markdown(campaign: Campaign) -> str:
    found = rows(campaign)
    lines = [
        f"{finished(campaign).capitalize()}.",
        "",
        "| arm | read at | seeds | mean | to the first | 95% interval | p | Holm | ahead | verdict | what it tells |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---|---|",
    ]
    for row in found:
        cells = [row.arm, row.generation, str(len(row.scores)), _mean(row), *_cells(row), row.verdict, row.why]
        lines.append(f"| {' | '.join(cells)} |")
    if campaign.file.costs:
        lines += ["", *_costs(campaign)]
    if campaign.file.behaviour:
        lines += ["", *_behaviour(campaign)]
    if flags := as_sentences(found):
        lines += ["", *(f"- {sentence}" for sentence in flags)]
    return "\n".join(lines) + "\n"


def _costs(campaign: Campaign) -> list[str]:
    """What every arm forgets, in bits per byte of held-out text, and what it takes; differences are paired by seed."""
    done, first = read_ledger(campaign), campaign.file.arms[0]
    theirs = _by_seed(campaign, done, first, "bits_per_byte")
    lines = [
        "| arm | bits per byte | to the first | 95% interval | optimizer, MB | training, s |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for arm in campaign.file.arms:
        own = {seed: row for (name, seed), row in done.items() if name == arm.name and row.score is not None}
        bits = _by_seed(campaign, done, arm, "bits_per_byte")
        pairs = _paired(bits, theirs)
        low, high = t_interval(pairs)
        cells = [
            _average(bits.values(), ".3f"),
            _average(pairs if arm is not first else [], "+.3f"),
            "" if low is None else f"[{low:+.3f}, {high:+.3f}]",
            _average([row.optimizer_bytes / 1e6 for row in own.values() if row.optimizer_bytes is not None], ".2f"),
            _average([row.device_seconds for row in own.values()], ".1f"),
        ]
        lines.append(f"| {' | '.join([arm.name, *cells])} |")
    return lines


def _behaviour(campaign: Campaign) -> list[str]:
    """How far every arm keeps a behaviour without its instruction, and what that costs; differences are paired by seed.

    Holm's p is over the arms, for each of the measures.
    """
    done, (first, *others) = read_ledger(campaign), campaign.file.arms
    lines = [
        "| what | arm | mean | to the first | 95% interval | p | Holm |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for field, (what, form) in _KEPT.items():
        values = {arm.name: _by_seed(campaign, done, arm, field) for arm in (first, *others)}
        pairs = {arm.name: _paired(values[arm.name], values[first.name]) for arm in others}
        p_values = {name: float(stats.wilcoxon(each).pvalue) for name, each in pairs.items() if len(set(each)) > 1}
        adjusted = _adjusted(p_values, len(others))
        for arm in (first, *others):
            low, high = t_interval(pairs.get(arm.name, []))
            cells = [
                _average(values[arm.name].values(), form),
                _average(pairs.get(arm.name, []), f"+{form}"),
                "" if low is None else f"[{low:+{form}}, {high:+{form}}]",
                *(format(each[arm.name], ".3f") if arm.name in each else "" for each in (p_values, adjusted)),
            ]
            lines.append(f"| {' | '.join([what, arm.name, *cells])} |")
    return lines


def _average(values: Collection[float], form: str) -> str:
    return format(sum(values) / len(values), form) if values else ""


def _mean(row: ArmRow) -> str:
    return "" if row.mean is None else f"{row.mean:.1f}"


def _cells(row: ArmRow) -> list[str]:
    if row.difference is None:
        return [""] * 5
    interval = "" if row.low is None else f"[{row.low:+.1f}, {row.high:+.1f}]"
    p_values = ("" if p is None else f"{p:.3f}" for p in (row.p_value, row.p_holm))
    return [f"{row.difference:+.1f}", interval, *p_values, f"{row.ahead}/{row.pairs}"]
