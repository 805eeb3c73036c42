"""How a curriculum's items are divided among its cells."""

from collections import Counter
from pathlib import Path

import pytest

from lamarck.config.strategy import Strategy, load_strategy
from lamarck.curriculum.cell import Cell, allot, highest_rate, open_cells, share_out

FRONTIER = load_strategy(Path("config/strategies/frontier.yaml"))


def probed(rates: dict[str, float]) -> list[Cell]:
    """The cells after a probe with these pass rates, by cell or else by skill."""
    cells = open_cells(FRONTIER)
    for cell in cells:
        cell.pass_rate = rates.get(cell.name, rates[cell.skill.name])
        cell.sampled = 200 if cell.pass_rate else 400  # with 200 in vain it might still be one in a hundred
        cell.verified = round(cell.sampled * cell.pass_rate)
    return cells


def wanted(cells: list[Cell]) -> Counter[str]:
    found: Counter[str] = Counter()
    for cell in cells:
        found[cell.skill.name] += cell.wanted
    return found


def test_cells_out_of_reach_and_small_ones_leave_their_items_to_the_others() -> None:
    """A founder that knows what is easy: with their items left where nobody can fill them, json_mode would have far
    less than its 35%, and all skills together less than was asked for."""
    rates = {"json_mode": 0.0, "list_ops": 0.4, "arithmetic": 0.4}
    rates |= {"json_mode.1": 0.9, "json_mode.2": 0.5, "json_mode.3": 0.3, "list_ops.7": 0.0, "list_ops.8": 0.0}
    cells = probed(rates)
    allot(cells, FRONTIER)
    found = wanted(cells)
    assert found.total() == pytest.approx(FRONTIER.size, abs=len(cells))
    assert found["json_mode"] / FRONTIER.size == pytest.approx(0.35, abs=0.001)
    assert all(cell.wanted == 0 and cell.closed for cell in cells if cell.pass_rate == 0)
    # Weights are kept, save where there are too few problems.
    of = {cell.name: cell.wanted for cell in cells}
    assert of["json_mode.2"] == of["json_mode.3"] == pytest.approx(2 * of["json_mode.1"], abs=1)
    assert of["arithmetic.1"] == 67 < of["arithmetic.2"] == of["arithmetic.6"]


def test_no_choice_is_waited_for_where_there_are_few_problems() -> None:
    """Wrong: twice as many as wanted of every cell, also where half of all problems were wanted already."""
    rates = {"json_mode": 0.4, "list_ops": 0.4, "arithmetic": 0.4}
    plain, choosing = probed(rates), probed(rates)
    allot(plain, FRONTIER)
    allot(choosing, FRONTIER.model_copy(update={"longest_of": 2}))
    assert wanted(choosing) == wanted(plain)
    assert all(cell.sought == cell.wanted for cell in plain)
    sought = {cell.name: cell.sought - cell.wanted for cell in choosing}
    assert sought["arithmetic.1"] == 0 < sought["arithmetic.2"] == choosing[-1].wanted


def test_what_a_whole_skill_leaves_over_goes_to_the_others_by_their_shares() -> None:
    cells = probed({"json_mode": 0.0, "list_ops": 0.4, "arithmetic": 0.4})
    cells[0].kept = [None] * 30  # type: ignore[list-item]
    allot(cells, FRONTIER)
    found = wanted(cells)
    assert (found["json_mode"], cells[0].wanted) == (30, 30)
    assert found["list_ops"] / found["arithmetic"] == pytest.approx(0.38 / 0.27, rel=0.01)
    assert found.total() == pytest.approx(FRONTIER.size, abs=len(cells))


@pytest.mark.parametrize(
    ("passed", "tried", "closed"), [(4, 50, False), (7, 100, False), (4, 100, True), (0, 20, False)]
)
def test_a_cell_is_given_up_by_what_its_rate_may_be_at_most(passed: int, tried: int, closed: bool) -> None:
    """Below a band from 0.1 on by the estimate: 0.08, 0.07, 0.04 and 0."""
    strategy = Strategy.model_validate(
        {
            "description": "",
            "skills": {"arithmetic": {"share": 1, "difficulties": (2, 3)}},
            "size": 100,
            "difficulty": {"kind": "following", "band": (0.1, 0.8)},
            "sampling": {"max_new_tokens": 1},
        }
    )
    cells = open_cells(strategy)
    for cell in cells:
        cell.sampled, cell.verified = tried, tried
    cells[1].verified = passed
    allot(cells, strategy)
    assert cells[1].closed is closed
    assert (cells[1].wanted == 0) is closed


def test_the_highest_rate() -> None:
    """Against the interval of scipy, two-sided at 90%."""
    from scipy.stats import binomtest

    for passed, tried in ((0, 40), (3, 40), (39, 40), (40, 40)):
        interval = binomtest(passed, tried).proportion_ci(0.9, "wilson")
        assert highest_rate(passed, tried) == pytest.approx(interval.high)


@pytest.mark.parametrize(
    ("whole", "weights", "most", "given"),
    [
        (10, [1, 1], [100, 100], [5, 5]),
        (10, [1, 4], [100, 100], [2, 8]),
        (10, [1, 1, 2], [1, 100, 100], [1, 3, 6]),
        (10, [1, 1, 1], [1, 2, 3], [1, 2, 3]),
        (10, [1, 1, 1], [0, 4, 100], [0, 4, 6]),
        (0, [1, 1], [5, 5], [0, 0]),
        (-3, [1], [5], [0]),
        (10, [], [], []),
    ],
)
def test_a_whole_is_divided_by_weight_up_to_what_each_can_take(
    whole: float, weights: list[float], most: list[float], given: list[float]
) -> None:
    assert share_out(whole, weights, most) == pytest.approx(given)
