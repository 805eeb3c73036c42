"""A curriculum that a human changed: what came back from the editor, judged as a teacher's text is judged."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import Field, ValidationError

from lamarck.curriculum.item import Closed, Item, ItemVerdict, item_id, mixed_in, own_items
from lamarck.curriculum.mix import to_write
from lamarck.curriculum.suite_overlap import Contamination
from lamarck.lineage.contents import Card
from lamarck.skills import Malformed, Problem, get_skill

EDITED = ("prompt", "completion", "reasoning", "context")  # what a human may change of an item
BY_A_HUMAN = "dropped by a human"


class EditorLine(Closed):
    """An item as the editor shows it: what may be changed, then what may not. Who wrote it stays out of reach."""

    prompt: str = Field(min_length=1)
    completion: str = Field(min_length=1)
    reasoning: str
    context: str = Field("", exclude_if=lambda text: not text)
    skill: str
    difficulty: int
    id: str


@dataclass(frozen=True)
class Change:
    before: Item
    after: Item


@dataclass(frozen=True)
class CurriculumEdit:
    """What a human did to a curriculum's items, in the teacher's order. Those that teach to write a problem are dropped
    and changed with it; where problems are counted, they are left out."""

    items: list[Item]
    dropped: list[Item]
    changes: list[Change]

    @property
    def dropped_problems(self) -> list[Item]:
        return [item for item in self.dropped if item.task == "solve"]

    @property
    def changed_problems(self) -> list[Change]:
        return [change for change in self.changes if change.after.task == "solve"]


@dataclass(frozen=True)
class RefusedEdit:
    """A line that cannot stay as it is."""

    line: int
    reason: str


def editable(items: Sequence[Item]) -> str:
    """The copy that a human edits: JSON Lines, the text of models as visible characters.

    Every problem stands there once. Items that teach to write one follow it.
    """
    lines = [_line(item) for item in items if item.task == "solve"]
    return "".join(f"{_printable(json.dumps(line.model_dump(), ensure_ascii=False))}\n" for line in lines)


def _line(item: Item) -> EditorLine:
    return EditorLine(**{name: getattr(item, name) for name in EditorLine.model_fields})


def _printable(text: str) -> str:
    """JSON in which every character that would steer a terminal stands as its escape."""
    return "".join(character if character.isprintable() else json.dumps(character)[1:-1] for character in text)


def read_edit(text: str, items: Sequence[Item], contamination: Contamination) -> CurriculumEdit | list[RefusedEdit]:
    """What `text`, an edited copy of `items`, says: items may be dropped and changed, in any order, and none added.

    Changed items are verified by their skill again. One line that fails refuses the whole edit.
    """
    before = {item.id: item for item in items if item.task == "solve"}
    found: dict[str, tuple[int, Item]] = {}
    refusals = []
    for number, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            origin, item = _read_line(content, before, contamination)
        except _Refused as error:
            refusals.append(RefusedEdit(number, str(error)))
            continue
        if origin in found:
            refusals.append(RefusedEdit(number, f"its item stands on line {found[origin][0]} too"))
        found[origin] = (number, item)
    changed = {number: item for origin, (number, item) in found.items() if item != before[origin]}
    refusals += _repeats(changed, [item for number, item in found.values() if number not in changed])
    if refusals:
        return sorted(refusals, key=lambda refusal: refusal.line)
    return _edit(items, {origin: item for origin, (_, item) in found.items()})


def _edit(items: Sequence[Item], found: Mapping[str, Item]) -> CurriculumEdit:
    """The edit that leaves of every problem what `found` has under its id, and its item that teaches to write along."""
    solved = {item.id: item for item in items if item.task == "solve"}
    problem_of = {to_write(item).id: item.id for item in solved.values()}
    edit = CurriculumEdit(items=[], dropped=[], changes=[])
    # The teacher's order: whoever sorts the lines to read them has not meant to change it.
    for item in items:
        origin = item.id if item.task == "solve" else problem_of[item.id]
        after = found.get(origin)
        if after is None:
            edit.dropped.append(item)
            continue
        if item.task == "write":
            after = item if after == solved[origin] else _twin(item, after)
        if after != item:
            edit.changes.append(Change(item, after))
        edit.items.append(after)
    return edit


def _twin(before: Item, solved: Item) -> Item:
    """What an item that teaches to write becomes when its problem has become `solved`."""
    return to_write(solved).model_copy(update={"edited_from": before.edited_from or before.id})


class _Refused(ValueError):
    """The message says why a line cannot stay."""


def _read_line(content: str, before: Mapping[str, Item], contamination: Contamination) -> tuple[str, Item]:
    """(id before, item after) of one line. Errors: _Refused."""
    try:
        line = EditorLine.model_validate(json.loads(content))
    except json.JSONDecodeError as error:
        raise _Refused(f"not valid JSON ({error.msg} at character {error.colno})") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise _Refused(f"{'.'.join(map(str, first['loc'])) or 'the line'}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise _Refused("not valid JSON (a number too long, or brackets too deep)") from error
    item = before.get(line.id)
    if item is None:
        raise _Refused("its id is not in this curriculum: items can be dropped or changed, not added")
    if (line.skill, line.difficulty) != (item.skill, item.difficulty):
        raise _Refused(f"an edit keeps an item's skill and difficulty: {item.skill}, {item.difficulty}")
    if all(getattr(line, name) == getattr(item, name) for name in EDITED):
        return line.id, item
    _check(line, contamination)
    return line.id, _changed(item, line)


def _check(line: EditorLine, contamination: Contamination) -> None:
    """Judge a changed line as the text of a teacher is judged. Errors: _Refused."""
    skill = get_skill(line.skill)
    try:
        difficulty = skill.difficulty(line.prompt)
        verdict = skill.verify(Problem(line.prompt, line.completion))
    except Malformed as error:
        raise _Refused(f"no problem of {line.skill} ({error})") from error
    except Exception as error:  # Whatever a verifier does: an afternoon's editing must not end in a traceback.
        raise _Refused(f"the verifier of {line.skill} failed ({type(error).__name__})") from error
    if difficulty != line.difficulty:
        raise _Refused(f"its problem has difficulty {difficulty}, and an edit keeps the {line.difficulty} of its item")
    if not verdict.verified:
        raise _Refused(f"{line.skill} does not verify it ({verdict.reason})")
    if contamination.copied(line.skill, line.prompt):
        raise _Refused("its problem overlaps the frozen suite")
    if any(_is_copy(text, line.skill, contamination) for text in line.context.splitlines()):
        raise _Refused("a line of its context overlaps the frozen suite")


def _is_copy(text: str, skill: str, contamination: Contamination) -> bool:
    """Whether a line of a context, which need be no problem at all, is a problem that is kept out."""
    try:
        return contamination.copied(skill, text) is not None
    except Malformed:
        return False


def _changed(item: Item, line: EditorLine) -> Item:
    """Its teacher stays the model that wrote it; `verified` still means that the verifier agreed."""
    return item.model_copy(
        update={
            "id": item_id(item.skill, line.prompt, line.completion),
            **{name: getattr(line, name) for name in EDITED},
            "verdict": ItemVerdict(verified=True, by=item.skill, score=1.0),
            "edited_from": item.edited_from or item.id,
        }
    )


def _repeats(changed: Mapping[int, Item], unchanged: Sequence[Item]) -> list[RefusedEdit]:
    """The changed lines whose problem another line has already."""
    seen = {item.prompt for item in unchanged}
    refusals = []
    for number, item in sorted(changed.items()):
        if item.prompt in seen:
            refusals.append(RefusedEdit(number, "its problem stands on another line already"))
        seen.add(item.prompt)
    return refusals


def recount(card: Card, edit: CurriculumEdit, parent_digest: str) -> Card:
    """The card's counts after an edit. What a human dropped of the teacher's own is counted as left out."""
    own = own_items(edit.dropped, parent_digest)
    replayed, anchors = mixed_in(edit.items, parent_digest)
    cells = Counter((item.skill, item.difficulty) for item in own)
    dropped = {**card.dropped, BY_A_HUMAN: card.dropped.get(BY_A_HUMAN, 0) + len(own)}
    kept = card.kept - len(own)
    changes = {
        "items": len(edit.items),
        "kept": kept,
        "replayed": len(replayed),
        "anchors": len(anchors),
        "to_write": sum(item.task == "write" for item in edit.items),
        "acceptance": round(kept / (card.sampled + card.answered), 6),
        "dropped": {reason: count for reason, count in sorted(dropped.items()) if count},
        "cells": [
            cell.model_copy(update={"kept": cell.kept - cells[cell.skill, cell.difficulty]}) for cell in card.cells
        ],
    }
    return card.model_copy(update=changes)
