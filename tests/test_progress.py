"""What long steps show: a bar with rate and time left on a terminal, lines elsewhere."""

import io
import time

import pytest

from lamarck import progress


def test_a_bar_shows_rate_and_time_left() -> None:
    terminal = io.StringIO()
    for advance in progress._bar(terminal, "g1 is trained", "steps", 100):
        for _ in range(3):
            advance(10)
            time.sleep(0.15)
    shown = terminal.getvalue()
    assert "g1 is trained" in shown
    assert "30/100" in shown
    assert "steps, " in shown
    assert "/s" in shown


def test_lines_show_rate_and_time_left(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for advance in progress._lines("g1 is trained", "steps", 100):
        monkeypatch.setattr(progress, "LINE_EVERY_SECONDS", 3600)
        advance(10)
        monkeypatch.setattr(progress, "LINE_EVERY_SECONDS", 0)
        advance(10)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("g1 is trained: 20/100 steps, ")
    assert lines[0].endswith(" s left")
    assert "\x1b" not in lines[0]


@pytest.mark.parametrize(("speed", "shown"), [(0.25, "0.25/s"), (12.34, "12.3/s"), (12345.6, "12,346/s")])
def test_slow_steps_have_a_rate_too(speed: float, shown: str) -> None:
    assert progress.rate(speed) == shown
