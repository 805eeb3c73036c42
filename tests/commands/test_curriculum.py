"""`lamarck curriculum show` and `diff`, as typed."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lamarck.cli import app
from lamarck.curriculum.item import item_id
from lamarck.errors import LamarckError
from lamarck.files import write_json, write_jsonl
from lamarck.lineage.generation import Generation
from tests.curriculum.lines import card, items

G1, G2 = Generation(1), Generation(2)
CELLS = {("json_mode", 1): 20, ("json_mode", 2): 10, ("list_ops", 1): 5}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    first, second = items(CELLS, seed=1), items({("json_mode", 3): 30, ("json_mode", 1): 5}, seed=2, teacher="g1")
    prompt = "\x1b[2Jone\n#9  verified\n[red]two"
    identity = item_id("json_mode", prompt, first[1].completion)
    hostile = first[1].model_copy(update={"id": identity, "prompt": prompt, "reasoning": "x" * 5000})
    for generation, parent, own, replayed in (
        (G1, "g0", [first[0], hostile, *first[2:]], []),
        (G2, "g1", second, first),
    ):
        write_jsonl(generation.curriculum, [each.model_dump(mode="json") for each in own + replayed])
        write_json(generation.card, card(own, generation.name, parent, len(replayed)))


def typed(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["curriculum", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_items_are_paged_with_their_verdicts() -> None:
    shown = typed("show", "g1", "--limit", "3")
    assert shown.count("verified by json_mode, score 1") == 3
    assert "items 1 to 3 of 35 in results/g1/curriculum.jsonl; go on with --offset 3" in shown
    last = typed("show", "g1", "--skill", "json_mode", "--difficulty", "2", "--offset", "8")
    assert "items 9 to 10 of 10" in last
    assert "--offset" not in last
    assert "#29 " in last and "#30 " in last


def test_nothing_that_a_model_wrote_steers_the_terminal_or_looks_like_ours() -> None:
    shown = typed("show", "g1", "--limit", "2")
    assert "\x1b[2J" not in shown
    assert "[red]two" in shown
    assert len(shown) < 2000
    assert [line for line in shown.splitlines() if line.startswith("#9")] == []


def test_items_for_machines() -> None:
    page = json.loads(typed("show", "g1", "--skill", "list_ops", "--limit", "2", "--json"))
    assert (page["items"], page["offset"], len(page["page"])) == (5, 0, 2)
    assert page["page"][0]["line"] == 31
    assert page["page"][0]["verdict"]["verified"] is True


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["g1", "--skill", "jason"], "no such item; it has json_mode 1, json_mode 2, list_ops 1"),
        (["g1", "--offset", "35"], "--offset 35 lies behind the last of 35 items"),
        (["g7"], "results/g7/curriculum.jsonl does not exist"),
        (["seven"], "'seven' is not a generation"),
    ],
)
def test_nothing_to_show_is_said(arguments: list[str], sentence: str) -> None:
    with pytest.raises(LamarckError, match=sentence):
        CliRunner().invoke(app, ["curriculum", "show", *arguments], catch_exceptions=False)


def test_the_difference_is_one_screen() -> None:
    shown = typed("diff", "g1", "g2")
    assert "g2: 70 items, 35 by g1 (50%), 35 replayed (50%)" in shown
    assert "json_mode 3" in shown and "gained" in shown
    assert "list_ops 1" in shown and "lost" in shown
    assert "json_mode 2" in shown
    assert "words of g1 alone" in shown
    assert "g2, json_mode 3: <j3>" in shown
    assert len(shown.splitlines()) <= 40
    assert all(len(line) <= 80 for line in shown.splitlines())


def test_the_difference_for_machines() -> None:
    found = json.loads(typed("diff", "g1", "g2", "--json"))
    assert {cell["skill"] for cell in found["cells"]} == {"json_mode", "list_ops"}
    assert found["second"]["replayed"] == 35
    assert set(found["only_first"]["frequent_words"]) & {"rev", "rot", "inc", "srt", "swp"}
