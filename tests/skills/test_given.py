"""Problems from a user's file: how it is read, how answers are judged, and what a teacher makes of them."""

import json
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lamarck.config.own import Problems
from lamarck.config.strategy import Strategy
from lamarck.curriculum.cell import checked_strategy
from lamarck.curriculum.control_arm import ControlCurriculum
from lamarck.curriculum.item import Teacher
from lamarck.curriculum.mix import as_written
from lamarck.curriculum.propose import Author, CurriculumInMaking
from lamarck.curriculum.suite_overlap import Contamination
from lamarck.engine.rule import RuleEngine
from lamarck.errors import LamarckError
from lamarck.files import write_json
from lamarck.judging.sandbox import Sandbox
from lamarck.skills import Problem, own
from lamarck.skills.given import LONGEST_ROW, GivenProblems, read_problems

STRATEGY = {
    "description": "for tests",
    "skills": {"sums": {"share": 1, "difficulties": [1], "problems": {"file": "", "judge": "numeric"}}},
    "size": 4,
    "sampling": {"max_new_tokens": 64},
    "answers": {"temperatures": [0.0, 1.0]},
    "minimum_items": 1,
}
SUMS = [{"prompt": f"What is {n} + {n}?", "answer": 2 * n} for n in range(1, 7)]


def lines(*rows: dict[str, Any]) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def given(tmp_path: Path, judge: str, answer: object = None, function: str | None = None) -> GivenProblems:
    path = tmp_path / "problems.jsonl"
    path.write_text(lines({"prompt": "p"} | ({} if answer is None else {"answer": answer})))
    return GivenProblems("mine", Problems.model_validate({"file": str(path), "judge": judge, "function": function}))


@pytest.mark.parametrize(
    ("judge", "answer", "said", "held"),
    [
        ("exact", "a b", " a  b\n", True),
        ("exact", "a b", "a b c", False),
        ("numeric", 42, "6 * 7 = 42", True),
        ("numeric", "1,250.5", "It is 1250.50.", True),
        ("numeric", 42, "42, or 43", False),
        ("numeric", 42, "none", False),
        ("pattern", "(red|blue) cats?", "red cat", True),
        ("pattern", "(red|blue) cats?", "a red cat", False),
        ("pattern", "(a+)+b", "a" * 60_000, False),
        ("exact", "a", "", False),
        ("exact", "a", "a\u202e", False),
        ("exact", "a", "a" * 100_000, False),
    ],
)
def test_an_answer_is_judged(tmp_path: Path, judge: str, answer: object, said: str, held: bool) -> None:
    assert given(tmp_path, judge, answer).verify(Problem("p", said)).verified is held


def test_a_program_judges_in_the_sandbox(tmp_path: Path, sandbox: Sandbox) -> None:
    skill = given(tmp_path, "program", "assert double(2) == 4\nassert double('a') == 'aa'")
    right = "```python\ndef double(x):\n    return 2 * x\n```"
    assert skill.verify(Problem("p", right)).verified
    assert not skill.verify(Problem("p", right.replace("2 * x", "4"))).verified
    assert not skill.verify(Problem("p", "```python\nimport os\nos._exit(0)\n```")).verified


def test_an_answer_that_breaks_its_examiner_costs_its_own_item(tmp_path: Path, sandbox: Sandbox) -> None:
    skill = given(tmp_path, "program", "assert double(2) == 4")
    said = b'{"tensor": ["float32", [0, 50000000, 50000000, 50000000], ""]}'
    speaks = f"import os\n\nos.write(3, {struct.pack('<Q', len(said)) + said!r})\n"
    assert not skill.verify(Problem("p", f"```python\n{speaks}```")).verified


def test_an_own_function_judges_and_may_raise(tmp_path: Path) -> None:
    path = tmp_path / "judges.py"
    path.write_text("def short(prompt, answer, said):\n    return 1 / (len(said) - 3) < 0\n")
    skill = given(tmp_path, "function", function=f"{path}:short")
    assert skill.verify(Problem("p", "ab")).verified
    assert not skill.verify(Problem("p", "abcd")).verified
    assert "raised ZeroDivisionError" in skill.verify(Problem("p", "abc")).reason


def test_marks_of_windows_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + lines(*SUMS).replace("\n", "\r\n").encode() + b"\r\n")
    assert read_problems(path, "numeric") == {row["prompt"]: str(row["answer"]) for row in SUMS}


@pytest.mark.parametrize(
    ("text", "judge", "why"),
    [
        (lines(*SUMS, {"prompt": "what  IS 1 + 1?", "answer": 2}), "numeric", "line 7 repeats the problem of line 1"),
        (lines({"prompt": "x" * 10_000_000, "answer": "y"}), "exact", f"line 1 has 10,.* more than {LONGEST_ROW:,}"),
        (lines({"prompt": "p"}), "exact", "line 1 has no `answer`, which the judge exact needs"),
        (lines({"prompt": "p", "answer": "1"}), "vote", "line 1 has an answer, which a vote does not look at"),
        (lines({"prompt": "p", "answer": "five"}), "numeric", "nothing that the judge numeric can use"),
        (lines({"prompt": "p", "answer": "("}), "pattern", "nothing that the judge pattern can use"),
        (lines({"prompt": "p", "answer": "assert"}), "program", "nothing that the judge program can use"),
        (lines({"prompt": "p", "answer": "assert len('a')"}), "program", "no function is called"),
        (lines({"prompt": " ", "answer": "1"}), "exact", "`prompt` must be a text"),
        (lines({"prompt": "a\u200bb", "answer": "1"}), "exact", "characters that nobody can see"),
        (lines({"prompt": "p", "solution": "1"}), "exact", "must be an object with `prompt`"),
        ("{", "exact", "line 1 is not valid JSON"),
        ('{"prompt": "a", "prompt": "b"}', "vote", "a key stands twice"),
        ("\n\n", "exact", "holds no problem"),
    ],
    ids=range(14),
)
def test_a_bad_line_is_named(tmp_path: Path, text: str, judge: str, why: str) -> None:
    path = tmp_path / "problems.jsonl"
    path.write_text(text)
    with pytest.raises(LamarckError, match=why):
        read_problems(path, judge)


