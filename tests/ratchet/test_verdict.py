"""Luck is not progress: how often a night keeps what is no better, and how often what is."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from pydantic import ValidationError

from lamarck.ratchet.night import DecidedLine, Mend, NextExperiment, Night, Propose, Proposed, Ran, Stop, is_simple
from lamarck.ratchet.verdict import Rigor, Simplicity, confirm

RIGOR = Rigor()


class Played(NamedTuple):
    night: Night
    runs: int
    lines: list[Ran | Proposed | DecidedLine]


def play(
    rng: np.random.Generator,
    proposals: int,
    gain: Callable[[int], float] = lambda number: 0.0,
    nodes: int = 0,
    rigor: Rigor = RIGOR,
    simplicity: Simplicity | None = None,
    sign: int = 1,
    heavy: bool = False,
) -> Played:
    """A night in which nothing is run: scores are noise with a standard deviation of one, plus what a proposal gains
    over the incumbent of its time. `heavy`: with the tails of Student's t of three degrees of freedom."""
    night = Night(rigor, simplicity or Simplicity(), sign, 1)
    runs, level = 0, 0.0
    lines: list[Ran | Proposed | DecidedLine] = []
    while not isinstance(action := night.next(), Stop):
        if isinstance(action, Propose):
            if action.number > proposals:
                break
            line: Ran | Proposed | DecidedLine = Proposed(number=action.number, commit=f"c{action.number}",
                                                     description="", nodes=nodes)  # fmt: skip
        elif isinstance(action, DecidedLine):
            line = action
            level += gain(action.number) if action.status == "keep" else 0.0
        else:
            assert isinstance(action, NextExperiment)
            runs += 1
            noise = rng.standard_t(3) / 3**0.5 if heavy else rng.normal()
            score = level + noise + (gain(night.number) if action.candidate else 0.0)
            line = Ran(proposal=night.number, candidate=action.candidate, stage=action.stage, pair=action.pair,
                       seed=action.seed, metric=sign * score)  # fmt: skip
        lines.append(line)
        night.apply(line)
    return Played(night, runs, lines)


@pytest.mark.parametrize("heavy", [False, True])
def test_nights_in_which_nothing_is_better_keep_something_no_more_often_than_the_risk(heavy: bool) -> None:
    """2,000 nights of changes that change nothing, until their confirmations are used."""
    rng = np.random.default_rng(11 + heavy)
    rigor = Rigor(confirmations=4, pairs=16)
    nights, proposals = 1000, 40
    kept = sum(bool(play(rng, proposals, rigor=rigor, heavy=heavy).night.kept) for _ in range(nights))
    assert kept / nights <= rigor.risk + 2 * (rigor.risk * (1 - rigor.risk) / nights) ** 0.5
    assert kept > 0  # the risk is there to be spent: a rule that never keeps would be safe as well


def test_a_gain_of_two_standard_deviations_is_kept_within_its_budget() -> None:
    rng = np.random.default_rng(5)
    played = [play(rng, 1, lambda number: 2.0) for _ in range(300)]
    kept = sum(each.night.kept == [1] for each in played)
    assert kept / len(played) >= 0.8
    assert max(each.runs for each in played) <= RIGOR.baseline_runs + 1 + 2 * RIGOR.pairs


def test_less_is_better_where_the_metric_says_so() -> None:
    rng = np.random.default_rng(1)
    assert play(rng, 1, lambda number: 9.0, sign=-1).night.kept == [1]
    assert play(rng, 1, lambda number: -9.0, sign=-1).night.kept == []


def test_equal_and_simpler_is_kept_and_worse_by_the_margin_is_not() -> None:
    rng = np.random.default_rng(2)
    simplicity = Simplicity(margin=2.0, allowance=2.0)
    equal = [play(rng, 1, nodes=-50, simplicity=simplicity).night for _ in range(60)]
    assert sum(night.kept == [1] for night in equal) / len(equal) > 0.7
    # The margin is where it stops being equal: there it is kept with the share of the risk that a confirmation has.
    worse = [play(rng, 1, lambda number: -2.0, nodes=-50, simplicity=simplicity).night for _ in range(200)]
    assert sum(bool(night.kept) for night in worse) <= 4
    # A removal at a tiny cost: a quarter of a standard deviation, of the two that still count as equal.
    cheap = [play(rng, 1, lambda number: -0.25, nodes=-50, simplicity=simplicity).night for _ in range(60)]
    assert sum(night.kept == [1] for night in cheap) / len(cheap) > 0.5
    no_simpler = [play(rng, 1, nodes=-5, simplicity=simplicity).night for _ in range(60)]
    assert sum(night.kept == [1] for night in no_simpler) <= 2


