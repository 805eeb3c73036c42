"""Problems that a user gives in a file: a teacher only answers them, and each answer is judged as the user says.

A line is `{"prompt": "...", "answer": "..."}` in UTF-8; Windows' line ends and byte-order mark do no harm.
"""

import ast
import builtins
import math
import random
import re
import unicodedata
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from lamarck import strict_json
from lamarck.config.own import Problems
from lamarck.engine.answer import code_of
from lamarck.errors import LamarckError, Malformed
from lamarck.files import read_regular
from lamarck.judging.examination import ExaminationBroken, examine
from lamarck.judging.outer_room import PLAIN
from lamarck.judging.sandbox import Limits, Sandbox
from lamarck.skills.base import UNSEEN, Problem, Skill, Verdict

LONGEST_ROW = 65_536  # characters of a line of the file: what is longer is no problem that a model could read
LONGEST_ANSWER = 65_536  # characters
NUMBER = re.compile(r"-?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,15})(?:\.[0-9]{1,9})?(?![0-9])")
TOLERANCE = 1e-6  # relative
PATTERN_SECONDS = 1.0  # for one answer: an expression can take for ever
LIMITS = Limits(seconds=10)
GROUPS = (("passes", "test_program"),)
STUB = 'def {name}(*given, **named):\n    return ask("{name}(*given, **named)", given=given, named=named)\n\n\n'


class GivenProblems(Skill):
    """A skill that nobody can write problems of: those of the file, each of which is of difficulty 1."""

    difficulties = range(1, 2)

    def __init__(self, name: str, problems: Problems) -> None:
        """Errors: LamarckError that names the file's first bad line."""
        self.name = name
        self.description = f"the problems of {problems.file}; judged by {problems.judge}"
        self.judge = problems.judge
        self._file = problems.file
        self._function = problems.function
        self.answers = read_problems(Path(problems.file), problems.judge)
        self.prompts = list(self.answers)
        self._known = {_folded(prompt) for prompt in self.prompts}

    def sample(self, rng: random.Random, difficulty: int) -> Problem:
        raise LamarckError(f"{self._file} has problems without right answers to show: set examples to 0")

    def space(self, difficulty: int) -> int:
        return len(self.prompts)

    def ask(self, difficulty: int) -> str:
        raise LamarckError(f"the problems of {self.name} stand in {self._file}: no teacher is asked to write one")

    def parse(self, asked: str, text: str) -> Problem:
        raise Malformed(f"the problems stand in {self._file}")

    def written(self, prompt: str, completion: str) -> tuple[str, str]:
        return prompt, completion

    def difficulty(self, prompt: str) -> int:
        self.what_varies(prompt)
        return 1

    def what_varies(self, prompt: str) -> frozenset[str]:
        folded = _folded(prompt)
        if folded not in self._known:
            raise Malformed(f"no problem of {self._file}")
        return frozenset({folded})

    def said(self, completion: str) -> str | None:
        """The number where numbers are compared; else the last line, for that is where an answer ends up."""
        if self.judge == "numeric":
            number = _number(completion)
            return None if number is None else repr(number)
        return " ".join(completion.strip().rpartition("\n")[2].split()).casefold() or None

    def verify(self, problem: Problem) -> Verdict:
        if problem.prompt not in self.answers:
            return Verdict(False, f"no problem of {self._file}")
        said, answer = problem.completion, self.answers[problem.prompt]
        if len(said) > LONGEST_ANSWER:
            return Verdict(False, "longer than any answer")
        if any(unicodedata.category(letter) in UNSEEN for letter in set(said) - {"\n", "\t"}):
            return Verdict(False, "characters that nobody can see")
        if not said.strip():
            return Verdict(False, "no answer")
        match self.judge:
            case "vote":
                return Verdict(False, "no answer is known; a vote is needed", undecided=True)
            case "function":
                return self._own(problem.prompt, answer, said)
            case "program":
                return self._run(answer or "", said)
        return _compared(self.judge, answer or "", said)

    def _own(self, prompt: str, answer: str | None, said: str) -> Verdict:
        from lamarck.skills.own import Raised

        try:
            held = self._worker.call("judge", prompt, answer, said)
        except (Raised, Malformed) as error:
            return Verdict(False, f"{self._function} raised {error}")
        return Verdict(True, "your function") if held else Verdict(False, "not for your function")

    @cached_property
    def _worker(self):  # type: ignore[no-untyped-def]
        from lamarck.skills.own import CodeWorker

        file, _, name = str(self._function).rpartition(":")
        return CodeWorker(f"the function {self._function}", "function", name, file)

    def _run(self, tests: str, said: str) -> Verdict:
        """The tests, in the examiner's room; what they call is the answer's, in another. Errors: SandboxUnavailable."""
        stubs = "".join(STUB.format(name=name) for name in _called(tests))
        body = "\n".join(f"    {line}" for line in tests.splitlines())
        examination = f"from examiner import ask\n\n\n{stubs}def test_program():\n{body}\n"
        try:
            found = examine(self._sandbox, code_of(said), examination, GROUPS, LIMITS, imports=PLAIN)
        except ExaminationBroken as error:  # by what the answer says, or by the time that its tests take
            return Verdict(False, f"no examiner can decide it: {error}")
        return Verdict(True, "its tests hold") if found.held else Verdict(False, "its tests do not hold")

    @cached_property
    def _sandbox(self) -> Sandbox:
        return Sandbox()


