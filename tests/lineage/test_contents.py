"""What a record's type leaves of a file: every byte that was written."""

from typing import Any

import pytest

from lamarck.errors import LamarckError
from lamarck.files import canonical_json
from lamarck.lineage.contents import Card, Content, Scores, parse_content
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


@pytest.mark.parametrize(("kind", "content"), [(Scores, SCORES), (Card, CARD)])
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