def test_other_bytes_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "problems.jsonl").write_bytes('{"prompt": "é"}'.encode("latin-1"))
    with pytest.raises(LamarckError, match="is not UTF-8 text"):
        read_problems(tmp_path / "problems.jsonl", "vote")


@pytest.fixture
def strategy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A strategy's file with six sums, forgotten at the end."""
    monkeypatch.setattr(own, "_DECLARED", {})
    monkeypatch.setattr(own, "_OPEN", {})
    (tmp_path / "sums.jsonl").write_text(lines(*SUMS))
    return changed(tmp_path, {})


def changed(tmp_path: Path, values: dict[str, Any], **problems: str) -> Path:
    content = json.loads(json.dumps(STRATEGY)) | values
    content["skills"]["sums"]["problems"] |= {"file": str(tmp_path / "sums.jsonl")} | problems
    write_json(tmp_path / "strategy.yaml", content)
    return tmp_path / "strategy.yaml"


def proposal(strategy: Strategy, engine: RuleEngine, *held_out: str) -> CurriculumInMaking:
    author = Author(Teacher(generation="g0", digest="d"), "s")
    return CurriculumInMaking(engine, strategy, author, Contamination(held_out), 0, lambda samples: None)


def says(prompt: str) -> str:
    """Right where the numbers are even, and wrong elsewhere."""
    n = int(prompt.split()[2])
    return f"That is {2 * n + n % 2}."


def test_a_teacher_only_answers(strategy: Path) -> None:
    engine = RuleEngine(lambda prompt, rng: says(prompt))
    found = proposal(checked_strategy(strategy), engine, "what is 2 + 2?")
    (cell,) = found.verified()
    assert [item.prompt for item in cell.kept] == [SUMS[3]["prompt"], SUMS[5]["prompt"]]
    assert (cell.sampled, cell.verified) == (6, 3)
    assert cell.dropped == {"wrong": 3, "in the suite": 1}
    assert set(engine.asked) == {row["prompt"] for row in SUMS}, "nothing is asked but the problems"
    assert as_written(cell.kept, 1.0, 0) == [], "no child is taught to write what no teacher wrote"


def test_the_control_arm_takes_answers_as_they_come(strategy: Path) -> None:
    engine = RuleEngine(lambda prompt, rng: says(prompt))
    author = Author(Teacher(generation="g0", digest="d"), "s")
    control = ControlCurriculum(engine, checked_strategy(strategy), author, Contamination(()), 0, lambda samples: None)
    (cell,) = control.unverified(Counter({("sums", 1): 4}))
    assert [item.completion for item in cell.kept] == [says(str(row["prompt"])) for row in SUMS[:4]]
    assert not any(item.verdict.verified for item in cell.kept)


def test_a_vote_decides_where_no_answer_is_known(strategy: Path, tmp_path: Path) -> None:
    (tmp_path / "sums.jsonl").write_text(lines(*({"prompt": row["prompt"]} for row in SUMS)))
    with pytest.raises(LamarckError, match=r"judge: vote needs answers\.choose: vote"):
        checked_strategy(changed(tmp_path, {}, judge="vote"))
    voting = {"answers": {"temperatures": [1.0, 1.0, 1.0], "choose": "vote"}}
    engine = RuleEngine(lambda prompt, rng: says(prompt) if "6" in prompt else str(rng.random()))
    (cell,) = proposal(checked_strategy(changed(tmp_path, voting, judge="vote")), engine).verified()
    assert [(item.completion, item.verdict.by) for item in cell.kept] == [("That is 12.", "vote")]


def test_a_problem_that_holds_a_held_out_one_is_a_copy() -> None:
    held = "Count: Mia has 8 apples, gets 3, loses 4. Write the number after each change."
    screen = Contamination([held])
    for copy in (held, f"Please: {held.upper()} Thanks!", held.replace("Mia", "Bo").replace("apples", "pens")):
        assert screen.copied_anywhere(copy)
    assert not screen.copied_anywhere(held.replace("8", "9"))


def test_what_decides_is_in_the_strategys_digest(strategy: Path, tmp_path: Path) -> None:
    before = checked_strategy(strategy).digest()
    (tmp_path / "sums.jsonl").write_text(lines(*SUMS[:5]))
    assert checked_strategy(strategy).digest() != before
    assert checked_strategy(strategy).own_files == (tmp_path / "sums.jsonl",)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"answers": {}}, "need answers.temperatures"),
        ({"skills": {"arithmetic": STRATEGY["skills"]["sums"]}}, "that is a skill of Lamarck's"),  # type: ignore[index]
    ],
)
def test_a_strategy_that_cannot_work_is_refused(strategy: Path, tmp_path: Path, values: Any, why: str) -> None:
    content = STRATEGY | values
    for part in content["skills"].values():
        part["problems"]["file"] = str(tmp_path / "sums.jsonl")
    write_json(strategy, content)
    with pytest.raises(LamarckError, match=why):
        checked_strategy(strategy)
