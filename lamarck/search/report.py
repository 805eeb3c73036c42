"""What a search came to: its candidates with what was changed, the winner's figure on fresh founders, the proxy."""

from typing import Any, NamedTuple

from lamarck.campaign.ledger import read_ledger
from lamarck.campaign.table import ArmRow, rows
from lamarck.search.file import Search
from lamarck.search.run import FINAL, Round, rounds
from lamarck.search.space import Values

FEWEST = 10  # candidates, below which a rank correlation says nothing


class CandidateLine(NamedTuple):
    """A candidate in one round. `difference`: its mean paired difference to the baseline there, in points, on `seeds`
    founders: what chose it, and so too good where it leads. None: not tried, or it failed."""

    round: str
    candidate: str
    parents: tuple[str, ...]
    how: str
    values: Values
    difference: float | None
    seeds: int


class Report(NamedTuple):
    """`winner` is its row on fresh founders, the only figure of a search that may be quoted; None before the final.

    `proxy` is Spearman's correlation of the children's mean differences with the grandchildren's, over candidates.
    """

    lines: list[CandidateLine]
    winner: ArmRow | None
    winner_values: Values | None
    device_seconds: float
    proxy: float | None
    proxy_pairs: int
    finished: bool


def report(search: Search) -> Report:
    found = rounds(search)
    final = found[-1] if found[-1].name == FINAL else None
    lines = [line for each in found if each.name != FINAL for line in _lines(each)]
    pairs = [pair for each in found if each.name != FINAL for pair in _proxy_pairs(each)]
    row = rows(final.campaign)[1] if final and final.campaign else None
    return Report(
        lines,
        row if row and row.difference is not None else None,
        final.candidates[0].values if final else None,
        sum(line.device_seconds for each in found if each.campaign for line in read_ledger(each.campaign).values()),
        _correlation(pairs),
        len(pairs),
        bool(final and final.finished),
    )


def _lines(each: Round) -> list[CandidateLine]:
    return [
        CandidateLine(
            each.name,
            candidate.name,
            candidate.parents,
            candidate.how,
            candidate.values,
            each.results[candidate.name].difference if candidate.name in each.results else None,
            each.results[candidate.name].seeds if candidate.name in each.results else 0,
        )
        for candidate in each.candidates
    ]


def _proxy_pairs(each: Round) -> list[tuple[float, float]]:
    """Of each candidate: the mean score of its children, and that of its grandchildren, to the baseline's."""
    if each.campaign is None:
        return []
    done = read_ledger(each.campaign)
    first = each.campaign.file.arms[0].name
    pairs = []
    for candidate in each.candidates:
        both = [
            (own.proxy - other.proxy, own.score - other.score)
            for (arm, seed), own in done.items()
            if arm == candidate.name and (other := done.get((first, seed)))
            if own.proxy is not None and other.proxy is not None and own.score is not None and other.score is not None
        ]
        if both:
            pairs.append((sum(child for child, _ in both) / len(both), sum(score for _, score in both) / len(both)))
    return pairs


def _correlation(pairs: list[tuple[float, float]]) -> float | None:
    if len(pairs) < FEWEST:
        return None
    from scipy import stats

    return float(stats.spearmanr([child for child, _ in pairs], [grandchild for _, grandchild in pairs]).statistic)


def as_json(search: Search, found: Report) -> dict[str, Any]:
    return {
        "search": search.name,
        "finished": found.finished,
        "device_seconds": round(found.device_seconds, 3),
        "candidates": [line._asdict() for line in found.lines],
        "winner": None if found.winner is None else found.winner._asdict() | {"verdict": found.winner.verdict},
        "winner_values": found.winner_values,
        "proxy_correlation": found.proxy,
        "proxy_pairs": found.proxy_pairs,
    }
