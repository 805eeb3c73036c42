"""Races simulated two thousand times, procedures that are wrong beside the one that is used, and ledgers by hand."""

import math
import random
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from scipy import stats

from lamarck.campaign.evidence import log_fortune
from lamarck.campaign.racing import (
    Entry,
    Observation,
    Race,
    RaceRules,
    Rung,
    Withdrawal,
    decide,
    most_runs,
    race,
    successive_halving,
    verdicts,
)
from lamarck.errors import LamarckError

SIMULATIONS = 2000
CHALLENGERS, BLOCKS = 8, 14
RULES = RaceRules(
    incumbent="default",
    challengers=tuple(f"c{number}" for number in range(CHALLENGERS)),
    blocks=tuple(f"seed{number}" for number in range(BLOCKS)),
    rungs=(Rung(blocks=4, keep=4), Rung(blocks=7, keep=2)),
)
TWO_ERRORS = 2 * math.sqrt(RULES.risk * (1 - RULES.risk) / SIMULATIONS)
BUDGET = 72  # runs in all; a race of everyone to the end would take 126

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
Procedure = Callable[[str], list[set[int]]]
NOISE: dict[str, Draw] = {
    "normal": lambda generator, shape: generator.standard_normal(shape),
    "heavy tails": lambda generator, shape: generator.standard_t(2, shape),
    "skewed": lambda generator, shape: generator.exponential(size=shape) ** 2,
    "ties": lambda generator, shape: generator.binomial(2, 0.15, shape).astype(float),
}


@cache
def scores(noise: str, gain: float = 0.0) -> np.ndarray:
    """Simulations x candidates (the incumbent first) x blocks, which differ more. The first challenger gains."""
    generator = np.random.default_rng(7)
    drawn = NOISE[noise](generator, (SIMULATIONS, 1 + CHALLENGERS, BLOCKS))
    drawn[:, 1] += gain
    return drawn + np.round(10 * generator.standard_normal((SIMULATIONS, 1, BLOCKS)))


@cache
def raced(noise: str, gain: float = 0.0) -> list[Race]:
    return [decide(RULES, each) for each in scores(noise, gain)]


def ours(noise: str) -> list[set[int]]:
    """The challengers that each simulation declares better: the procedure that is used."""
    return [{RULES.challengers.index(name) for name in each.better} for each in raced(noise)]


def lucky_one(noise: str) -> list[set[int]]:
    """Wrong: whoever has the best single run has won, where it beats the incumbent."""
    drawn = scores(noise)
    gains = drawn[:, 1:, 0] - drawn[:, :1, 0]
    return [{int(row.argmax())} if row.max() > 0 else set() for row in gains]


def peeking_t_tests(noise: str) -> list[set[int]]:
    """Wrong: a paired t-test at 5% for each challenger, after each block from the third on."""
    drawn = scores(noise)
    gains = drawn[:, 1:] - drawn[:, :1]
    found = np.zeros(gains.shape[:2], bool)
    with np.errstate(all="ignore"):
        for look in range(3, BLOCKS + 1):
            spread = gains[..., :look].std(axis=-1, ddof=1) / math.sqrt(look)
            found |= gains[..., :look].mean(axis=-1) / spread > stats.t.ppf(0.95, look - 1)
    return [set(np.flatnonzero(row).tolist()) for row in found]


def risk_for_each(noise: str) -> list[set[int]]:
    """Wrong: the right evidence, but every challenger may spend the whole risk."""
    return [{n for n, p in enumerate(each.p_values.values()) if p <= RULES.risk} for each in raced(noise)]


def unpaired(scores: np.ndarray) -> list[set[int]]:
    """Wrong where blocks differ: compares means over blocks, as if they were other blocks for each candidate."""
    p = stats.ttest_ind(scores[:, 1:], scores[:, :1], axis=-1, alternative="greater").pvalue
    return [set(np.flatnonzero(row <= RULES.risk / CHALLENGERS).tolist()) for row in p]


def false_rate(found: list[set[int]]) -> float:
    return sum(bool(each) for each in found) / len(found)


@pytest.mark.parametrize("noise", NOISE)
def test_false_betters_stay_within_the_risk(noise: str) -> None:
    assert false_rate(ours(noise)) <= RULES.risk + TWO_ERRORS


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("wrong", [lucky_one, peeking_t_tests, risk_for_each])
def test_wrong_procedures_are_caught_by_that_check(noise: str, wrong: Procedure) -> None:
    assert false_rate(wrong(noise)) > RULES.risk + TWO_ERRORS


