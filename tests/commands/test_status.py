"""`lamarck status` of a lineage in which something cannot be read."""

from pathlib import Path

import pytest

from lamarck.commands.status import show
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


def test_a_founders_weights_are_called_so(lineage: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    """A child that is whole weights lies in a folder of that name, too."""
    (Generation(0).scores).unlink()
    show(Path("config/default.yaml"), as_json=False)
    said = capsys.readouterr().out
    assert "weights" in said and "whole" not in said
