"""`lamarck skills`, and the table of the docs that says the same."""

import json
from pathlib import Path

import pytest

from lamarck.commands.skills import show
from lamarck.skills import SKILLS, TAGGED

DOCS = Path(__file__).parents[2] / "docs" / "skills.md"


def test_the_table_has_every_skill(capsys: pytest.CaptureFixture[str]) -> None:
    show(as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.split()[:1] and line.split()[0] in SKILLS] == list(SKILLS)


def test_machines_get_what_the_skills_say(capsys: pytest.CaptureFixture[str]) -> None:
    show(as_json=True)
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["arithmetic"]["for"] == "the tiny world"
    assert rows["ml_diagnosis"]["difficulties"] == [1, 2, 3]
    assert {name: row["description"] for name, row in rows.items()} == {
        name: skill.description for name, skill in SKILLS.items()
    }


@pytest.mark.parametrize("name", SKILLS)
def test_the_docs_say_what_the_skill_says(name: str) -> None:
    skill = SKILLS[name]
    readers = "the tiny world" if name in TAGGED else "models that read English"
    levels = f"{skill.difficulties[0]} to {skill.difficulties[-1]}"
    row = f"| `{name}` | {readers} | {levels} | {skill.description} |"
    assert row in DOCS.read_text(encoding="utf-8").splitlines()
    assert "\n" not in skill.description