def test_a_gain_of_two_sigma_is_found_within_the_budget() -> None:
    assert most_runs(RULES) == BUDGET
    races = raced("normal", gain=2 * math.sqrt(2))  # sigma is that of the paired difference
    assert all(each.runs <= BUDGET for each in races)
    assert sum("c0" in each.better for each in races) / SIMULATIONS >= 0.8
    # Nor is anyone else found beside it.
    assert sum(bool(set(each.better) - {"c0"}) for each in races) / SIMULATIONS <= RULES.risk + TWO_ERRORS


def test_a_comparison_that_is_not_paired_is_caught_by_that_check() -> None:
    found = unpaired(scores("normal", gain=2 * math.sqrt(2)))
    assert sum(0 in each for each in found) / SIMULATIONS < 0.8


def test_successive_halving_by_hand() -> None:
    assert [(rung.blocks, rung.keep) for rung in successive_halving(16, blocks=1)] == [(1, 8), (2, 4), (4, 2), (8, 1)]
    # The first bracket of Hyperband's table (Li et al. 2018, table 1): 81, 27, 9, 3, 1 with 1, 3, 9, 27, 81 units.
    expected = [(1, 27), (3, 9), (9, 3), (27, 1)]
    assert [(rung.blocks, rung.keep) for rung in successive_halving(81, blocks=1, eta=3)] == expected
    assert [(rung.blocks, rung.keep) for rung in successive_halving(5, blocks=3)] == [(3, 2), (6, 1)]
    assert successive_halving(1, blocks=3) == ()


def test_most_runs_by_hand() -> None:
    # 9 candidates on 4 blocks, 5 on 3, 3 on 7.
    assert most_runs(RULES) == 9 * 4 + 5 * 3 + 3 * 7


def ledger(scores: np.ndarray) -> list[Observation | Withdrawal]:
    names = (RULES.incumbent, *RULES.challengers)
    return [
        Observation(candidate=name, block=block, score=float(scores[row, column]))
        for row, name in enumerate(names)
        for column, block in enumerate(RULES.blocks)
    ]


def test_a_race_is_resumed_from_its_ledger_at_any_point() -> None:
    """Runs come back one by one in any order, a restart after each: members only leave, and the end is the same."""
    complete = scores("heavy tails", gain=4.0)[3]
    truth = {(entry.candidate, entry.block): entry for entry in ledger(complete) if isinstance(entry, Observation)}
    shuffle = random.Random(0)
    lines: list[str] = []
    going: set[str] = set(RULES.challengers)
    adapter: TypeAdapter[Observation | Withdrawal] = TypeAdapter(Entry)
    while True:
        now = race(RULES, [adapter.validate_json(line) for line in lines])
        assert set(now.going) <= going or now.finished
        going = set(now.going)
        if now.finished:
            break
        assert {run.candidate for run in now.next_runs} <= {*going, RULES.incumbent}
        lines.append(truth[shuffle.choice(now.next_runs)].model_dump_json())
    whole = race(RULES, ledger(complete))
    assert now == whole
    assert len(lines) == now.runs < BUDGET
    assert verdicts(now) == verdicts(whole)
    assert verdicts(now)[0].verdict == "better"


def test_scores_that_were_not_asked_for_change_nothing() -> None:
    """What a dropped candidate scores later, however high, does not bring it back."""
    complete = scores("normal")[0]
    before = race(RULES, ledger(complete))
    (gone, reason), *_ = before.dropped.items()
    later = complete.copy()
    later[1 + RULES.challengers.index(gone), len(before.differences[gone]) :] = 1e6
    after = race(RULES, ledger(later))
    assert after.dropped[gone] == reason
    assert verdicts(after) == verdicts(before)


def test_whoever_is_dropped_as_hopeless_could_not_have_won() -> None:
    tried = 0
    for complete in scores("normal")[:20]:
        found = decide(RULES.model_copy(update={"rungs": ()}), complete)
        for name, reason in found.dropped.items():
            assert "cannot show" in reason
            seen = found.differences[name]
            wins = [10.0**power for power in range(3, 3 + BLOCKS - len(seen))]
            # Those who went on might all be found before it, and leave it the largest share of the risk.
            others = sum(len(each) > len(seen) or other in found.better for other, each in found.differences.items())
            best = log_fortune(np.array([*seen, *wins])).max()
            assert best < math.log((CHALLENGERS - others) / RULES.risk)
            tried += 1
    assert tried > 20


