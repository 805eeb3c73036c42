"""How well a child's score foretells the grandchild's: a rank correlation, and what it would be without noise. Pure.

Both scores of a strategy on one founder share that founder, and a grandchild grows from the child: so their errors hang
together, and the plain correlation can be too high as well as too low. Here the founders are split in halves, each way:
the children's means on one half are set against the grandchildren's on the other, whose errors share nothing, and that
is divided by the square root of both reliabilities, the correlations of each score's own halves (Spearman 1904, "The
proof and measurement of association between two things": correction for attenuation).
"""

import math
from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

FEWEST = 10  # strategies, below which a rank correlation says nothing
DRAWS = 1000  # of strategies, for an interval


class Proxy(NamedTuple):
    """`plain`: Spearman's correlation of the means over all founders. `child` and `grandchild`: the reliabilities of
    half of the founders. `corrected`, with a bootstrap interval over strategies; None where a reliability is not above
    zero, so that nothing can be said."""

    strategies: int
    founders: int
    plain: float
    child: float
    grandchild: float
    corrected: float | None
    low: float | None
    high: float | None


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    from scipy import stats

    return float(stats.spearmanr(first, second).statistic)


def proxy(children: "np.ndarray", grandchildren: "np.ndarray", seed: int = 1) -> Proxy:
    """Scores, strategies x founders, of at least two founders."""
    import numpy as np

    # A founder that is kind to all says nothing about strategies.
    children, grandchildren = (each - each.mean(axis=0) for each in (children, grandchildren))
    child, grandchild, corrected = (float(each) for each in correct(children, grandchildren))
    drawn = np.random.default_rng(seed).integers(0, len(children), (DRAWS, len(children)))
    told = correct(children[drawn], grandchildren[drawn])[2]
    told = told[~np.isnan(told)]
    # Where many draws say nothing, the interval of the others would promise too much.
    enough = not np.isnan(corrected) and len(told) >= 0.95 * DRAWS
    low, high = np.quantile(told, [0.025, 0.975]).tolist() if enough else (None, None)
    return Proxy(
        len(children),
        children.shape[1],
        spearman(children.mean(axis=1), grandchildren.mean(axis=1)),
        child,
        grandchild,
        None if np.isnan(corrected) else corrected,
        low,
        high,
    )


def correct(children: "np.ndarray", grandchildren: "np.ndarray") -> "tuple[np.ndarray, np.ndarray, np.ndarray]":
    """Reliabilities of both scores over half of the founders, and the correlation across halves, corrected for them.

    Scores of any shape, the last two are strategies x founders; not a number where a reliability is not above zero.
    """
    import numpy as np

    founders = children.shape[-1]
    halves = np.zeros((math.comb(founders, founders // 2), founders))
    for row, half in zip(halves, combinations(range(founders), founders // 2), strict=True):
        row[list(half)] = 1 / len(half)
    rest = (halves == 0) / (founders - founders // 2)
    own, own_rest = (_ranks(children @ each.T) for each in (halves, rest))
    other, other_rest = (_ranks(grandchildren @ each.T) for each in (halves, rest))
    child, grandchild = _correlation(own, own_rest), _correlation(other, other_rest)
    # Each half of the children with the other half of the grandchildren; all halves come as often as their rest.
    across = (_correlation(own, other_rest) + _correlation(own_rest, other)) / 2
    reliable = np.where((child > 0) & (grandchild > 0), child * grandchild, np.nan)
    return child, grandchild, across / np.sqrt(reliable)


def _ranks(values: "np.ndarray") -> "np.ndarray":
    """Among strategies, the last but one axis; as vectors of length 1 about their mean, or 0 where all are equal."""
    import numpy as np
    from scipy import stats

    ranks = stats.rankdata(values, axis=-2)
    ranks = ranks - ranks.mean(axis=-2, keepdims=True)
    length = np.sqrt((ranks**2).sum(axis=-2, keepdims=True))
    return np.divide(ranks, length, out=np.zeros_like(ranks), where=length > 0)


def _correlation(first: "np.ndarray", second: "np.ndarray") -> "np.ndarray":
    """The mean over all halves."""
    found: np.ndarray = (first * second).sum(axis=-2).mean(axis=-1)
    return found
