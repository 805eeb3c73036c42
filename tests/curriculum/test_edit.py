"""What a human may do to a curriculum, line by line, and what is refused."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from lamarck.curriculum.edit import CurriculumEdit, editable, read_edit, recount
from lamarck.curriculum.item import item_id
from lamarck.curriculum.mix import as_written
from lamarck.curriculum.suite_overlap import Contamination
from lamarck.skills import get_skill
from tests.curriculum.lines import items, typed_card

ITEMS = items({("json_mode", 1): 4, ("list_ops", 2): 3}, seed=1)
HELD_OUT = "<j1> city elm elm ; =>"
SUITE = Contamination([HELD_OUT])
Lines = list[dict[str, Any]]


def lines() -> Lines:
    return [json.loads(line) for line in editable(ITEMS).splitlines()]


def text(rows: Lines) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def accepted(rows: Lines) -> CurriculumEdit:
    edit = read_edit(text(rows), ITEMS, SUITE)
    assert isinstance(edit, CurriculumEdit), edit
    return edit


def refusals(content: str) -> list[tuple[int, str]]:
    found = read_edit(content, ITEMS, SUITE)
    assert not isinstance(found, CurriculumEdit)
    return [(refusal.line, refusal.reason) for refusal in found]


def test_an_untouched_copy_changes_nothing() -> None:
    edit = accepted(lines())
    assert (edit.items, edit.dropped, edit.changes) == (ITEMS, [], [])


def test_dropped_lines_and_the_teachers_order() -> None:
    edit = accepted(lines()[:1:-1])
    assert edit.items == ITEMS[2:]
    assert edit.dropped == ITEMS[:2]


def test_a_changed_item_is_verified_again_and_says_where_it_comes_from() -> None:
    rows = lines()
    rows[1] |= {"prompt": "<j1> city oak ; =>", "completion": '{ "city" : "oak" }'}
    edit = accepted(rows)
    after = edit.items[1]
    assert [(change.before, change.after) for change in edit.changes] == [(ITEMS[1], after)]
    assert after.id == item_id("json_mode", after.prompt, after.completion) != ITEMS[1].id
    assert after.edited_from == ITEMS[1].id
    assert after.teacher == ITEMS[1].teacher
    assert after.verdict.verified
    again = read_edit(text([json.loads(line) for line in editable(edit.items).splitlines()]), edit.items, SUITE)
    assert isinstance(again, CurriculumEdit) and not again.changes
    rows = [json.loads(line) for line in editable(edit.items).splitlines()]
    rows[1] |= {"prompt": "<j1> city fir ; =>", "completion": '{ "city" : "fir" }'}
    third = read_edit(text(rows), edit.items, SUITE)
    assert isinstance(third, CurriculumEdit)
    assert third.items[1].edited_from == ITEMS[1].id


def change(**values: object) -> Callable[[Lines], object]:
    return lambda rows: rows[2].update(values)


@pytest.mark.parametrize(
    ("damage", "line", "reason"),
    [
        (change(completion="{ }"), 3, "json_mode does not verify it (not the right answer)"),
        (change(prompt="what is 2 + 2 ?"), 3, "no problem of json_mode (no prompt of json_mode"),
        (change(prompt="[" * 100_000), 3, "no problem of json_mode"),
        (change(prompt="__import__('os').system('echo')", completion="x"), 3, "no problem of json_mode"),
        (change(prompt="<j2> name mia ; age 7 ; =>", completion='{ "name" : "mia" , "age" : 7 }'), 3, "difficulty 2"),
        (change(prompt=HELD_OUT, completion='{ "city" : [ "elm" , "elm" ] }'), 3, "overlaps the frozen suite"),
        (change(prompt=ITEMS[0].prompt, completion=ITEMS[0].completion), 3, "stands on another line already"),
        (change(prompt=""), 3, "prompt: String should have at least 1 character"),
        (change(completion="\ud800"), 3, "completion: Input should be a valid string"),
        (change(difficulty=2), 3, "an edit keeps an item's skill and difficulty: json_mode, 1"),
        (change(skill="arithmetic"), 3, "an edit keeps"),
        (change(id="0" * 64), 3, "items can be dropped or changed, not added"),
        (change(verdict=True), 3, "verdict: Extra inputs are not permitted"),
        (lambda rows: rows.append(rows[0]), 8, "its item stands on line 1 too"),
        (lambda rows: rows[2].pop("id"), 3, "id: Field required"),
    ],
)
def test_what_is_refused(damage: Callable[[Lines], object], line: int, reason: str) -> None:
    rows = lines()
    damage(rows)
    [(where, why)] = refusals(text(rows))
    assert where == line
    assert reason in why


@pytest.mark.parametrize("line", ["{", "[" * 100_000, "1" * 10_000, "null", "[]", '"text"', "\x00"])
def test_a_broken_line_is_named(line: str) -> None:
    rows = text(lines()).splitlines()
    rows[4] = line
    assert [where for where, _ in refusals("\n".join(rows))] == [5]


def test_every_refused_line_is_named_in_order() -> None:
    rows = lines()
    rows[5]["completion"] = "wrong"
    rows[1] |= {"prompt": rows[0]["prompt"], "completion": rows[0]["completion"]}
    assert [where for where, _ in refusals(text(rows) + "{")] == [2, 6, 8]


def test_a_verifier_that_crashes_refuses_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(problem: object) -> None:
        raise MemoryError

    rows = lines()
    rows[0]["completion"] = "x"
    monkeypatch.setattr(get_skill("json_mode"), "verify", crash)
    assert refusals(text(rows)) == [(1, "the verifier of json_mode failed (MemoryError)")]


def test_an_item_that_teaches_to_write_a_problem_follows_it() -> None:
    twins = as_written(ITEMS, 1.0, 0)
    everything = [*ITEMS, *twins]
    rows = [json.loads(line) for line in editable(everything).splitlines()]
    assert [row["id"] for row in rows] == [item.id for item in ITEMS]
    rows[1] |= {"prompt": "<j1> city oak ; =>", "completion": '{ "city" : "oak" }'}
    edit = read_edit(text(rows[1:]), everything, SUITE)
    assert isinstance(edit, CurriculumEdit)
    assert edit.dropped == [ITEMS[0], twins[0]]
    changed = edit.items[len(ITEMS) - 1]
    assert (changed.task, changed.prompt, changed.completion) == ("write", "<j1>", 'city oak ; => { "city" : "oak" }')
    assert changed.id == item_id("json_mode", changed.prompt, changed.completion)
    assert changed.edited_from == twins[1].id
    assert edit.items[len(ITEMS) :] == twins[2:]
    assert (edit.dropped_problems, len(edit.changes), len(edit.changed_problems)) == ([ITEMS[0]], 2, 1)
    before = typed_card(ITEMS, "g2", "g0", items=len(everything), to_write=len(twins))
    after = recount(before, edit, "digest of g0")
    assert (after.items, after.kept, after.to_write) == (len(everything) - 2, len(ITEMS) - 1, len(twins) - 1)


def test_the_copy_steers_no_terminal_and_reads_back() -> None:
    hostile = ITEMS[0].model_copy(update={"prompt": "\x1b[31m\x9b2J\u202e red \U000e0001 äöü 語", "completion": "a\nb"})
    copy = editable([hostile])
    assert all(character.isprintable() for character in copy.removesuffix("\n"))
    assert "äöü 語" in copy
    assert json.loads(copy)["prompt"] == hostile.prompt


def test_counts_after_an_edit() -> None:
    replayed = items({("json_mode", 1): 2}, seed=9, teacher="earlier")
    rows = [json.loads(line) for line in editable([*ITEMS, *replayed]).splitlines()]
    edit = read_edit(text(rows[2:-1]), [*ITEMS, *replayed], SUITE)
    assert isinstance(edit, CurriculumEdit)
    before = typed_card(ITEMS, "g2", "g0", replayed=2)
    after = recount(before, edit, "digest of g0")
    assert (after.items, after.kept, after.replayed) == (6, 5, 1)
    assert after.dropped == {"dropped by a human": 2, "wrong": 7}
    assert after.sampled == after.kept + sum(after.dropped.values())
    assert [cell.kept for cell in after.cells] == [2, 3]
    assert after.acceptance == pytest.approx(5 / 14, abs=1e-6)


def test_a_context_is_put_before_a_prompt_and_leaves_the_item_what_it_is() -> None:
    assert all("context" not in row for row in lines())  # no line grows for what it does not have
    rows = lines()
    rows[0]["context"] = "You are a careful clerk.\nSay nothing twice."
    edit = accepted(rows)
    [change] = edit.changed_problems
    assert change.after.context == rows[0]["context"]
    assert change.after.id == change.before.id and change.after.verdict.verified
    assert [item.context for item in edit.items if item.id != change.after.id] == [""] * (len(edit.items) - 1)
    line = change.after.model_dump(mode="json")
    assert line["context"] and "context" not in change.before.model_dump(mode="json")
    rows[0]["context"] = f"An example:\n{HELD_OUT}"
    assert refusals(text(rows)) == [(1, "a line of its context overlaps the frozen suite")]
