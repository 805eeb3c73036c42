"""The texts of models, packed for the page: columns of JSON, compressed, and unpacked when they are looked at.

Ten thousand items a generation are megabytes of text that compress well. What does not fit into the page's budget is
thinned out at random, and the page says so. Light.
"""

import base64
import gzip
import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lamarck.errors import LamarckError
from lamarck.lineage.generation import CONTROL
from lamarck.report.page import Shown
from lamarck.report.page.members import ShownMember
from lamarck.report.page.outcomes import Key, Outcomes, key_of
from lamarck.visible import INVISIBLE

LONGEST_TEXT = 2000  # characters of one text that the page holds
# Characters of one pack before it is compressed: what the browser parses at once must not make it stutter.
MOST_CHARACTERS = 6_000_000
# Characters of all packs in the page, compressed and in base64.
CURRICULA_BUDGET = 9_000_000
ANSWERS_BUDGET = 3_000_000
HIDDEN = re.compile(f"{INVISIBLE.pattern}|\r")

LEVEL = 6  # of gzip's nine: the last three take four times as long for three percent
TRIED_ROWS = 500
SEED = 1

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
    if len(text) <= LONGEST_TEXT and text.isascii() and text.isprintable():
        return text  # nearly always, and ten times as quick
    cut = HIDDEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text[:LONGEST_TEXT])
    return cut if len(text) <= LONGEST_TEXT else f"{cut}… ⟨cut: {len(text):,} characters in all⟩"


def pack(value: object) -> str:
    # Escaped to ASCII: a model may write half a surrogate pair, which is no UTF-8.
    return base64.b64encode(gzip.compress(json.dumps(value, separators=(",", ":")).encode(), LEVEL, mtime=0)).decode()


def pack_curricula(members: Sequence[ShownMember]) -> tuple[list[Pack], dict[str, str]]:
    """The items of every curriculum, and name -> why one cannot be read. The main lineage's are packed first, its
    newest before its oldest: what has to be thinned out is what is asked for least."""
    found: dict[str, Pack] = {}
    broken: dict[str, str] = {}
    waiting = sorted(
        (member for member in members if member.number and member.generation.curriculum.exists()),
        key=lambda member: (member.lane != "", not member.is_control, -member.number),
    )
    left = CURRICULA_BUDGET
    main = sum(member.lane == "" for member in waiting)
    for place, member in enumerate(waiting):
        rivals = (main if place < main else len(waiting)) - place
        try:
            packed = _pack_curriculum(member.name, member.generation.curriculum, left // rivals)
        except (LamarckError, KeyError, TypeError) as error:
            broken[member.name] = f"{member.generation.curriculum} cannot be read: {error}"
            continue
        left -= len(packed.data)
        found[member.name] = packed
    return [found[member.name] for member in members if member.name in found], broken


def _pack_curriculum(name: str, path: Path, budget: int) -> Pack:
    """As many items, drawn at random, as fit into `budget` characters: only those are read."""
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise LamarckError(f"not UTF-8 text: {error}") from error

    def columns(places: Sequence[int]) -> Columns:
        return _item_columns([_parsed(lines[place], place) for place in places], places)

    places = drawn(len(lines), _fitting(len(lines), columns, budget))
    return Pack(name=name, data=pack(columns(places)), shown=len(places), total=len(lines), path=str(path))


def _parsed(line: str, place: int) -> dict[str, Any]:
    try:
        return dict(json.loads(line))
    except ValueError as error:
        raise LamarckError(f"line {place + 1} is not valid JSON: {error}") from error


def _fitting(total: int, columns: Callable[[Sequence[int]], Columns], budget: int) -> int:
    """How many of `total` rows fit into `budget` characters, judged by the packed size of some."""
    tried = drawn(total, TRIED_ROWS)
    content = columns(tried)
    packed = len(pack(content)) / len(tried)
    characters = sum(len(text) for column in content.values() for text in column if isinstance(text, str)) / len(tried)
    return min(total, int(budget / packed), int(MOST_CHARACTERS / max(1.0, characters)))


def drawn(total: int, count: int) -> list[int]:
    """`count` of the numbers below `total`, at random and in order: every so-manieth would meet a pattern, where there
    is one, always at the same place."""
    return sorted(random.Random(SEED).sample(range(total), count)) if count < total else list(range(total))


def _item_columns(rows: Sequence[Mapping[str, Any]], places: Sequence[int]) -> Columns:
    return {
        "line": [place + 1 for place in places],
        "skill": [row["skill"] for row in rows],
        "difficulty": [row["difficulty"] for row in rows],
        "prompt": [visible(row["prompt"]) for row in rows],
        "completion": [visible(row["completion"]) for row in rows],
        "reasoning": [visible(row.get("reasoning") or "") for row in rows],
        # Curricula from before these fields have items of the only kind there was.
        "task": [row.get("task", "solve") for row in rows],
        "edited": [bool(row.get("edited_from")) for row in rows],
        "teacher": [row["teacher"]["generation"] for row in rows],
        "verified": [row["verdict"]["verified"] for row in rows],
        "by": [visible(row["verdict"]["by"]) for row in rows],
        "score": [row["verdict"]["score"] for row in rows],
    }


class PackedAnswers(Shown):
    """The suite's items, and what each generation answered: packs of equally many rows, in the same order."""

    items: str  # packed columns task, index, prompt, target
    members: list[Pack]  # packed columns answer, score, missed
    shown: int
    total: int


def pack_answers(members: Sequence[ShownMember], outcomes: Outcomes) -> tuple[PackedAnswers | None, dict[str, str]]:
    """The outcomes of the main lineage and its control arm, side by side, and name -> why some cannot be read."""
    rows: dict[str, dict[Key, Mapping[str, Any]]] = {}
    broken: dict[str, str] = {}
    for member in members:
        path = member.generation.samples
        if member.lane not in ("", CONTROL) or not path.exists():
            continue
        try:
            rows[member.name] = {key_of(row): row for row in outcomes.of(member.generation)}
        except LamarckError as error:
            broken[member.name] = str(error)
    keys = list(dict.fromkeys(key for own in rows.values() for key in own))
    if not keys:
        return None, broken

    def columns(places: Sequence[int]) -> Columns:
        """Of everybody: what they take together is what must fit."""
        chosen = [keys[place] for place in places]
        return {
            f"{name} {field}": column for name, own in rows.items() for field, column in _answers(own, chosen).items()
        }

    shown = [keys[place] for place in drawn(len(keys), _fitting(len(keys), columns, ANSWERS_BUDGET))]
    texts = [outcomes.texts(key) for key in shown]
    items = {
        "task": [key.task for key in shown],
        "index": [key.number for key in shown],
        "prompt": [visible(prompt) for prompt, _ in texts],
        "target": [visible(target) for _, target in texts],
    }
    packs = [
        Pack(
            name=name,
            data=pack(_answers(own, shown)),
            shown=len(shown),
            total=len(keys),
            path=f"results/{name}/samples.jsonl",
        )
        for name, own in rows.items()
    ]
    return PackedAnswers(items=pack(items), members=packs, shown=len(shown), total=len(keys)), broken


def _answers(own: Mapping[Key, Mapping[str, Any]], keys: Sequence[Key]) -> Columns:
    """`score` is None where a generation was not asked."""
    found = [own.get(key) for key in keys]
    return {
        "answer": ["" if row is None else visible(row["answer"]) for row in found],
        "score": [None if row is None else round(row["score"], 4) for row in found],
        "missed": ["" if row is None else row["missed"] for row in found],
    }
