"""`lamarck plan`, as people and machines see it."""

import json
import subprocess
import sys

import pytest


def lamarck(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from lamarck.cli import main; main()", "plan", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


def test_the_table_of_the_original_fits_80_columns() -> None:
    shown = lamarck("--configfile", "config/70b.yaml")
    assert shown.returncode == 0, shown.stderr
    assert "…" not in shown.stdout
    for row in ("g1 curriculum", "g1 train", "g1 eval", "g2 curriculum", "1x H100 SXM", "$3.99 an hour on 2026-11-09"):
        assert row in shown.stdout


def test_machines_read_bytes_and_dollars() -> None:
    content = json.loads(lamarck("--configfile", "config/70b.yaml", "--json").stdout)
    train = content["steps"][1]
    parts = sum(size for part, size in train["memory"].items() if part != "total")
    assert parts == pytest.approx(train["memory"]["total"], abs=10)
    assert content["at_most"]["dollars"] == pytest.approx(sum(step["dollars"] for step in content["steps"]), abs=0.1)


def test_what_does_not_fit_is_one_sentence_and_a_failure() -> None:
    refused = lamarck("--configfile", "config/70b.yaml", "--gpu", "A40")
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert refused.stderr.startswith("error: train does not fit") and refused.stderr.count("\n") == 1


def test_the_tiny_world_costs_nothing() -> None:
    shown = lamarck()
    assert "this machine" in shown.stdout and "$" not in shown.stdout.split("\n- ", 1)[1]
