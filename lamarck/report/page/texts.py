"""The texts of models, packed for the page: columns of JSON, compressed, unpacked one at a time when they are looked at.

Ten thousand items a generation are megabytes of text that compress well. What does not fit into the page's budget is
thinned out evenly, and the page says so. Light.
"""

import base64
import gzip
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lamarck.errors import LamarckError
from lamarck.files import read_jsonl
from lamarck.lineage import Generation
from lamarck.report.page.members import Member
from lamarck.report.page.shown import Shown

LONGEST_TEXT = 2000  # characters of one text that the page holds
# Characters of one pack before it is compressed: what the browser parses at once must not make it stutter.
MOST_CHARACTERS = 6_000_000
# Characters of all packs in the page, compressed and in base64.
CURRICULA_BUDGET = 10_000_000
ANSWERS_BUDGET = 3_000_000
# What steers a reader's eye rather than being read: control characters, and marks of direction and of no width.
STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")

Columns = dict[str, list[Any]]


class Pack(Shown):
    """`data`: base64 of gzip of JSON, an object of equally long columns."""

    name: str
    data: str
    shown: int
    total: int
    path: str


def visible(text: str) -> str:
    """The text of a model for a page: invisible characters by their number, and a long text cut, which it then says."""
    cut = STEERING.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text[:LONGEST_TEXT])
    return cut if len(text) <= LONGEST_TEXT else f"{cut}… ⟨cut: {len(text):,} characters in all⟩"


def pack(value: object) -> str:
    # Escaped to ASCII: a model may write half a surrogate pair, which is no UTF-8.
    return base64.b64encode(gzip.compress(json.dumps(value, separators=(",", ":")).encode(), mtime=0)).decode()


def pack_curricula(members: Sequence[Member]) -> tuple[list[Pack], dict[str, str]]:
    """The items of every curriculum, and name -> why one cannot be read. The main lineage's come first, and the newest
    of it first, so that what has to be thinned out is what is asked for least."""
    found: list[Pack] = []
    broken: dict[str, str] = {}
    waiting = sorted(
        (member for member in members if member.number and member.generation.curriculum.exists()),
        key=lambda member: (member.lane != "", not member.is_control, -member.number),
    )
    left = CURRICULA_BUDGET
    main = sum(member.lane == "" for member in waiting)
    for place, member in enumerate(waiting):
        path = member.generation.curriculum
        rivals = (main if place < main else len(waiting)) - place
        try:
            packed = _fit(member.name, path, [row for _, row in read_jsonl(path)], _item_columns, left // rivals)
        except (LamarckError, KeyError, TypeError) as error:
            broken[member.name] = f"{path} cannot be read: {error}"
            continue
        left -= len(packed.data)
        found.append(packed)
    order = {member.name: place for place, member in enumerate(members)}
    return sorted(found, key=lambda packed: order[packed.name]), broken


def _fit(name: str, path: Path, rows: list[Any], columns: Any, budget: int) -> Pack:
    """As many rows, evenly spread, as fit into `budget` characters."""
    places = list(range(len(rows)))
    content: Columns = columns([rows[place] for place in places], places)
    size = sum(len(text) for column in content.values() for text in column if isinstance(text, str))
    data = pack(content)
    share = min(1.0, budget / len(data), MOST_CHARACTERS / max(1, size))
    if share < 1:
        count = int(0.97 * share * len(rows))  # a little less: what is thinned out compresses worse
        places = spread(len(rows), count)
        data = pack(columns([rows[place] for place in places], places))
    return Pack(name=name, data=data, shown=len(places), total=len(rows), path=str(path))


def spread(total: int, count: int) -> list[int]:
    """`count` of the numbers below `total`, evenly spread."""
    return [place * total // count for place in range(min(count, total))]


def _item_columns(rows: Sequence[Mapping[str, Any]], places: Sequence[int]) -> Columns:
    return {
        "line": [place + 1 for place in places],
        "skill": [row["skill"] for row in rows],
        "difficulty": [row["difficulty"] for row in rows],
        "prompt": [visible(row["prompt"]) for row in rows],
        "completion": [visible(row["completion"]) for row in rows],
        "reasoning": [visible(row.get("reasoning") or "") for row in rows],
        "teacher": [row["teacher"]["generation"] for row in rows],
        "verified": [row["verdict"]["verified"] for row in rows],
        "by": [visible(row["verdict"]["by"]) for row in rows],
        "score": [row["verdict"]["score"] for row in rows],
    }


class Answers(Shown):
    """The suite's items, and what each generation answered: packs of equally many rows, in the same order."""

    items: str  # packed columns task, index, prompt, target
    members: list[Pack]  # packed columns answer, score, missed
    shown: int
    total: int


def pack_answers(members: Sequence[Member]) -> tuple[Answers | None, dict[str, str]]:
    """The outcomes of every generation of the main lineage and its control arm, side by side; name -> why some cannot
    be read. The items are those of the first; another's outcome for the same task, index and digest is the same item's.
    """
    rows: dict[str, dict[tuple[Any, ...], Any]] = {}
    broken: dict[str, str] = {}
    for member in members:
        path = member.generation.samples
        if member.lane not in ("", Generation(1).control.prefix) or not path.exists():
            continue
        try:
            rows[member.name] = {_key(row): row for _, row in read_jsonl(path)}
        except (LamarckError, KeyError, TypeError) as error:
            broken[member.name] = f"{path} cannot be read: {error}"
    if not rows:
        return None, broken
    keys = list(dict.fromkeys(key for own in rows.values() for key in own))
    first: dict[tuple[Any, ...], Any] = {}
    for own in rows.values():
        first = own | first
    size = sum(len(pack(_answer_columns(own, keys[::20]))) for own in rows.values()) * min(20, len(keys))
    share = min(1.0, ANSWERS_BUDGET / size)
    shown = [keys[place] for place in spread(len(keys), int(share * len(keys)))]
    items = {
        "task": [key[0] for key in shown],
        "index": [key[1] for key in shown],
        "prompt": [visible(first[key]["prompt"]) for key in shown],
        "target": [visible(first[key]["target"]) for key in shown],
    }
    packs = [
        Pack(
            name=name,
            data=pack(_answer_columns(own, shown)),
            shown=len(shown),
            total=len(keys),
            path=f"results/{name}/samples.jsonl",
        )
        for name, own in rows.items()
    ]
    return Answers(items=pack(items), members=packs, shown=len(shown), total=len(keys)), broken


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["task"], row["index"], row["item"]


def _answer_columns(own: Mapping[tuple[Any, ...], Any], keys: Sequence[tuple[Any, ...]]) -> Columns:
    """`score` is None where a generation was not asked; `missed` names the rungs that an answer did not climb."""
    found = [own.get(key) for key in keys]
    return {
        "answer": ["" if row is None else visible(row["answer"]) for row in found],
        "score": [None if row is None else round(row["score"], 4) for row in found],
        "missed": ["" if row is None else ", ".join(_missed(row)) for row in found],
    }


def _missed(row: Mapping[str, Any]) -> list[str]:
    return [rung for rung, climbed in row.get("rungs", {}).items() if not climbed]
