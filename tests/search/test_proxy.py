"""The corrected rank correlation finds what the scores would say without noise, also where errors hang together."""

import numpy as np
import pytest

from lamarck.search.proxy import correct, proxy, spearman


def draw(seed: int, truth: float, strategies: int, noise: float, shared: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores, strategies x founders: worths of child and grandchild correlate by `truth`; `shared` of the noise's
    variance is one for both, as where a grandchild grows from a lucky child."""
    rng = np.random.default_rng(seed)
    child, other = rng.normal(size=(2, strategies, 1))
    grandchild = truth * child + (1 - truth**2) ** 0.5 * other
    founders, both, first, second = (rng.normal(size=size) for size in ((1, 4), *[(strategies, 4)] * 3))
    own = [shared**0.5 * both + (1 - shared) ** 0.5 * each for each in (first, second)]
    return child + 3 * founders + noise * own[0], grandchild + 3 * founders + noise * own[1]


@pytest.mark.parametrize(("truth", "shared"), [(0.6, 0.0), (0.6, 0.8), (0.0, 0.8)])
def test_noise_is_taken_out_shared_or_not(truth: float, shared: float) -> None:
    drawn = [draw(seed, truth, 300, 1.5, shared) for seed in range(6)]
    plain = sum(spearman(child.mean(axis=1), grandchild.mean(axis=1)) for child, grandchild in drawn) / len(drawn)
    corrected = sum(float(correct(*scores)[2]) for scores in drawn) / len(drawn)
    # Ranks of normal values correlate a little less than the values.
    assert corrected == pytest.approx(6 / np.pi * np.arcsin(truth / 2), abs=0.08)
    # What is corrected for here: noise alone makes the plain one too low, noise that is shared too high.
    assert plain < truth - 0.1 if shared == 0 else plain > truth + 0.05


def test_scores_without_any_truth_are_not_corrected_into_one() -> None:
    rng = np.random.default_rng(3)
    told = [proxy(*rng.normal(size=(2, 30, 4)), seed=seed) for seed in range(5)]
    assert all(each.low is None or each.low < 0 for each in told)


def test_four_founders_by_hand() -> None:
    """Four strategies, two founders: halves are single founders; each score's halves agree perfectly."""
    children = np.array([[1.0, 2.0], [2.0, 3.0], [3.0, 4.0], [4.0, 5.0]])
    found = proxy(children, children[[1, 0, 2, 3]])
    assert (found.child, found.grandchild) == pytest.approx((1, 1))
    # One pair of neighbours is exchanged: 1 - 6 * (1 + 1) / (4 * 15).
    assert found.plain == pytest.approx(0.8) and found.corrected == pytest.approx(0.8)
