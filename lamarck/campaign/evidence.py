"""What a list of paired differences is worth: evidence that may be looked at after every block. Pure.

A candidate starts with one coin and bets on "the difference is positive", before each block's sign is looked at, the
share `.95 tanh(1.5 |d| / median)` of what it owns: d is the paired difference, the median that of the sizes of its
differences so far, this one included; a tie is no bet. Where differences are symmetric about zero or less, given the
blocks before, the fortune is a nonnegative supermartingale: the bet is an odd function of d that never falls. So, by
Ville's inequality, the chance that it *ever* reaches 1/p is at most p, and the inverse of the largest fortune is a p
value at every look and at any stop (Ramdas, Ruf, Larsson and Koolen 2022, arXiv:2009.03167; Shafer 2021,
doi:10.1111/rssa.12647). Bets depend on sizes relative to one another, so no wild block and no unit decides.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

BOLDNESS = 1.5  # how fast a bet grows with the difference: chosen by simulation for gains of .5 to 2 sigma
LARGEST_BET = 0.95  # share of a fortune: one loss, however large, leaves a twentieth
MOST_GROWTH = math.log1p(LARGEST_BET)  # of the logarithm of a fortune, in one block
DECIMALS = 9
GRID = 400  # points between which the end of an interval is looked for, twice


def log_fortune(differences: "np.ndarray") -> "np.ndarray":
    """Logarithm of the fortune after each block, of paired differences in their order: any shape, blocks last.

    The exponential of the negative of its running maximum, at most 1, is a p value at every block.
    """
    import numpy as np

    blocks = differences.shape[-1]
    sizes = np.abs(differences)[..., None, :]
    # Row by row the sizes so far, in order; what is still to come, and ties, which tell no scale, are sorted behind.
    told = np.tri(blocks, dtype=bool) & (sizes > 0)
    ordered = np.sort(np.where(told, sizes, np.inf), axis=-1)
    count = told.sum(axis=-1)
    middle = np.maximum(np.stack([count - 1, count], axis=-1) // 2, 0)
    scale = np.take_along_axis(ordered, middle, axis=-1).mean(axis=-1)
    bets = LARGEST_BET * np.tanh(BOLDNESS * differences / scale)
    return np.cumsum(np.log1p(bets), axis=-1)


def centre(differences: "np.ndarray") -> float:
    """Median of the means of all pairs, each with itself too (Hodges and Lehmann 1963): no wild block decides it."""
    import numpy as np

    first, second = np.triu_indices(len(differences))
    return float(np.median((differences[first] + differences[second]) / 2))


def holm(fortunes: Mapping[str, float], comparisons: int) -> dict[str, float]:
    """Holm's adjusted p values (1979) from logarithms of largest fortunes, however candidates hang together.

    `comparisons` is how many there may ever be: those not made yet count with p = 1, and come last.
    """
    adjusted: dict[str, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(fortunes, key=lambda each: -fortunes[each])):
        largest = max(largest, min(1.0, (comparisons - rank) * math.exp(-fortunes[name])))
        adjusted[name] = largest
    return adjusted


def bounds(differences: "np.ndarray", risk: float) -> tuple[float | None, float | None]:
    """The centres between which the differences may lie: outside, a fortune of 1 / `risk` was won against each.

    Each side is wrong with probability at most `risk`, at all looks together. None: unbounded, too few blocks to say.
    """
    low, high = _bound(differences, -math.log(risk)), _bound(-differences, -math.log(risk))
    # What early blocks spoke against may be what all of them together point to: the interval holds their centre too.
    return (
        None if low is None else min(low, round(centre(differences), DECIMALS)),
        None if high is None else max(-high, round(centre(differences), DECIMALS)),
    )


def _bound(differences: "np.ndarray", needed: float) -> float | None:
    """The least centre against which no fortune was won, rounded down to the grid; None where every one may be."""
    import numpy as np

    if len(differences) == 0:
        return None
    spread = float(np.ptp(differences)) or 1.0
    # From far below, all differences look alike, so that what speaks against the first point is all that there can be.
    low, high = float(differences.min()) - 20 * spread, float(differences.max())
    for _ in range(2):
        grid = np.linspace(low, high, GRID)
        held = (log_fortune(differences - grid[:, None]).max(axis=-1) < needed).argmax()
        if held == 0:
            return None
        low, high = float(grid[held - 1]), float(grid[held])
    return round(low, DECIMALS)


def fewest_blocks(comparisons: int, risk: float) -> int:
    """Fewest blocks on which a challenger that wins all of them can be shown to be better."""
    return math.ceil(math.log(comparisons / risk) / MOST_GROWTH)
