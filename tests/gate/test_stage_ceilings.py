"""What writing and evaluating spent stays spent; what a child may spend stands in its plan, and in no configuration."""

import pytest

from lamarck.config import Config
from lamarck.errors import LamarckError
from lamarck.gate.plan import plan_training_digest
from lamarck.gate.planned import plan_digest
from lamarck.gate.stage_ceilings import Ceiling, evaluating_ceiling, writing_ceiling
from lamarck.lineage.digest import training_digest
from tests.gate.project import G1, G2, config, make_grandchild_plan, make_plan, write_plan

INPUTS = {"model": "a"}


def with_ceilings(writing: float, evaluating: float) -> Config:
    return config(
        budget={"device_seconds": 120, "writing_seconds": writing, "evaluating_seconds": evaluating},
    )


def work(ceiling: Ceiling) -> int:
    """Advance until the ceiling ends it: how often it was told."""
    told: list[int] = []
    with (
        pytest.raises(LamarckError, match=f"for {ceiling.what} are spent: raise `budget.{ceiling.setting}`"),
        ceiling.held(1, told.append) as advance,
    ):
        while True:
            advance(1)
    return len(told)


def test_the_work_ends_when_all_is_spent_and_does_not_begin_again() -> None:
    """The seconds of an attempt that ended are not given back."""
    ceiling = writing_ceiling(with_ceilings(0.2, 9), G1, None, INPUTS)
    assert ceiling.seconds == 0.2
    assert work(ceiling) > 0
    assert ceiling.journal.spent() >= 0.2
    assert work(ceiling) == 0
    # More, and it goes on from there; what is made of something else has a journal of its own.
    assert work(writing_ceiling(with_ceilings(0.4, 9), G1, None, INPUTS)) > 0
    assert work(writing_ceiling(with_ceilings(0.2, 9), G1, None, {"model": "b"})) > 0


def test_without_a_ceiling_nothing_is_counted() -> None:
    ceiling = writing_ceiling(config(), G1, None, INPUTS)
    with ceiling.held(1, lambda count: None) as advance:
        advance(1)
    assert not ceiling.journal.path.exists()


def test_what_a_child_may_spend_stands_in_its_plan() -> None:
    """Not in a configuration that was changed since."""
    write_plan(with_ceilings(20, 10))
    changed = with_ceilings(900, 900)
    assert writing_ceiling(changed, G2, G1.plan, INPUTS).seconds == 20
    assert evaluating_ceiling(changed, G1, G1.plan, "tiny", INPUTS).seconds == 10
    assert evaluating_ceiling(changed, G1.control, G1.plan, "tiny", INPUTS).seconds == 10
    with pytest.raises(LamarckError, match=r"give --plan results/g1/plan\.json"):
        evaluating_ceiling(changed, G1, None, "tiny", INPUTS)
    with pytest.raises(LamarckError, match=r"is the plan of g1, not of g2"):
        evaluating_ceiling(changed, G2, G1.plan, "tiny", INPUTS)


def test_no_child_may_have_more_than_its_parent() -> None:
    write_plan(with_ceilings(20, 10))
    assert make_grandchild_plan(with_ceilings(20, 9)).budget.evaluating_seconds == 9
    with pytest.raises(LamarckError, match=r"g2 has a ceiling of 21 in `budget\.writing_seconds`, its parent 20"):
        make_grandchild_plan(with_ceilings(21, 10))
    with pytest.raises(LamarckError, match=r"g2 has no ceiling in `budget\.writing_seconds`, its parent 20"):
        make_grandchild_plan(config())


def test_raised_ceilings_are_another_plan_of_the_same_training() -> None:
    plans = [make_plan(with_ceilings(*seconds)) for seconds in ((20, 10), (30, 10), (20, 30))]
    assert len({plan_digest(plan) for plan in plans}) == 3
    [same] = {plan_training_digest(plan) for plan in [*plans, make_plan(config())]}
    assert plan_training_digest(make_plan(config(budget={"device_seconds": 119}))) != same


@pytest.mark.parametrize("damaged", [b"", b"[]", b"null", b"{", b'{"budget": 1}', b"[" * 100_000])
def test_a_damaged_plan_has_no_digest(damaged: bytes) -> None:
    with pytest.raises(LamarckError, match="a plan is damaged"):
        training_digest(damaged)