def read_problems(path: Path, judge: str) -> dict[str, str | None]:
    """Prompt -> known answer, None where there is none. Errors: LamarckError that names the line and what to do."""
    try:
        text = read_regular(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LamarckError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}): save it as UTF-8"
        ) from error
    found: dict[str, str | None] = {}
    lines: dict[str, int] = {}
    for number, row in enumerate(text.split("\n"), start=1):
        place = f"{path} line {number}"
        if len(row) > LONGEST_ROW:
            raise LamarckError(f"{place} has {len(row):,} characters, more than {LONGEST_ROW:,}: shorten it")
        if not row.strip():
            continue
        prompt, answer = _row(row, place)
        _check_answer(answer, judge, place)
        earlier = lines.setdefault(_folded(prompt), number)
        if earlier != number:
            raise LamarckError(f"{place} repeats the problem of line {earlier}: remove one of them")
        found[prompt] = answer
    if not found:
        raise LamarckError(f'{path} holds no problem: give it lines such as {{"prompt": "6 * 7?", "answer": "42"}}')
    return found


def _row(row: str, place: str) -> tuple[str, str | None]:
    try:
        values = strict_json.loads(row)
    except (ValueError, RecursionError) as error:
        raise LamarckError(f"{place} is not valid JSON: {error}") from error
    if not isinstance(values, dict) or not values.keys() <= {"prompt", "answer"}:
        raise LamarckError(f"{place} must be an object with `prompt` and, where it is known, `answer`")
    prompt, answer = values.get("prompt"), values.get("answer")
    if not isinstance(prompt, str) or not prompt.strip():
        raise LamarckError(f"{place}: `prompt` must be a text that is not empty")
    if isinstance(answer, int | float) and not isinstance(answer, bool):
        answer = str(answer)
    if answer is not None and (not isinstance(answer, str) or not answer.strip()):
        raise LamarckError(f"{place}: `answer` must be a text or a number")
    # A person approves what a child learns: nothing may stand there that cannot be seen.
    if any(unicodedata.category(letter) in UNSEEN for letter in set(prompt) - {"\n", "\t"}):
        raise LamarckError(f"{place}: `prompt` has characters that nobody can see: remove them")
    return prompt, answer


def _check_answer(answer: str | None, judge: str, place: str) -> None:
    """Errors: LamarckError for an answer that the judge cannot use."""
    if judge == "vote" and answer is not None:
        raise LamarckError(f"{place} has an answer, which a vote does not look at: choose another judge, or remove it")
    if judge in ("vote", "function"):
        return
    if answer is None:
        raise LamarckError(f"{place} has no `answer`, which the judge {judge} needs: add it, or let a vote judge")
    try:
        if judge == "numeric" and not NUMBER.fullmatch(answer.strip()):
            raise ValueError("no number")
        if judge == "pattern":
            _pattern(answer)
        if judge == "program" and not _called(answer):
            raise ValueError("no function is called that the answer could define")
    except (ValueError, SyntaxError, RecursionError) as error:
        raise LamarckError(f"{place}: `answer` is nothing that the judge {judge} can use: {error}") from error


def _compared(judge: str, answer: str, said: str) -> Verdict:
    match judge:
        case "exact":
            held = " ".join(said.split()) == " ".join(answer.split())
        case "numeric":
            right, given = _number(answer), _number(said)
            held = right is not None and given is not None and math.isclose(right, given, rel_tol=TOLERANCE)
        case _:
            try:
                held = _pattern(answer).fullmatch(said.strip(), timeout=PATTERN_SECONDS) is not None
            except TimeoutError:
                return Verdict(False, f"the pattern took more than {PATTERN_SECONDS:g} s")
    return Verdict(True, judge) if held else Verdict(False, "not the known answer")


@cache
def _pattern(text: str) -> Any:
    """Errors: ValueError for what is not a regular expression."""
    import regex  # the standard library's knows no time limit

    try:
        return regex.compile(text)
    except regex.error as error:
        raise ValueError(str(error)) from error


def _number(text: str) -> float | None:
    """The last number of a text."""
    found = NUMBER.findall(text)
    return float(found[-1].replace(",", "")) if found else None


def _called(tests: str) -> list[str]:
    """The functions that tests call and do not define, in the order of their names. Errors: SyntaxError, ValueError."""
    tree = ast.parse(tests)
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    bound = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    bound |= {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    return sorted(called - bound - vars(builtins).keys())


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())
