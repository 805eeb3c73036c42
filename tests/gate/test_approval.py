"""An answer holds when it is a whole one, by somebody, to this plan, in time."""

from datetime import timedelta

import pytest

from lamarck.errors import LamarckError
from lamarck.gate.approval import make_approver, read_approval, today
from lamarck.gate.approve import approve
from lamarck.gate.check import gate_state
from lamarck.gate.planned import plan_digest
from lamarck.lineage.digest import short
from tests.gate.project import G1, ME, check, config, edit_approval, make_plan, refusal, say_yes, write_plan


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is empty"),
        ("# only a comment\n", "is empty"),
        ("yes\n", "not a valid approval"),
        ("a: [", "not valid YAML"),
        ("decision: approve\n", "not a valid approval"),
        ("expires: 2026-02-30\n", "day is out of range for month"),
        ("decision: reject\ndecision: approve\n", "'decision' stands there twice"),
        ("decision: reject\n---\ndecision: approve\n", "found another document"),
        ("<<: {decision: approve}\n", "merge keys"),
        ("decision: approve # \u202e\n", "invisible character U+202E"),
        ("\x00", "not valid YAML"),
    ],
)
def test_what_is_not_an_approval_is_refused(content: str, sentence: str) -> None:
    G1.approval.parent.mkdir()
    G1.approval.write_text(content)
    assert sentence in refusal()
    assert gate_state(G1, G1.plan, G1.approval).state == "refused"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"plan": "0" * 64}, "approves another plan"),
        ({"generation": "g2"}, "approves g2, not g1"),
        ({"decision": "reject"}, "not a valid approval"),
        ({"budget_device_seconds": 1}, "allows 1 device-seconds"),
        ({"expires": today() - timedelta(days=1)}, "expired on"),
        ({"aprover": "x"}, "aprover"),
        ({"plan": 7}, "not a valid approval"),
        ({"plan": "0" * 8}, "not a valid approval"),
        ({"approver": {"name": " "}}, "approver.name"),
        ({"approver": "A Tester"}, "approver"),
        ({"budget_device_seconds": float("inf")}, ".inf is not a finite number"),
        ({"budget_device_seconds": float("nan")}, ".nan is not a finite number"),
        ({"expires": "soon"}, "expires"),
        ({"expires": 4102444800}, "expires"),
        ({"date": today() + timedelta(days=1)}, "which is still to come (dates are in UTC)"),
        ({"approver": {"name": "A\u200b Tester"}}, "approver.name"),
        ({"approver": {"name": "A Tester", "contact": "\u202egro.elpmaxe"}}, "approver.contact"),
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
    assert "is not a regular file" in refusal()
    assert gate_state(G1, G1.plan, G1.approval).state == "refused"


def test_bytes_that_are_no_text_are_no_approval() -> None:
    G1.approval.parent.mkdir()
    G1.approval.write_bytes(b"\xff\xfe")
    assert "not valid YAML" in refusal()


def test_an_approval_holds_on_its_last_day() -> None:
    say_yes()
    edit_approval(expires=today())
    assert check(config()).plan.generation == "g1"


def test_an_approval_written_by_hand_holds() -> None:
    digest = plan_digest(make_plan(config()))
    G1.approval.parent.mkdir()
    G1.approval.write_text(
        f"generation: g1\ndecision: approve\nplan: {digest}\nbudget_device_seconds: 120\n"
        f"approver: {{name: A Tester}}\ndate: {today()}\nexpires: {today()}\n"
    )
    assert check(config()).plan.generation == "g1"


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


def test_the_question_says_what_is_allowed_and_its_digest_is_written() -> None:
    asked = []

    def answer(question: str) -> str:
        asked.append(question)
        write_plan(config(seed=7))  # between the question and the answer
        return shown_digest

    shown_digest = short(plan_digest(make_plan(config())))
    approve(G1, answer, ME)
    assert "120 device-seconds of training" in asked[0]
    assert "5 items" in asked[0]
    assert read_approval(G1.approval, "g1").plan == plan_digest(make_plan(config()))
    assert "approves another plan" in gate_state(G1, G1.plan, G1.approval).sentence


def test_a_plan_that_changed_while_it_was_read_is_not_approved() -> None:
    shown = make_plan(config())
    asked = []

    def answer(question: str) -> str:
        asked.append(question)
        return short(plan_digest(shown))

    approve(G1, answer, ME, shown=shown)
    assert asked[0].startswith("To approve, type"), "what was just shown is not repeated"
    G1.approval.unlink()
    write_plan(config(seed=7))
    with pytest.raises(LamarckError, match="changed while you read it"):
        approve(G1, short(plan_digest(make_plan(config(seed=7)))), ME, shown=shown)
    assert not G1.approval.exists()


def test_a_note_may_hold_what_nobody_sees_and_a_name_may_not() -> None:
    note = "looks good \U0001f468\u200d\U0001f469"
    approve(G1, short(plan_digest(make_plan(config()))), ME, note=note)
    assert "\u200d" not in G1.approval.read_text()
    assert check(config()).approval.note == note
    with pytest.raises(LamarckError, match=r"invisible character U\+202E"):
        make_approver("A\u202eTester", None)
    with pytest.raises(LamarckError, match="the approver's name"):
        make_approver(" ", None)
