"""An answer holds when it is a whole one, by somebody, to this plan, in time."""

from datetime import timedelta

import pytest

from lamarck.errors import LamarckError
from lamarck.gate.approval import today
from lamarck.gate.approve import approve
from lamarck.gate.check import gate_state
from lamarck.gate.plan import plan_digest
from lamarck.lineage.digest import short
from tests.gate.project import G1, ME, check, config, edit_approval, make_plan, refusal, say_yes


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is empty"),
        ("# only a comment\n", "is empty"),
        ("yes\n", "no valid approval"),
        ("a: [", "not valid YAML"),
        ("decision: approve\n", "no valid approval"),
        ("expires: 2026-02-30\n", "day is out of range for month"),
        ("decision: reject\ndecision: approve\n", "'decision' stands there twice"),
        ("\x00", "not valid YAML"),
    ],
)
def test_what_is_no_approval_is_refused(content: str, sentence: str) -> None:
    G1.approval.parent.mkdir()
    G1.approval.write_text(content)
    assert sentence in refusal()
    assert gate_state(G1, G1.plan, G1.approval).state == "refused"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"plan": "0" * 64}, "approves another plan"),
        ({"generation": "g2"}, "approves g2, not g1"),
        ({"decision": "reject"}, "no valid approval"),
        ({"budget_device_seconds": 1}, "allows 1 device-seconds"),
        ({"expires": today() - timedelta(days=1)}, "expired on"),
        ({"aprover": "x"}, "aprover"),
        ({"plan": 7}, "no valid approval"),
        ({"plan": "0" * 8}, "no valid approval"),
        ({"approver": {"name": " "}}, "approver.name"),
        ({"approver": "A Tester"}, "approver"),
        ({"budget_device_seconds": float("inf")}, "budget_device_seconds"),
        ({"budget_device_seconds": float("nan")}, "budget_device_seconds"),
        ({"expires": "soon"}, "expires"),
    ],
)
def test_an_approval_that_does_not_hold_is_refused(changes: dict[str, object], sentence: str) -> None:
    say_yes()
    edit_approval(**changes)
    assert sentence in refusal()


def test_a_touched_or_unreadable_approval_is_refused() -> None:
    G1.approval.parent.mkdir()
    G1.approval.touch()
    assert "an empty file approves nothing" in refusal()
    G1.approval.unlink()
    G1.approval.mkdir()
    assert "cannot be read" in refusal()
    assert gate_state(G1, G1.plan, G1.approval).state == "refused"


def test_bytes_that_are_no_text_are_no_approval() -> None:
    G1.approval.parent.mkdir()
    G1.approval.write_bytes(b"\xff\xfe")
    assert "not valid YAML" in refusal()


def test_an_approval_holds_on_its_last_day() -> None:
    say_yes()
    edit_approval(expires=today())
    assert check(config()).generation == "g1"


def test_an_approval_written_by_hand_holds() -> None:
    digest = plan_digest(make_plan(config()))
    G1.approval.parent.mkdir()
    G1.approval.write_text(
        f"generation: g1\ndecision: approve\nplan: {digest}\nbudget_device_seconds: 120\n"
        f"approver: {{name: A Tester}}\ndate: {today()}\nexpires: {today()}\n"
    )
    assert check(config()).generation == "g1"


def test_a_wrong_digest_approves_nothing() -> None:
    with pytest.raises(LamarckError, match="nothing is approved"):
        approve(G1, "00000000", ME)
    assert not G1.approval.exists()


def test_a_typed_digest_is_asked_for_and_compared() -> None:
    asked = []

    def answer(question: str) -> str:
        asked.append(question)
        return short(plan_digest(make_plan(config()))) + "\n"

    approve(G1, answer, ME)
    assert short(plan_digest(make_plan(config()))) in asked[0]
    with pytest.raises(LamarckError, match="covers its control arm"):
        approve(G1.control, answer, ME)