def test_small_losses_add_up_to_the_allowance_of_a_night_and_no_further() -> None:
    rng = np.random.default_rng(3)
    simplicity = Simplicity(margin=5.0, allowance=10.0)
    night = play(rng, 12, nodes=-50, simplicity=simplicity).night
    assert len(night.kept) == 2
    assert night.spent == 10.0


def test_a_small_gain_that_is_ugly_is_refused_by_the_human_s_rules() -> None:
    rng = np.random.default_rng(4)
    rules = Simplicity(ugly_gain=20.0, ugly_nodes=100)
    refused = play(rng, 1, lambda number: 9.0, nodes=101, simplicity=rules)
    assert refused.night.kept == []
    assert "the rules call that ugly" in refused.lines[-1].model_dump()["why"]
    assert play(rng, 1, lambda number: 9.0, nodes=100, simplicity=rules).night.kept == [1]


def test_pairs_are_interleaved_on_one_seed_each_that_nothing_else_used() -> None:
    """The incumbent is run again beside the candidate, and who comes first alternates."""
    played = play(np.random.default_rng(6), 1, lambda number: 9.0)
    runs = [line for line in played.lines if isinstance(line, Ran)]
    confirmed = [line for line in runs if line.stage == "confirm"]
    assert len(confirmed) >= 16
    for first, second in zip(confirmed[::2], confirmed[1::2], strict=True):
        assert first.seed == second.seed
        assert (first.pair, first.candidate) == (second.pair, not second.candidate)
    assert [line.candidate for line in confirmed[::2]] == [pair % 2 == 0 for pair in range(len(confirmed) // 2)]
    seeds = [line.seed for line in runs if line.stage != "confirm"] + [line.seed for line in confirmed[::2]]
    assert len(set(seeds)) == len(seeds)


def test_a_candidate_that_ignores_its_seed_is_not_kept_for_its_luck() -> None:
    night = Night(RIGOR, Simplicity(), 1, 1)
    rng = np.random.default_rng(7)
    number = 0
    while not isinstance(action := night.next(), DecidedLine):
        if isinstance(action, Propose):
            number = action.number
            night.apply(Proposed(number=number, commit="c", description="", nodes=0))
        elif isinstance(action, NextExperiment):
            metric = 9.0 if action.candidate else float(rng.normal())
            night.apply(Ran(proposal=number, candidate=action.candidate, stage=action.stage, pair=action.pair,
                            seed=action.seed, metric=metric))  # fmt: skip
    assert action.status == "discard"
    assert "its luck is fixed" in action.why


def test_a_slip_may_be_mended_so_often_and_an_idea_that_does_not_work_is_left() -> None:
    def crashed(failure: str, mends: int) -> object:
        night = Night(Rigor(baseline_runs=2), Simplicity(), 1, 1, mends=2)
        for pair in range(2):
            night.apply(Ran(proposal=0, candidate=False, stage="baseline", pair=pair, seed=pair, metric=float(pair)))
        night.apply(Proposed(number=1, commit="c", description="", nodes=0, mends=mends))
        night.apply(Ran(proposal=1, candidate=True, stage="screen", pair=0, seed=9, metric=None, failure=failure))
        return night.next()

    assert crashed("NameError: name 'x' is not defined", 0) == Mend(1, "NameError: name 'x' is not defined")
    assert isinstance(crashed("NameError: name 'x' is not defined", 1), Mend)
    for failure, mends in (("NameError: name 'x'", 2), ("out of memory", 0), ("overrun: it took more", 0)):
        closed = crashed(failure, mends)
        assert isinstance(closed, DecidedLine) and closed.status == "crash" and closed.why == failure
    assert not is_simple("diverged: its loss was above 100, or no number")


def test_a_night_is_told_by_any_beginning_of_its_ledger() -> None:
    """Killed between any two lines, it goes on with what came next."""
    played = play(np.random.default_rng(8), 6, lambda number: 9.0 if number == 3 else 0.0)
    assert played.night.kept == [3]
    for end, line in enumerate(played.lines):
        night = Night(RIGOR, Simplicity(), 1, 1)
        for each in played.lines[:end]:
            night.apply(each)
        action = night.next()
        match line:
            case Ran():
                assert isinstance(action, NextExperiment)
                did = (line.candidate, line.stage, line.pair, line.seed)
                assert (action.candidate, action.stage, action.pair, action.seed) == did
            case Proposed():
                assert action == Propose(line.number)
            case DecidedLine():
                assert action == line


def test_a_night_ends_when_its_confirmations_are_used() -> None:
    rigor = Rigor(confirmations=2, pairs=12)
    played = play(np.random.default_rng(9), 1000, rigor=rigor)
    assert played.night.confirmations == 2
    assert isinstance(played.night.next(), Stop)


def test_a_rigor_that_can_show_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="can show nothing at a risk"):
        Rigor(pairs=5)


def test_nothing_is_claimed_without_a_pair() -> None:
    assert confirm([], RIGOR, "better", 0.0).decided is None