def test_figures_of_one_comparison_by_hand() -> None:
    rules = RaceRules(incumbent="old", challengers=("new",), blocks=tuple("abcdef"), comparisons=2, risk=0.08)
    new, old = [12.0, 21.0, 33.0, 41.0, 52.0, 62.0], [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]
    found = verdicts(decide(rules, np.array([old, new])))[0]
    differences = np.subtract(new, old)
    assert found.estimate == np.median([(a + b) / 2 for i, a in enumerate(differences) for b in differences[i:]])
    assert found.sigma == pytest.approx(np.std(differences, ddof=1))  # not of the scores, which spread twentyfold
    assert found.p_adjusted == 2 * found.p_value
    assert decide(rules, np.array([old, new])).risk_spent == 0.04


def test_all_challengers_may_be_better_at_once() -> None:
    rules = RaceRules(incumbent="old", challengers=("new", "newer"), blocks=tuple("abcdefghijkl"), look_every=12)
    old = np.linspace(0, 1, 12)
    assert set(decide(rules, np.stack([old, old + 1, old + 2])).better) == {"new", "newer"}


def test_scores_that_mean_the_same_tie() -> None:
    rules = RaceRules(incumbent="old", challengers=("new",), blocks=tuple("abcdef"))
    old = np.full(6, 0.3)
    found = decide(rules, np.stack([old, old + 5e-17 + np.spacing(0.3)]))
    assert found.p_values == {"new": 1.0}


def test_a_candidate_that_could_not_be_run_leaves_and_the_others_go_on() -> None:
    complete = scores("normal", gain=2 * math.sqrt(2))[1]
    lines = [
        entry
        for entry in ledger(complete)
        if not (isinstance(entry, Observation) and entry.candidate == "c3" and entry.block in RULES.blocks[2:])
    ]
    stuck = race(RULES, lines)
    assert [run.candidate for run in stuck.next_runs] == ["c3"]
    freed = race(RULES, [*lines, Withdrawal(candidate="c3", reason="its curriculum has no items")])
    standing = verdicts(freed)[3]
    assert (standing.verdict, standing.reason) == ("dropped", "withdrawn: its curriculum has no items")
    assert (standing.blocks, freed.finished) == (2, True)


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ([Observation(candidate="who", block="seed0", score=1)], "speaks of who"),
        ([Observation(candidate="c1", block="seed99", score=1)], "the block seed99"),
        ([Observation(candidate="c1", block="seed0", score=s) for s in (1, 2)], "two scores of c1 on seed0, 1 and 2"),
        ([Withdrawal(candidate="default", reason="lost")], "incumbent default was withdrawn"),
    ],
)
def test_a_ledger_that_is_not_of_this_race_is_refused(entries: list[Observation | Withdrawal], sentence: str) -> None:
    with pytest.raises(LamarckError, match=sentence):
        race(RULES, entries)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"blocks": tuple("abcdefg")},
            "7 blocks can show nothing at a risk of 0.05 over 8 comparisons: give at least 8",
        ),
        ({"challengers": ("c1", "c1")}, "occurs twice"),
        ({"challengers": ("default",)}, "occurs twice"),
        ({"comparisons": 3}, "less than the 8"),
        ({"rungs": (Rung(blocks=4, keep=2), Rung(blocks=4, keep=1))}, "in order"),
        ({"rungs": (Rung(blocks=2, keep=2), Rung(blocks=4, keep=3))}, "only leaves out"),
        ({"rungs": (Rung(blocks=20, keep=2),)}, "after 20 blocks, and there are 14"),
        ({"risk": 1.0}, "less than 1"),
    ],
)
def test_rules_that_cannot_be_held_are_refused(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        RaceRules.model_validate(RULES.model_dump() | changes)


def test_looks_may_be_rarer_than_blocks() -> None:
    rules = RULES.model_copy(update={"look_every": 5})
    assert rules.looks == (4, 5, 7, 10, 14)
    assert len(race(rules, []).next_runs) == 9 * 4
