"""What a curriculum left out can be read: each text with its reason, also where too little was left."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from lamarck.cli import app
from lamarck.curriculum.refused import EXAMPLES, OF_REFUSED, RejectedLine, read_refused, reasons, write_refused
from lamarck.errors import LamarckError
from lamarck.lineage.generation import Generation
from tests.curriculum.test_curriculum import proposal, scripted
from tests.models.families import save_model

G1 = Generation(1)


def test_every_reason_has_its_number_and_its_texts() -> None:
    """The wrong implementation: reasons that are counted, and texts that are thrown away."""
    made = proposal(scripted({"<a1>": 0.6, "<a2>": 0.2}))
    cells = made.verified()
    rows = list(made.refused.rows())
    numbers = {(row.reason, row.difficulty): row.number for row in rows}
    assert numbers == {(reason, cell.difficulty): n for cell in cells for reason, n in cell.dropped.items()}
    assert {"malformed", "wrong"} <= {row.reason for row in rows}
    malformed = {row.text for row in rows if row.reason == "malformed"}
    assert "no answer" in malformed or "" in malformed
    wrong = next(row for row in rows if row.reason == "wrong")
    assert wrong.text.endswith("\n99") and wrong.why
    assert all(row.why for row in rows if row.reason in ("malformed", "unsound", "wrong"))
    assert max(len(row.text) for row in rows) <= 4000


def refused(reason: str, skill: str, number: int, text: str = "x", why: str = "") -> RejectedLine:
    return RejectedLine(reason=reason, skill=skill, difficulty=1, number=number, why=why, text=text)


def test_reasons_come_by_number_with_examples_from_different_cells() -> None:
    rows = [
        *[refused("wrong", "arithmetic", 5, text) for text in ("a", "b", "c")],
        *[refused("wrong", "list_ops", 7, text) for text in ("d", "e")],
        refused("malformed", "arithmetic", 11),
    ]
    wrong, malformed = reasons(rows)
    assert (wrong.name, wrong.number, malformed.number) == ("wrong", 12, 11)
    assert [row.text for row in wrong.examples[:EXAMPLES]] == ["d", "a", "e"]


def test_why_shows_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LamarckError, match="has no curriculum that left anything out yet"):
        read_refused(G1)
    text = "\x1b[2J<a1> 1 + 1 =>\n99"
    write_refused(Path("results/g1/curriculum.rejected.jsonl"), [refused("wrong", "arithmetic", 40, text, "it is 2")])
    shown = CliRunner().invoke(app, ["curriculum", "why", "g1"], catch_exceptions=False).output
    assert "40 wrong\n  arithmetic 1, 40 times: it is 2\n" in shown
    assert "\x1b" not in shown and "    | 99\n" in shown
    listed = json.loads(CliRunner().invoke(app, ["curriculum", "why", "g1", "--json"]).output)
    assert listed["reasons"][0]["texts"] == 40
    Path("results/g1/curriculum.rejected.jsonl").write_text('{"reason": 1}\n')
    with pytest.raises(LamarckError, match="line 1 is not a refused text"):
        read_refused(G1)


def test_a_curriculum_below_its_floor_leaves_its_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault that a first real model met: 0 usable items, and an empty file to look at."""
    from lamarck.curriculum.__main__ import main

    weights = save_model(tmp_path / "weights", "llama")
    strategy = yaml.safe_load(Path("config/strategies/frontier.yaml").read_text())
    strategy |= {
        "probe_samples": 8,
        "size": 8,
        "minimum_items": 1,
        "samples_per_item": 1,
        "sampling": {"max_new_tokens": 8},
    }
    strategy["skills"] = {"json_mode": {"share": 1, "difficulties": [1, 2]}}
    (tmp_path / "strategy.yaml").write_text(yaml.safe_dump(strategy))
    config = yaml.safe_load(Path("config/default.yaml").read_text())
    config |= {"strategy": str(tmp_path / "strategy.yaml"), "founder": {"kind": "local", "path": str(weights)}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    output = tmp_path / "results/g1/curriculum.jsonl"
    arguments = ["--generation", "g1", "--weights", weights, "--output", output, "--card", tmp_path / "card.json"]
    arguments += ["--answers", tmp_path / "answers.jsonl"]
    monkeypatch.setattr("sys.argv", ["curriculum", "--config", str(tmp_path / "config.yaml"), *map(str, arguments)])
    with pytest.raises(
        LamarckError, match=r"wrote 0 usable items in \d+ samples, .*: `lamarck curriculum why g1` shows"
    ):
        main()
    assert not output.exists()
    monkeypatch.chdir(tmp_path)
    rows = read_refused(G1)
    assert {(row.reason, row.difficulty) for row in rows} == {("malformed", 1), ("malformed", 2)}
    assert len(rows) == 2 * EXAMPLES and all(row.why for row in rows)


def test_all_of_a_curriculum_that_is_refused_is_kept() -> None:
    from lamarck.curriculum.__main__ import _all_refused

    made = proposal(scripted({"<a1>": 0.6, "<a2>": 0.2}))
    written = [item for cell in made.verified() for item in cell.kept]
    rows = [row for row in _all_refused(made.refused, written) if row.reason == OF_REFUSED]
    assert [row.text for row in rows] == [f"{item.prompt}\n{item.completion}" for item in written]
    assert reasons(rows)[0].number == len(written)
