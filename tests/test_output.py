"""Everything that a command prints: no file and no server steers the terminal, and no encoding ends the command."""

import ast
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lamarck import output
from lamarck.asking import as_text
from lamarck.errors import LamarckError, exit_with_sentence
from lamarck.lineage.generation import Generation
from lamarck.visible import visible, visible_text
from tests.report.page.conftest import lineage, made  # noqa: F401  two generations with control arms

ROOT = Path(__file__).parents[1]
EVIL = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\U000e0041\u3164\ud800 end"
G1 = Generation(1)
Bytes = subprocess.CompletedProcess[bytes]


def lamarck(*arguments: str | bytes, **environment: str) -> Bytes:
    done = subprocess.run(
        [sys.executable, "-m", "lamarck", *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert b"Traceback" not in done.stdout, done.stdout.decode(errors="replace")
    return done


def with_evil_files() -> None:
    """Warnings of a card, a name in an approval, and, in the configuration, names of a GPU and a suite."""
    card = json.loads(G1.card.read_text())
    G1.card.write_text(json.dumps(card | {"warnings": [EVIL]}))
    approval = yaml.safe_load(G1.approval.read_text())
    approval["approver"] = {"name": EVIL.replace("\ud800", "")}
    G1.approval.write_text(yaml.safe_dump(approval))  # as escapes in double quotes
    config = yaml.safe_load(Path("config/default.yaml").read_text())
    evil = {"machines": {"train": {"gpu": f"A40{EVIL[:4]}"}}, "suite": f"config/suites/{EVIL[:4]}"}
    Path("config/evil.yaml").write_text(yaml.safe_dump(config | evil))


@pytest.mark.parametrize(
    "command",
    [
        ("status",),
        ("review", "g1"),
        ("plan", "--configfile", "config/evil.yaml"),
        ("report", "--configfile", "config/evil.yaml", "--md"),
        ("compare", "\x1b[2Jg9", "g0"),
        (b"approve", b"g\xff1"),
    ],
    ids=lambda command: str(command[0]),
)
def test_no_file_and_no_word_steers_the_terminal(lineage: Path, command: tuple[str, ...]) -> None:  # noqa: F811
    with_evil_files()
    for encoding in ("utf-8", "ascii") if command[0] == "status" else ("utf-8",):
        said = lamarck(*command, PYTHONIOENCODING=encoding, COLUMNS="80").stdout
        assert said
        assert not set(said) & {0x1B, 0x07}
        assert "\x9b" not in said.decode(encoding)
        assert "\U000e0041" not in said.decode(encoding)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_that_lacks_letters_gets_others(lineage: Path, encoding: str) -> None:  # noqa: F811
    done = lamarck("status", PYTHONIOENCODING=encoding, COLUMNS="80")
    assert done.returncode == 0
    assert "curriculum" in done.stdout.decode(encoding)


def test_a_status_of_eighty_columns_can_be_read(lineage: Path) -> None:  # noqa: F811
    """No word of it is cut, however long the name of who approved."""
    approval = yaml.safe_load(G1.approval.read_text())
    approval["approver"] = {"name": " ".join(["Anna-Maria"] * 12)}
    G1.approval.write_text(yaml.safe_dump(approval))
    lines = lamarck("status", PYTHONIOENCODING="utf-8", COLUMNS="80").stdout.decode().splitlines()
    assert max(len(line) for line in lines if "`" not in line) <= 80  # commands are in one piece, to be pasted
    assert "…" not in "".join(lines)
    words = {word.strip(",") for line in lines for word in line.split()}
    assert "primer" not in words, "a curriculum is called one where no founder has a primer"
    assert {"curriculum", "adapter", "control/g1", "plan", "scores", "strategy", "reward:"} <= words


def test_only_one_module_draws(tmp_path: Path) -> None:
    """A console that is made elsewhere would print what it is given."""
    makers = [
        path.name
        for path in (ROOT / "lamarck").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Console", "rich.print", "console.Console")
    ]
    assert makers == ["output.py"]


def test_what_is_drawn_is_seen_and_coloured() -> None:
    file = io.StringIO()
    console = output.console(file=file, force_terminal=True)
    console.print(f"{EVIL} and", style="red", highlight=False)
    drawn = file.getvalue()
    assert "\x1b[31m" in drawn  # rich's own
    assert "\x1b[2J" not in drawn
    assert "�[2J" in drawn


def test_a_stream_takes_every_text(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(written, encoding="ascii", write_through=True))
    monkeypatch.setattr(sys, "stdout", None)  # as after `>&-`

    def fail() -> None:
        raise LamarckError(f"Müller… says {EVIL}")

    with pytest.raises(SystemExit):
        exit_with_sentence(fail)
    assert written.getvalue() == b"error: M?ller... says ?[2J?]0;owned??31m???? end\n"


def test_a_line_end_is_a_sign_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the sign that stands for what nobody sees."""
    assert visible("in this form:\nStart with\ta", 100) == "in this form:⏎Start with⇥a"
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii", write_through=True))
    output.guard_output()
    print(visible("a\nb\tc", 100))
    assert written.getvalue() == b"a\\nb\\tc\n"


@pytest.mark.parametrize(
    "character", ["\u061c", "\u180e", "\u115f", "\u3164", "\uffa0", "\ufe0f", "\U000e0041", "\u202e"]
)
def test_what_nobody_sees_is_shown(character: str) -> None:
    assert visible_text(f"a{character}b") == "a\ufffdb"


def test_a_line_that_is_not_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    assert as_text("grün".encode()) == "grün"
    for line in (b"gr\xfcn", "gr\udcfcn"):
        with pytest.raises(LamarckError, match="the input is not text in utf-8"):
            as_text(line)
