"""`lamarck review g1 --edit`, with a program for an editor: what is written, what is refused; nothing is lost."""

import fcntl
import json
import shlex
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from lamarck import run_lock
from lamarck.cli import app
from lamarck.config import Config
from lamarck.config.section import check_section
from lamarck.curriculum.item import read_curriculum
from lamarck.errors import LamarckError
from lamarck.files import digest_file, write_json
from lamarck.lineage.artifacts import CURRICULUM
from lamarck.lineage.freshness import examine, survey
from lamarck.lineage.records import make_record, read_record
from tests.curriculum.lines import card
from tests.gate.project import G1, ROOT, config

# What a person does in an editor: the first argument is Python over `rows`, the last is the file.
EDITOR = """\
import json, sys
path = sys.argv[-1]
rows = [json.loads(line) for line in open(path)]
exec(sys.argv[1])
open(path, "w").write("".join(json.dumps(row) + "\\n" for row in rows))
"""
RIGHT = """rows[1] |= {"prompt": "<j2> name mia ; age 7 ; =>", "completion": '{ "name" : "mia" , "age" : 7 }'}"""


@pytest.fixture(autouse=True)
def written(planned: None, monkeypatch: pytest.MonkeyPatch) -> Config:
    """g1's curriculum with a card whose record fits it, by the suite that is really there."""
    Path("strategy.yaml").write_text(
        yaml.safe_dump(yaml.safe_load(Path("strategy.yaml").read_text()) | {"minimum_items": 3})
    )
    settings = config(suite=str(ROOT / "config/suites/tiny-v3"))
    Path("config/default.yaml").write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    # As the stage reads it again: a tuple is a list there.
    settings = check_section(yaml.safe_load(Path("config/default.yaml").read_text()), Config, "test")
    inputs = CURRICULUM.input_digests(settings, G1)
    rows = [json.loads(line) for line in G1.curriculum.read_text().splitlines()]
    for row in rows:
        row["teacher"]["digest"] = inputs["parent"]
    G1.curriculum.write_text("".join(json.dumps(row) + "\n" for row in rows))
    record = make_record(digest_file(G1.curriculum), inputs, 7, "cpu", 1.5, 1.0)
    items = list(read_curriculum(G1.curriculum))
    write_json(G1.card, card(items, "g1", "g0", record=record.model_dump(mode="json")))
    Path("editor.py").write_text(EDITOR)
    monkeypatch.delenv("VISUAL", raising=False)
    return settings


def edit(monkeypatch: pytest.MonkeyPatch, action: str) -> str:
    monkeypatch.setenv("EDITOR", shlex.join([sys.executable, "editor.py", action]))
    return typed()


def typed(generation: str = "g1", by: str = "A Tester") -> str:
    try:
        done = CliRunner().invoke(app, ["review", generation, "--edit", "--by", by], catch_exceptions=False)
    finally:
        # What the end of a process does.
        for path in list(run_lock._held):
            run_lock._held.pop(path).close()
    assert done.exit_code == 0, done.output
    return done.output


def copies() -> list[Path]:
    return sorted(G1.directory.glob("curriculum.edit-*.jsonl"))


