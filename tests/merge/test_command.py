"""`lamarck merge` as it is typed."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lamarck.cli.merging import merges
from lamarck.export.gguf import CONVERTER_VARIABLE
from tests.export.test_gguf import write_converter
from tests.merge.models import tensors_of

RUNNER = CliRunner()
RECORD = """\
variables: {weight: 0.5}
documents: [documents.yaml]
"""
DOCUMENTS = """\
merge_method: linear
models:
  - {model: a, parameters: {weight: "${weight}"}}
  - {model: b, parameters: {weight: 0.5}}
"""


def test_a_merge_is_checked_planned_and_run(models: Path, tmp_path: Path) -> None:
    (tmp_path / "merge.yaml").write_text(RECORD)
    (tmp_path / "documents.yaml").write_text(DOCUMENTS)
    file, given = str(tmp_path / "merge.yaml"), ["--models", str(models)]
    checked = RUNNER.invoke(merges, ["check", file, *given])
    assert checked.exit_code == 0, checked.output
    assert "sound. documents has 39 tensors, from 1 merges." in checked.output
    planned = RUNNER.invoke(merges, ["plan", file, *given, "--out", str(tmp_path / "plan.json")])
    assert planned.exit_code == 0 and "Memory: 0.00 MB" in planned.output, planned.output
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert plan["steps"][0]["memory_bytes"] == (2 + 2) * 12 * 8 * 4
    run = ["run", file, *given, "--plan", str(tmp_path / "plan.json"), "--out"]
    assert RUNNER.invoke(merges, [*run, str(tmp_path / "half")]).exit_code == 0
    ours, a, b = (tensors_of(path) for path in (tmp_path / "half", models / "a", models / "b"))
    assert all(float((ours[name] - (a[name] + b[name]) / 2).abs().max()) < 1e-6 for name in ours)
    plain = run[:2] + given
    assert RUNNER.invoke(merges, [*plain, "--set", "weight=1.5", "--out", str(tmp_path / "more")]).exit_code == 0
    ours = tensors_of(tmp_path / "more")
    assert all(float((ours[name] - (a[name] * 0.75 + b[name] * 0.25)).abs().max()) < 1e-6 for name in ours)


def test_the_result_as_a_quantised_gguf_file(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a converter nothing is merged: that is said first."""
    (tmp_path / "merge.yaml").write_text(DOCUMENTS.replace('"${weight}"', "0.5"))
    run = [
        "run",
        str(tmp_path / "merge.yaml"),
        "--models",
        str(models),
        "--gguf",
        "q8_0",
        "--out",
        str(tmp_path / "made"),
    ]
    with monkeypatch.context() as bare:
        bare.setenv("PATH", "")
        bare.delenv(CONVERTER_VARIABLE, raising=False)
        refused = RUNNER.invoke(merges, run)
    assert refused.exit_code and "convert_hf_to_gguf.py" in str(refused.exception) and not (tmp_path / "made").exists()
    monkeypatch.setenv(CONVERTER_VARIABLE, str(write_converter(tmp_path)))
    done = RUNNER.invoke(merges, run)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "made/merge-q8_0.gguf").read_bytes() == b"GGUFq8_0"
