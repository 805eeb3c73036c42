"""How well a child's score foretells the grandchild's: a rank correlation, and what it would be without noise. Pure.

Both scores of a strategy on one founder share that founder, and a grandchild grows from the child: so their errors hang
together, and the plain correlation can be too high as well as too low. Here the founders are split in halves, each way:
the children's means on one half are set against the grandchildren's on the other, whose errors share nothing, and that
is divided by the square root of both reliabilities, the correlations of each score's own halves (Spearman 1904, "The
proof and measurement of association between two things": correction for attenuation).
"""

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
    child, grandchild, corrected = _corrected(children, grandchildren)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(children), (DRAWS, len(children)))
    bootstrapped = [_corrected(children[rows], grandchildren[rows])[2] for rows in drawn]
    told = [each for each in bootstrapped if each is not None]
    # Where many draws say nothing, the interval of the others would promise too much.
    enough = corrected is not None and len(told) >= 0.95 * DRAWS
    low, high = np.quantile(told, [0.025, 0.975]) if enough else (None, None)
    return Proxy(
        len(children),
        children.shape[1],
        spearman(children.mean(axis=1), grandchildren.mean(axis=1)),
        child,
        grandchild,
        corrected,
        None if low is None else float(low),
        None if high is None else float(high),
    )


def _corrected(children: "np.ndarray", grandchildren: "np.ndarray") -> tuple[float, float, float | None]:
    """Reliabilities of both scores over half of the founders; the correlation across halves, corrected for them."""
    import numpy as np

    founders = children.shape[1]
    halves = [list(half) for half in combinations(range(founders), founders // 2)]
    others = [[each for each in range(founders) if each not in half] for half in halves]
    own, other = ([_ranks(scores[:, part].mean(axis=1)) for part in halves] for scores in (children, grandchildren))
    own_rest, other_rest = (
        [_ranks(scores[:, part].mean(axis=1)) for part in others] for scores in (children, grandchildren)
    )

    def mean(first: list["np.ndarray"], second: list["np.ndarray"]) -> float:
        return float(np.mean([_correlation(a, b) for a, b in zip(first, second, strict=True)]))

    child, grandchild = mean(own, own_rest), mean(other, other_rest)
    # Each half of the children with the other half of the grandchildren; all halves come as often as their rest.
    across = (mean(own, other_rest) + mean(own_rest, other)) / 2
    if child <= 0 or grandchild <= 0:
        return child, grandchild, None
    return child, grandchild, across / (child * grandchild) ** 0.5


def _ranks(values: "np.ndarray") -> "np.ndarray":
    from scipy import stats

    ranks: np.ndarray = stats.rankdata(values)
    return ranks - ranks.mean()


def _correlation(first: "np.ndarray", second: "np.ndarray") -> float:
    length = float((first @ first) * (second @ second)) ** 0.5
    return float(first @ second) / length if length else 0.0
