"""The benchmark of a GPU, rehearsed at tiny shapes: time on a GPU is dear, and a mistake there costs all of it."""

import re
import sys

import pytest
import torch

from benchmarks import gpu

LINE = re.compile(r"(8b|135m): +(ours|as planned|TRL|the best|done)")


def test_the_parts_that_are_asked_for_run_dearest_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu", "--tiny", "135m", "8b"])
    gpu.main()
    said = [found.groups() for found in map(LINE.match, capsys.readouterr().out.splitlines()) if found]
    ours, peer = ["ours", "as planned"], ["TRL", "the best"]
    assert said == [
        *(("8b", what) for what in (*ours, *ours, *peer, *peer, "done")),
        *(("135m", what) for what in (*ours, "done")),
    ]


def test_a_part_that_there_is_not_is_said_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu", "--tiny", "135m", "7b"])
    with pytest.raises(SystemExit):
        gpu.main()
    said = capsys.readouterr()
    assert "there is no part 7b: there are 70b, 8b, generate, 135m" in said.err and not said.out


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu", "135m"])
    with pytest.raises(SystemExit, match="no GPU is seen here: `--tiny` rehearses without one"):
        gpu.main()
