"""What a record's type leaves of a file: every byte that was written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lamarck.errors import LamarckError
from lamarck.files import canonical_json, write_jsonl
from lamarck.lineage.contents import (
    Card,
    Content,
    Sat,
    Scores,
    parse_content,
    parse_source,
    read_samples,
    read_sat,
    read_source,
)
from tests.curriculum.lines import card, items

SCORES: dict[str, Any] = {
    "generation": "g1",
    "partial": False,
    "score": 41.25,
    "suite": {"name": "tiny-v2", "digest": "1"},
    "scoring": "2",
    "student": "3",
    "bits_per_byte": 0.5,
    "tiers": {"teaching": {"score": 40.0, "weight": 0.25, "learned": {"before": 1.5, "steps": [1, 2]}}},
    "tasks": {"json": {"tier": "sanity", "score": 50.0, "n": 1, "stderr": None, "note": "more"}},
    "interval": {"low": 40.0, "high": 42.0},
    "of a later version": [1, {"a": None}],
}
CARD = card(
    items({("json_mode", 1): 2}, seed=1), "g1", "g0", cost={"samples_per_item": 2.0, "device_seconds_per_item": 1.5}
)


SAT: dict[str, Any] = {
    "generation": "g2",
    "model": "1",
    "benchmarks": {"ifeval": {"value": 12.5, "tasks": {"leaderboard_ifeval": {"value": 0.125, "n": 8}}}},
    "errors": {"math": "no data"},
    "partial": True,
    "chat_template": True,
    "data": "2",
    "of a later version": None,
}
LISTED = {"files": {"config.json": "1"}, "record": CARD["record"]}
SOURCES: dict[str, dict[str, Any]] = {
    "tiny": {"steps": 2, "losses": {"2": 1.5}, "tokens": 64},
    "local": {},
    "hub": {"repo": "some/base", "revision": "a" * 40, "license": None},
    "gguf": {"name": None, "license": "mit", "origin": None, "quantisation": ["F16"]},
    "merge": {
        "result": "a model",
        "license": None,
        "parents": [{"name": "one", "digest": "1", "license": None}],
        "said": [],
        "notes": ["a note"],
    },
    "evolved": {"origin": "the evolution nano", "evolution": "nano", "line": ["g0-c00", "g1-c01"], "license": "mit"},
    "primed": {
        "from": {"kind": "hub", "repo": "some/base"},
        "license": None,
        "origin": "some/base",
        "primer": {"log": []},
    },
}
ANSWER: dict[str, Any] = {
    "task": "json_mode",
    "index": 0,
    "item": "1",
    "prompt": "?",
    "target": "!",
    "answer": "!",
    "score": 0.5,
    "rungs": {"valid": True},
    "note": "of a later version",
}


def answer_line(change: dict[str, Any]) -> str:
    return json.dumps(ANSWER | change)


@pytest.mark.parametrize(("kind", "content"), [(Scores, SCORES), (Card, CARD), (Sat, SAT)])
def test_what_was_written_is_written_again(kind: type[Content], content: dict[str, Any]) -> None:
    """Also what an older or a later version wrote: an edit of a card, or scores that are made again, lose nothing."""
    assert canonical_json(parse_content(kind, content, "a file").written()) == canonical_json(content)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"score": "41.25"}, "score"),
        ({"score": float("nan")}, "score"),
        ({"partial": 0}, "partial"),
        ({"tasks": {"json": {"tier": "sanity", "score": 50.0, "n": 1.5}}}, "tasks.json.n"),
        ({"suite": None}, "suite"),
    ],
)
def test_a_wrong_value_is_a_sentence_that_names_its_place(change: dict[str, Any], place: str) -> None:
    with pytest.raises(LamarckError, match=rf"a file is not as `lamarck` writes it \({place}: "):
        parse_content(Scores, SCORES | change, "a file")


@pytest.mark.parametrize("kind", SOURCES)
def test_what_was_written_of_a_founder_is_written_again(kind: str) -> None:
    content = {"kind": kind} | SOURCES[kind] | LISTED
    assert canonical_json(parse_source(content, "a file").written()) == canonical_json(content)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"kind": []}, "kind"),
        ({"kind": "found"}, "kind"),
        ({"kind": "hub", "repo": "some/base"}, "revision"),
        ({"files": None}, "files"),
        ({"record": {}}, "record.digest"),
    ],
)
def test_a_founder_from_nowhere_is_a_sentence(change: dict[str, Any], place: str) -> None:
    with pytest.raises(LamarckError, match=rf"a file is not as `lamarck` writes it \({place}: "):
        parse_source({"kind": "tiny"} | LISTED | change, "a file")


def test_answers_are_read_as_they_were_written(tmp_path: Path) -> None:
    bare = {name: value for name, value in ANSWER.items() if name not in ("rungs", "note")}
    write_jsonl(tmp_path / "samples.jsonl", [ANSWER, bare])
    assert read_samples(tmp_path / "samples.jsonl") == [ANSWER, bare]


@pytest.mark.parametrize(
    "line",
    ["[]", "null", '{"task": "a"', "[" * 100_000, answer_line({"score": float("nan")}), answer_line({"index": "0"})],
)
def test_a_damaged_answer_is_a_sentence_that_names_its_line(line: str, tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text(f"{answer_line({})}\n{line}\n")
    with pytest.raises(LamarckError, match=r"samples\.jsonl,? line 2"):
        read_samples(path)


@pytest.mark.parametrize("read", [read_source, read_sat])
@pytest.mark.parametrize("text", ["[]", "null", '{"kind": "tiny"', "[" * 100_000, "1" * 5_000, '{"kind": 1e999}'])
def test_a_damaged_file_is_a_sentence(read: Callable[[Path], Content], text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(LamarckError, match=r"a\.json"):
        read(path)
