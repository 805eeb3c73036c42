"""A curriculum that a human changed: what came back from the editor, judged as a teacher's text is judged."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field, ValidationError

from lamarck.curriculum.filter import Contamination
from lamarck.curriculum.item import Closed, Item, Verdict, item_id
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


@dataclass
class Edit:
    """What a human did. `refusals`: one sentence a line that cannot stay as it is; with any, nothing may be written."""

    items: list[Item] = field(default_factory=list)
    dropped: list[Item] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)


def editable(items: Sequence[Item]) -> str:
    """The copy that a human edits: JSON Lines, the text of models as visible characters."""
    return "".join(f"{_printable(json.dumps(_line(item).model_dump(), ensure_ascii=False))}\n" for item in items)


def _line(item: Item) -> Line:
    return Line(**{name: getattr(item, name) for name in Line.model_fields})


def _printable(text: str) -> str:
    """JSON in which every character that would steer a terminal stands as its escape."""
    return "".join(character if character.isprintable() else json.dumps(character)[1:-1] for character in text)


def read_edit(text: str, items: Sequence[Item], contamination: Contamination) -> Edit:
    """What `text`, an edited copy of `items`, says: items may be dropped and changed, in any order, and none added."""
    edit = Edit()
    before = {item.id: item for item in items}
    found: dict[str, Item] = {}
    changed: dict[str, int] = {}
    for number, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        after = _read_line(content, before, contamination)
        if isinstance(after, str):
            edit.refusals.append(f"line {number}: {after}")
            continue
        origin, item = after
        if origin in found:
            edit.refusals.append(f"line {number}: the item {origin[:8]} stands there twice")
        found[origin] = item
        if item != before[origin]:
            changed[origin] = number
    lines = {number: found[origin] for origin, number in changed.items()}
    edit.refusals += _repeats(lines, [item for origin, item in found.items() if origin not in changed])
    # The teacher's order: whoever sorts the lines to read them has not meant to change it.
    for origin, item in before.items():
        if origin in changed:
            edit.changes.append(Change(item, found[origin]))
        if origin in found:
            edit.items.append(found[origin])
        else:
            edit.dropped.append(item)
    return edit


def _read_line(content: str, before: Mapping[str, Item], contamination: Contamination) -> tuple[str, Item] | str:
    """(id before, item after) of one line; why it is refused, otherwise."""
    try:
        line = Line.model_validate(json.loads(content))
    except json.JSONDecodeError as error:
        return f"not valid JSON ({error.msg} at character {error.colno})"
    except ValidationError as error:
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'the line'}: {first['msg']}"
    except (ValueError, RecursionError):
        return "not valid JSON (a number too long, or brackets too deep)"
    item = before.get(line.id)
    if item is None:
        return f"{line.id[:8]!r} is no item of this curriculum: items can be dropped or changed, not added"
    if (line.skill, line.difficulty, line.task) != (item.skill, item.difficulty, item.task):
        return f"an edit keeps an item's skill, difficulty and task, {item.skill} {item.difficulty} {item.task}"
    if (line.prompt, line.completion, line.reasoning) == (item.prompt, item.completion, item.reasoning):
        return line.id, item
    reason = _why_not(line, contamination)
    return reason or (line.id, _changed(item, line))


def _why_not(line: Line, contamination: Contamination) -> str | None:
    """Why a changed line is no item of its cell; None when its verifier agrees."""
    skill = get_skill(line.skill)
    try:
        writes = line.task == "write"
        problem = skill.parse(line.prompt, line.completion) if writes else Problem(line.prompt, line.completion)
        difficulty = skill.difficulty(problem.prompt)
        verdict = skill.verify(problem)
    except Malformed as error:
        return f"no problem of {line.skill} ({error})"
    except Exception as error:  # Whatever a verifier does: the editor's work must not be lost in a traceback.
        return f"the verifier of {line.skill} failed ({type(error).__name__})"
    if difficulty != line.difficulty:
        return f"its prompt has difficulty {difficulty}, and an edit keeps the {line.difficulty} of its item"
    if not verdict.verified:
        return f"{line.skill} does not verify it ({verdict.reason})"
    if contamination.overlaps(problem.prompt):
        return "its prompt overlaps the frozen suite"
    return None


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


def _repeats(changed: Mapping[int, Item], unchanged: Sequence[Item]) -> list[str]:
    """One refusal for each changed line whose problem another line has already."""
    seen = {(item.task, item.prompt, item.completion if item.task == "write" else "") for item in unchanged}
    refusals = []
    for number, item in sorted(changed.items()):
        key = (item.task, item.prompt, item.completion if item.task == "write" else "")
        if key in seen:
            refusals.append(f"line {number}: its problem stands on another line already")
        seen.add(key)
    return refusals


def recount(card: dict[str, Any], edit: Edit, parent_digest: str, measures: dict[str, float]) -> dict[str, Any]:
    """The card's numbers after an edit. What a human dropped of the teacher's own is counted as left out."""
    own = [item for item in edit.dropped if item.teacher.digest == parent_digest]
    cells = Counter((item.skill, item.difficulty) for item in own)
    dropped = {**card["dropped"], BY_A_HUMAN: card["dropped"].get(BY_A_HUMAN, 0) + len(own)}
    kept = card["kept"] - len(own)
    return card | {
        "items": len(edit.items),
        "kept": kept,
        "replayed": len(edit.items) - kept,
        "acceptance": round(kept / card["sampled"], 6),
        "dropped": {reason: count for reason, count in sorted(dropped.items()) if count},
        "cells": [cell | {"kept": cell["kept"] - cells[cell["skill"], cell["difficulty"]]} for cell in card["cells"]],
        "measures": measures,
    }
