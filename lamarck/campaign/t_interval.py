"""The interval of a mean of paired differences that is shown in tables: Student's t. Pure."""

from collections.abc import Sequence

CONFIDENCE = 0.95


def t_interval(differences: Sequence[float]) -> tuple[float | None, float | None]:
    """None for one pair, or pairs without any variance: they tell nothing about chance."""
    if len(set(differences)) < 2:
        return None, None
    from scipy import stats

    bounds = stats.ttest_1samp(differences, 0).confidence_interval(CONFIDENCE)
    return float(bounds.low), float(bounds.high)