def test_an_edit_is_recorded_and_the_curriculum_stays_fresh(written: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest_file(G1.curriculum)
    shown = edit(monkeypatch, f"del rows[0]; {RIGHT}")
    assert "dropped: 1, changed: 1" in shown
    assert "+ <j2> name mia ; age 7 ; =>" in shown
    items = list(read_curriculum(G1.curriculum))
    assert [item.prompt for item in items].count("<j2> name mia ; age 7 ; =>") == 1
    assert len(items) == 4
    record = read_record(G1.card)
    assert record.digest == digest_file(G1.curriculum) != before
    assert record.human_edited is not None
    assert record.human_edited.model_dump() == {"by": ("A Tester",), "written": before, "dropped": 1, "changed": 1}
    content = json.loads(G1.card.read_text())
    assert (content["items"], content["kept"], content["cells"][0]["kept"]) == (4, 4, 4)
    assert content["measures"]["vocabulary"] > 5
    assert "Human-edited by A Tester: 1 problems dropped, 1 changed." in G1.dataset_card.read_text()
    assert examine(CURRICULUM, G1, written).stale is None
    stale = {artifact.name: artifact.stale for artifact in survey(written)}
    assert stale["g1/curriculum.md"] is None
    assert "curriculum" in str(stale["g1/plan.json"])
    card_before = G1.dataset_card.read_text()
    edit(monkeypatch, "del rows[0]")
    again = read_record(G1.card).human_edited
    assert again is not None
    assert again.model_dump() == {"by": ("A Tester",), "written": before, "dropped": 2, "changed": 1}
    G1.dataset_card.write_text(card_before)
    stale = {artifact.name: artifact.stale for artifact in survey(written)}
    assert "does not name this curriculum's digest" in str(stale["g1/curriculum.md"])


def test_a_refused_edit_writes_nothing_and_can_be_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    before = G1.curriculum.read_bytes(), G1.card.read_bytes()
    with pytest.raises(LamarckError, match=r"because of line 2 of .*json_mode does not verify it.*--edit"):
        edit(monkeypatch, f'{RIGHT}; rows[1]["completion"] = "wrong"; del rows[4]')
    assert (G1.curriculum.read_bytes(), G1.card.read_bytes()) == before
    assert not G1.dataset_card.exists()
    [copy] = copies()
    assert "wrong" in copy.read_text()
    shown = edit(monkeypatch, RIGHT)
    assert f"Going on with {copy}" in shown
    assert "dropped: 1, changed: 1" in shown


def test_an_editor_that_is_closed_again_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = G1.curriculum.read_bytes(), G1.card.read_bytes()
    assert "Nothing was changed" in edit(monkeypatch, "pass")
    assert (G1.curriculum.read_bytes(), G1.card.read_bytes()) == before
    assert copies() == []


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        ("del rows[2:]", "2 items are left, below the strategy's minimum of 3"),
        ("rows.clear()", "no item of g0's own is left"),
        ("sys.exit(3)", "ended with exit code 3: nothing was written"),
    ],
)
def test_what_is_refused_as_a_whole(monkeypatch: pytest.MonkeyPatch, action: str, sentence: str) -> None:
    before = G1.curriculum.read_bytes()
    with pytest.raises(LamarckError, match=sentence):
        edit(monkeypatch, action)
    assert G1.curriculum.read_bytes() == before
    assert len(copies()) == 1


def test_what_cannot_be_edited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDITOR", raising=False)
    with pytest.raises(LamarckError, match="no editor is named: set VISUAL or EDITOR"):
        typed()
    monkeypatch.setenv("EDITOR", "/no/such/editor")
    with pytest.raises(LamarckError, match="does not start"):
        typed()
    with pytest.raises(LamarckError, match="nobody curates a control arm: edit g1"):
        typed("control/g1")
    G1.curriculum.write_bytes(G1.curriculum.read_bytes() + b"\n")
    with pytest.raises(LamarckError, match=r"is not up to date \(its bytes differ from its record\): run snakemake"):
        typed()


def test_a_curriculum_that_changes_under_the_editor_is_not_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LamarckError, match="changed while you edited; nothing was written"):
        edit(monkeypatch, f'del rows[0]; open("{G1.curriculum}", "a").write("\\n")')
    assert len(copies()) == 1


def test_no_edit_is_written_into_a_running_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    before = G1.curriculum.read_bytes()
    lock = Path(".lamarck/run.lock")
    lock.parent.mkdir()
    with lock.open("a+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(LamarckError, match="another run is already advancing"):
            edit(monkeypatch, "del rows[0]")
    assert G1.curriculum.read_bytes() == before
