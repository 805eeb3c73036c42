"""The fortune of a fair bet, checked over every way in which the signs can fall."""

import itertools
import math

import numpy as np
import pytest

from lamarck.campaign.evidence import BOLDNESS, LARGEST_BET, bounds, centre, fewest_blocks, holm, log_fortune

SIZES = {
    "one scale": [1.0, 1.2, 0.7, 0.9, 1.1, 0.8, 1.3, 1.0, 0.6, 1.4],
    "a wild block": [1.0, 0.3, 400.0, 0.2, 2.0, 0.9, 0.01, 30.0, 1.0, 0.5],
    "ties": [0.0, 1.0, 1.0, 0.0, 2.0, 1.0, 2.0, 1.0, 0.0, 1.0],
}


def every_sign(sizes: list[float]) -> np.ndarray:
    """Differences of these sizes, with every assignment of signs: equally likely where nothing is better."""
    return np.array(list(itertools.product([-1.0, 1.0], repeat=len(sizes)))) * np.array(sizes)


def sign_blind(differences: np.ndarray) -> np.ndarray:
    return log_fortune(differences)


def scaled_by_spread(differences: np.ndarray) -> np.ndarray:
    """Wrong: the scale is a standard deviation, which depends on the sign that is bet on."""
    logs = np.zeros(differences.shape)
    for block in range(1, differences.shape[1]):
        scale = differences[:, : block + 1].std(axis=1) + 1e-12
        logs[:, block] = np.log1p(LARGEST_BET * np.tanh(BOLDNESS * differences[:, block] / scale))
    return np.cumsum(logs, axis=1)


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_the_bet_is_fair_and_its_largest_fortune_is_a_p_value(sizes: list[float]) -> None:
    fortunes = np.exp(sign_blind(every_sign(sizes)))
    np.testing.assert_allclose(fortunes.mean(axis=0), 1.0)
    for p in (0.5, 0.2, 0.05, 0.01):
        assert (fortunes.max(axis=1) >= 1 / p).mean() <= p


def test_a_scale_that_sees_the_sign_is_caught_by_that_check() -> None:
    fortunes = np.exp(scaled_by_spread(every_sign(SIZES["one scale"])))
    assert abs(fortunes[:, -1].mean() - 1) > 0.05


def test_what_lies_below_zero_never_earns() -> None:
    """Symmetric about something negative: the mean fortune falls."""
    below = every_sign(SIZES["one scale"]) - 0.3
    assert (np.diff(np.exp(sign_blind(below)).mean(axis=0)) < 0).all()


def test_units_and_lone_wild_blocks_do_not_decide() -> None:
    differences = np.array([1.0, 2.0, 0.5, 1.5, -0.2, 3.0])
    np.testing.assert_allclose(log_fortune(differences), log_fortune(1e6 * differences))
    wild = np.append(differences, -1e9)
    assert log_fortune(wild)[-1] >= log_fortune(differences)[-1] + math.log(1 - LARGEST_BET) - 1e-9


def test_fewest_blocks_by_hand() -> None:
    # 1.95 ** 4 = 14.5 < 20 <= 1.95 ** 5; 1.95 ** 7 = 107 < 160 <= 1.95 ** 8.
    assert (fewest_blocks(1, 0.05), fewest_blocks(8, 0.05)) == (5, 8)


def test_holm_by_hand() -> None:
    found = holm({"a": -math.log(0.01), "b": -math.log(0.02), "c": -math.log(0.3)}, 4)
    assert found == pytest.approx({"a": 0.04, "b": 0.06, "c": 0.6})


def test_centre_is_the_median_of_the_means_of_pairs() -> None:
    # 1, 2, 12: the pairs' means are 1, 1.5, 2, 6.5, 7, 12.
    assert centre(np.array([1.0, 2.0, 12.0])) == 4.25


@pytest.mark.parametrize("spread", [1.0, 0.0])
def test_bounds_exclude_zero_exactly_where_the_fortune_is_large_enough(spread: float) -> None:
    generator = np.random.default_rng(0)
    agree = 0
    for _ in range(100):
        differences = generator.normal(1.0, spread, 10)
        low, high = bounds(differences, 0.05)
        assert low is not None and high is not None and low <= round(centre(differences), 9) <= high
        agree += (low > 0) == bool(log_fortune(differences).max() >= math.log(20))
    assert agree >= 98  # a fortune is not quite monotone in the centre, and the bounds are those of the whole set


def test_bounds_hold_the_centre_at_all_looks_together() -> None:
    generator = np.random.default_rng(1)
    wrong = 0
    for _ in range(150):
        differences = 3 + generator.standard_t(2, 12)
        seen = [bounds(differences[:look], 0.1) for look in (6, 9, 12)]
        wrong += any((low is not None and low > 3) or (high is not None and high < 3) for low, high in seen)
    assert wrong / 150 <= 0.2 + 2 * math.sqrt(0.2 * 0.8 / 150)


def test_the_scale_is_the_median_of_the_sizes_so_far_without_ties() -> None:
    differences = np.array([0.0, 2.0, -1.0, 0.0, 6.0])
    scales = np.array([1.0, 2.0, 1.5, 1.5, 2.0])
    expected = np.cumsum(np.log1p(LARGEST_BET * np.tanh(BOLDNESS * differences / scales)))
    np.testing.assert_allclose(log_fortune(differences), expected)


def test_too_few_blocks_bound_nothing() -> None:
    assert bounds(np.array([]), 0.05) == (None, None)
    assert bounds(np.array([1.0, 2.0, 1.5, 1.7]), 0.05) == (None, None)
