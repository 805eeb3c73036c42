"""A curriculum that a human changed: what came back from the editor, judged as a teacher's text is judged."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field, ValidationError

from lamarck.curriculum.filter import Contamination
from lamarck.curriculum.item import DATA, Closed, Item, Verdict, item_id, own_items
from lamarck.skills import Malformed, Problem, get_skill

BY_A_HUMAN = "dropped by a human"


class Line(Closed):
    """An item as the editor shows it: what may be changed, then what may not. Who wrote it stays out of reach."""

    prompt: str = Field(min_length=1)
    completion: str = Field(min_length=1)
    reasoning: str
    skill: str
    difficulty: int
    task: str
    id: str


@dataclass(frozen=True)
class Change:
    before: Item
    after: Item


@dataclass(frozen=True)
class Edit:
    """What a human did, in the teacher's order."""

    items: list[Item]
    dropped: list[Item]
    changes: list[Change]


@dataclass(frozen=True)
class Refusal:
    """A line that cannot stay as it is."""

    line: int
    reason: str


def editable(items: Sequence[Item]) -> str:
    """The copy that a human edits: JSON Lines, the text of models as visible characters."""
    return "".join(f"{_printable(json.dumps(_line(item).model_dump(), ensure_ascii=False))}\n" for item in items)


def _line(item: Item) -> Line:
    return Line(**{name: getattr(item, name) for name in Line.model_fields})


def _printable(text: str) -> str:
    """JSON in which every character that would steer a terminal stands as its escape."""
    return "".join(character if character.isprintable() else json.dumps(character)[1:-1] for character in text)


def read_edit(text: str, items: Sequence[Item], contamination: Contamination) -> Edit | list[Refusal]:
    """What `text`, an edited copy of `items`, says: items may be dropped and changed, in any order, and none added.

    Changed items are verified by their skill again. One line that fails refuses the whole edit.
    """
    before = {item.id: item for item in items}
    found: dict[str, tuple[int, Item]] = {}
    refusals = []
    for number, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            origin, item = _read_line(content, before, contamination)
        except _Refused as error:
            refusals.append(Refusal(number, str(error)))
            continue
        if origin in found:
            refusals.append(Refusal(number, f"its item stands on line {found[origin][0]} too"))
        found[origin] = (number, item)
    changed = {number: item for origin, (number, item) in found.items() if item != before[origin]}
    refusals += _repeats(changed, [item for number, item in found.values() if number not in changed])
    if refusals:
        return sorted(refusals, key=lambda refusal: refusal.line)
    # The teacher's order: whoever sorts the lines to read them has not meant to change it.
    kept = [(item, found[origin][1]) for origin, item in before.items() if origin in found]
    return Edit(
        items=[after for _, after in kept],
        dropped=[item for origin, item in before.items() if origin not in found],
        changes=[Change(item, after) for item, after in kept if item != after],
    )


class _Refused(ValueError):
    """The message says why a line cannot stay."""


def _read_line(content: str, before: Mapping[str, Item], contamination: Contamination) -> tuple[str, Item]:
    """(id before, item after) of one line. Errors: _Refused."""
    try:
        line = Line.model_validate(json.loads(content))
    except json.JSONDecodeError as error:
        raise _Refused(f"not valid JSON ({error.msg} at character {error.colno})") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise _Refused(f"{'.'.join(map(str, first['loc'])) or 'the line'}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise _Refused("not valid JSON (a number too long, or brackets too deep)") from error
    item = before.get(line.id)
    if item is None:
        raise _Refused("its id is none of this curriculum: items can be dropped or changed, not added")
    if (line.skill, line.difficulty, line.task) != (item.skill, item.difficulty, item.task):
        raise _Refused(
            f"an edit keeps an item's skill, difficulty and task: {item.skill}, {item.difficulty}, {item.task}"
        )
    if (line.prompt, line.completion, line.reasoning) == (item.prompt, item.completion, item.reasoning):
        return line.id, item
    _check(line, contamination)
    return line.id, _changed(item, line)


def _check(line: Line, contamination: Contamination) -> None:
    """Judge a changed line as the text of a teacher is judged. Errors: _Refused."""
    skill = get_skill(line.skill)
    try:
        writes = line.task == "write"
        problem = skill.parse(line.prompt, line.completion) if writes else Problem(line.prompt, line.completion)
        difficulty = skill.difficulty(problem.prompt)
        verdict = skill.verify(problem)
    except Malformed as error:
        raise _Refused(f"no problem of {line.skill} ({error})") from error
    except Exception as error:  # Whatever a verifier does: an afternoon's editing must not end in a traceback.
        raise _Refused(f"the verifier of {line.skill} failed ({type(error).__name__})") from error
    if difficulty != line.difficulty:
        raise _Refused(f"its problem has difficulty {difficulty}, and an edit keeps the {line.difficulty} of its item")
    if not verdict.verified:
        raise _Refused(f"{line.skill} does not verify it ({verdict.reason})")
    if contamination.overlaps(problem.prompt):
        raise _Refused("its problem overlaps the frozen suite")


def _changed(item: Item, line: Line) -> Item:
    """Its teacher stays the model that wrote it; `verified` still means that the verifier agreed."""
    return item.model_copy(
        update={
            "id": item_id(item.skill, line.prompt, line.completion),
            "prompt": line.prompt,
            "completion": line.completion,
            "reasoning": line.reasoning,
            "verdict": Verdict(verified=True, by=item.skill, score=1.0),
            "edited_from": item.edited_from or item.id,
        }
    )


def _repeats(changed: Mapping[int, Item], unchanged: Sequence[Item]) -> list[Refusal]:
    """The changed lines whose problem another line has already."""
    seen = {_problem_of(item) for item in unchanged}
    refusals = []
    for number, item in sorted(changed.items()):
        if _problem_of(item) in seen:
            refusals.append(Refusal(number, "its problem stands on another line already"))
        seen.add(_problem_of(item))
    return refusals


def _problem_of(item: Item) -> tuple[str, str]:
    """What tells two items apart: the problem; for one that teaches to write, what is written."""
    return item.task, item.completion if item.task == "write" else item.prompt


def mixed_in(items: Sequence[Item], parent_digest: str) -> tuple[list[Item], list[Item]]:
    """(replayed, anchors): the problems in a curriculum that are not its teacher's own."""
    others = [item for item in items if item.task == "solve" and item.teacher.digest != parent_digest]
    return (
        [item for item in others if item.teacher.generation != DATA],
        [item for item in others if item.teacher.generation == DATA],
    )


def recount(card: dict[str, Any], edit: Edit, parent_digest: str) -> dict[str, Any]:
    """The card's counts after an edit. What a human dropped of the teacher's own is counted as left out."""
    own = own_items(edit.dropped, parent_digest)
    replayed, anchors = mixed_in(edit.items, parent_digest)
    cells = Counter((item.skill, item.difficulty) for item in own)
    dropped = {**card["dropped"], BY_A_HUMAN: card["dropped"].get(BY_A_HUMAN, 0) + len(own)}
    kept = card["kept"] - len(own)
    return card | {
        "items": len(edit.items),
        "kept": kept,
        "replayed": len(replayed),
        "anchors": len(anchors),
        "to_write": sum(item.task == "write" for item in edit.items),
        "acceptance": round(kept / (card["sampled"] + card["answered"]), 6),
        "dropped": {reason: count for reason, count in sorted(dropped.items()) if count},
        "cells": [cell | {"kept": cell["kept"] - cells[cell["skill"], cell["difficulty"]]} for cell in card["cells"]],
    }
