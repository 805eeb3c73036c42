"""`lamarck suite judge` and `lamarck suite overlap`, as typed."""

import json
import random
from pathlib import Path

import pytest

from lamarck.commands import judge, overlap
from lamarck.errors import LamarckError, exit_with_sentence
from lamarck.judging.sandbox import Sandbox
from lamarck.suites.suite import Suite, load_suite
from tests.commands.test_suite import ROOT, lamarck
from tests.curriculum.copies import fields_shuffled

SUITE = max((ROOT / "config/suites").glob("*/engineering")).parent  # the latest with tasks that run answers


def test_an_answer_is_judged_rung_by_rung(sandbox: Sandbox, tmp_path: Path) -> None:
    task = next(each for each in load_suite(SUITE).engineering_files if each.kind == "custom_code")
    (tmp_path / "answer").write_text(f"<think>\n```python\npass\n```\n</think>{task.reference}")
    done = lamarck("suite", "judge", SUITE.name, task.name, "--answer", str(tmp_path / "answer"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{SUITE.name}: {task.name}, item 0: 100 of 100 points\n  passes: yes\n"


def test_an_answer_to_an_item_for_machines(suite: Suite, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    right, _, last = suite.items["list_ops_3"][2].target.rpartition(" ")
    (tmp_path / "answer").write_text(f"{right} {(int(last) + 1) % 10}")
    judge.show(str(suite.path), "list_ops_3", tmp_path / "answer", 2, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found.pop("score") < 1
    rungs = {"form": True, "half": True, "whole": False}
    assert found == {"suite": "small", "task": "list_ops_3", "item": 2, "rungs": rungs}


def test_what_is_not_an_answer_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "answer").write_bytes(b"\xff\x00")
    done = lamarck("suite", "judge", SUITE.name, "some_task", "--answer", str(tmp_path / "answer"))
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"error: {tmp_path / 'answer'} is not UTF-8 text, and an answer is: ")
    with pytest.raises(LamarckError, match="nothing does not exist"):
        judge.show(SUITE.name, "some_task", tmp_path / "nothing", 0, as_json=False)


def test_overlap_says_what_would_be_refused_and_why(
    suite: Suite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held_out = suite.items["json_mode_2"][4].prompt
    copy = fields_shuffled(held_out, random.Random(0))
    assert copy != held_out
    rows = [("json_mode", held_out.upper()), ("json_mode", copy), ("json_mode", "<j1> code 3 ; =>")]
    lines = [json.dumps({"skill": skill, "prompt": prompt, "note": 1}) for skill, prompt in rows]
    (tmp_path / "file").write_text("\n".join(lines))
    done = lamarck("suite", "overlap", str(suite.path), str(tmp_path / "file"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"line 1: {held_out.upper()}: it has the very words of json_mode_2 4",
        f"line 2: {copy}: 100% of what varies in it stands in json_mode_2 4",
        "2 of 3 problems would be refused by small",
    ]
    overlap.show(str(suite.path), tmp_path / "file", as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["suite"], found["problems"]) == ("small", 3)
    assert found["refused"][1] == {
        "line": 2,
        "skill": "json_mode",
        "prompt": copy,
        "by": "varies",
        "share": 1.0,
        "task": "json_mode_2 4",
        "held_out": held_out,
    }


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"skill": "json", "prompt": "x"}', "line 1: there is no skill 'json'; the skills are"),
        (b'\n{"skill": "json_mode"}', "line 2: prompt: Field required"),
        (b"[]", "line 1: the file: Input should be"),
        (b'{"skill": "json_mode", "prompt": 3}', "line 1: prompt: Input should be a valid string"),
        (b"{", "line 1 is not valid JSON"),
        (b"[" * 100_000, "line 1 is not valid JSON"),
        (b"\xff", "is not UTF-8 text"),
        (None, "does not exist"),
    ],
    ids=range(8),
)
def test_a_file_that_cannot_be_read_is_one_sentence(
    content: bytes | None, sentence: str, suite: Suite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    with pytest.raises(SystemExit):
        exit_with_sentence(lambda: overlap.show(str(suite.path), tmp_path / "file", False))
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1
