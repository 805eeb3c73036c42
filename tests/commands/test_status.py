"""`lamarck status` of a lineage in which something cannot be read."""

import subprocess
import sys
from pathlib import Path

import pytest

from lamarck.commands.status import show
from lamarck.errors import LamarckError
from lamarck.lineage.contents import read_card, read_scores
from lamarck.lineage.generation import TRAINING_RECORD, Generation
from tests.report.page.conftest import lineage, made  # noqa: F401  two generations with control arms


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", '{"budget": 1}'])
def test_a_trainings_record_that_cannot_be_read_is_shown_as_stale(
    lineage: Path,  # noqa: F811
    text: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (Generation(1).change / TRAINING_RECORD).write_text(text)
    show(Path("config/default.yaml"), as_json=False)
    assert "stale: g1/adapter: " in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", "[" * 100_000, '{"score": 1e999}', "9" * 5_000])
def test_scores_and_cards_that_cannot_be_read_are_no_traceback(
    lineage: Path,  # noqa: F811
    text: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The artifact is shown as stale; where a card is read on purpose, it is one sentence."""
    Generation(1).scores.write_text(text)
    Generation(1).card.write_text(text)
    show(Path("config/default.yaml"), as_json=False)
    said = capsys.readouterr().out
    assert "stale: g1/eval.json: " in said and "stale: g1/curriculum.json" in said.replace(".jsonl", ".json")
    for read in (lambda: read_scores(Generation(1).scores), lambda: read_card(Generation(1).card)):
        with pytest.raises(LamarckError, match=r"results/g1/\S+\.json is not "):
            read()


def test_a_founders_weights_are_called_so(lineage: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    """A child that is whole weights lies in a folder of that name, too."""
    (Generation(0).scores).unlink()
    show(Path("config/default.yaml"), as_json=False)
    said = capsys.readouterr().out
    assert "weights" in said and "whole" not in said


def test_it_imports_neither_skills_nor_estimates_nor_what_scores() -> None:
    """It is asked for all the time, and these are a third of what it would load."""
    program = "import sys, lamarck.commands.status; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    rooms = ("skills", "suites", "budget", "merge", "judging", "eval")
    assert [name for name in loaded if name.startswith(tuple(f"lamarck.{room}" for room in rooms))] == []
    assert not {"torch", "numpy", "scipy"} & set(loaded)
