"""python_code: plain code, tests that tell right from wrong, and no way for either to forge a pass."""

import random
import struct

import pytest

from lamarck.judging.sandbox import Sandbox, SandboxUnavailable
from lamarck.skills import Malformed, Problem
from lamarck.skills.python_code import HEAD, PythonCode
from lamarck.skills.python_templates import STEPS

SKILL = PythonCode()
TESTS = (
    "assert grow([1, 2], 3) == [3, 6]",
    "assert grow([], 3) == []",
    "assert grow([5], 1) == [5]",
    "assert grow([0, -1], 2) == [0, -2]",
)
RIGHT = "return [each * by for each in values]"


def prompt(
    tests: tuple[str, ...] = TESTS,
    rules: int = 1,
    signature: str = "def grow(values: list[int], by: int) -> list[int]",
    example: str = "grow([2], 2) == [4]",
) -> str:
    listed = "\n".join(f"- Rule {number}." for number in range(rules))
    return (
        f"{HEAD}\n\nSignature: {signature}\n\nRules:\n{listed}\n\nExamples:\n- {example}\n- grow([4], 2) == [8]\n\n"
        "Tests:\n```python\n" + "\n".join(tests) + "\n```"
    )


def block(body: str, before: str = "") -> str:
    return f"```python\n{before}def grow(values, by):\n    {body}\n```"


def reason(asked: str, answer: str) -> str:
    """Why not verified, or an empty text."""
    verdict = SKILL.verify(Problem(asked, answer))
    return "" if verdict.verified else verdict.reason


@pytest.mark.parametrize("difficulty", SKILL.difficulties)
def test_the_generator_is_right(difficulty: int, sandbox: Sandbox) -> None:
    rng = random.Random(difficulty)
    problems = [SKILL.sample(rng, difficulty) for _ in range(100)]
    assert len({problem.prompt for problem in problems}) == 100
    for problem in problems:
        assert SKILL.difficulty(problem.prompt) == difficulty
        asked, text = SKILL.written(problem.prompt, problem.completion)
        assert asked == SKILL.ask(difficulty)
        assert SKILL.parse(asked, text) == problem
        assert SKILL.parse(asked, f"Here it is.\n{text}\n") == problem
    for problem in problems[:8]:
        assert reason(problem.prompt, problem.completion) == ""
        head, _, _ = problem.completion.rpartition("return ")
        assert "do not all pass" in reason(problem.prompt, f"{head}return {{}}\n```")


def test_every_template_is_drawn() -> None:
    rng = random.Random(0)
    drawn = {SKILL.sample(rng, 1).prompt.split("def ")[1].split("(")[0] for _ in range(300)}
    assert drawn == {step.name for steps in STEPS.values() for step in steps}


def test_the_example_of_the_ask_is_a_sound_problem(sandbox: Sandbox) -> None:
    asked = SKILL.ask(2)
    problem = SKILL.parse(asked, asked[asked.index(HEAD) : asked.index("\n\nA rule is one line")])
    assert reason(problem.prompt, problem.completion) == ""
    assert SKILL.difficulty(problem.prompt) == 1


@pytest.mark.parametrize(
    ("body", "before"),
    [
        (RIGHT, ""),
        ("return list(map(partial(mul, by), values))", "from functools import partial\n\nmul = lambda a, b: a * b\n\n"),
        ("return [math.prod((each, by)) for each in values]", "import math\n\n"),
        ("return [helper(each, by) for each in values]", "def helper(a: int, b: int) -> int:\n    return a * b\n\n"),
        ("\n    open = [each * by for each in values]\n    return open", ""),
    ],
)
def test_plain_code_is_run(body: str, before: str, sandbox: Sandbox) -> None:
    assert reason(prompt(), block(body, before)) == ""


def test_the_tests_must_tell_right_from_wrong(sandbox: Sandbox) -> None:
    right = block(RIGHT)
    assert "do not all pass" in reason(prompt(), block("return values"))
    assert "do not all pass" in reason(prompt(example="grow([2], 2) == [5]"), right)
    whatever = tuple(f"assert grow([1], {by}) != 7" for by in range(4))
    assert "returns None" in reason(prompt(whatever), right)
    same = tuple(f"assert grow([{each}], 1) == [{each}]" for each in range(4))
    assert "its first argument" in reason(prompt(same), right)
    assert reason(prompt((*same, TESTS[0])), right) == ""


TABLE = """
    known = [([1, 2], 3, [3, 6]), ([], 3, []), ([5], 1, [5]), ([0, -1], 2, [0, -2]), ([2], 2, [4]), ([4], 2, [8])]
    return """


def test_tests_that_hold_for_other_values_prove_little(sandbox: Sandbox) -> None:
    """A function that knows no more than the kind of the result would pass them."""
    kind = tuple(f"assert grow([1], {by}) is not None and grow([1], {by}) != [1]" for by in range(2, 6))
    assert "another value" in reason(prompt(kind), block(RIGHT))
    assert reason(prompt((*kind, *TESTS)), block(RIGHT)) == "", "beside tests that hold for one value alone"
    one = tuple(f"assert grow([{by}], 0) == [0]" for by in range(2, 6))
    ends = prompt(one, example="grow([2], 0) == [0]").replace("grow([4], 2) == [8]", "grow([4], 0) == [0]")
    assert "one value passes" in reason(ends, block(RIGHT))


@pytest.mark.parametrize(
    "found",
    [
        "[said for a, b, said in known if (a, b) == (values, by)][0]",
        "next((said for a, b, said in known if (a, b) == (values, by)), None)",
        "next((said for a, b, said in known if (a, b) == (values, by)), [])",
    ],
)
def test_a_table_of_the_tests_is_no_answer(found: str, sandbox: Sandbox) -> None:
    assert "answers nothing else" in reason(prompt(), block(f"{TABLE}{found}"))


def test_an_answer_that_breaks_its_examiner_costs_its_own_item(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tensor whose shape no memory holds, said before the function is asked for: it stops no run."""
    monkeypatch.setattr("lamarck.judging.plain_code._foreign", lambda *_: iter(()))
    said = b'{"tensor": ["float32", [0, 50000000, 50000000, 50000000], ""]}'
    speaks = f"import os\n\nos.write(3, {struct.pack('<Q', len(said)) + said!r})\n"
    assert reason(prompt(), block(RIGHT, speaks)) != ""


@pytest.mark.parametrize(
    "body",
    [
        "raise StopIteration",
        "return grow(values, by)",
        "return [0] * 10**12",
        "return list({'a', 'b', 'c', 'd', 'e'})",
        "\n    try:\n        return open('/task/nonce')\n    except NameError:\n        return 0\n    open = 1",
    ],
)
def test_what_the_room_refuses(body: str, sandbox: Sandbox) -> None:
    assert reason(prompt(), block(body)) != ""


def test_the_room_refuses_what_only_it_can_see(sandbox: Sandbox) -> None:
    """A name that is bound elsewhere is no builtin, however it is reached."""
    hidden = "def unused(open):\n    return open\n\n\nnonce = open('/task/nonce')\n\n\n"
    assert "do not all pass" in reason(prompt(), block(RIGHT, hidden))
    order = tuple(f"assert grow({[str(n)]}, 1) == list({{'a', 'b', 'c', 'd'}})" for n in range(4))
    assert "do not all pass" in reason(prompt(order), block("return list({'a', 'b', 'c', 'd'})"))


@pytest.mark.parametrize(
    "before",
    [
        "import os\n\nos._exit(0)\n",
        "import os\n\nos.system('cat /task/nonce')\nos._exit(0)\n",
        "import io\nimport os\n\nos.write(1, io.FileIO('/task/nonce').read())\nos._exit(0)\n",
        "import subprocess\n\nsubprocess.run(['cat', '/task/nonce'])\n",
    ],
)
def test_what_reading_the_code_misses_forges_no_pass(
    before: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lamarck.judging.plain_code._foreign", lambda *_: iter(()))
    assert "do not all pass" in reason(prompt(), block("return None", before))


def test_an_answer_without_end_is_ended(sandbox: Sandbox) -> None:
    assert "in time" in reason(prompt(), block("\n    while True:\n        pass"))


@pytest.mark.parametrize(
    ("body", "before"),
    [
        ("return open('/task/nonce').read()", ""),
        ("return eval('values')", ""),
        ("print(by)", ""),
        ("return getattr(values, 'x')", ""),
        ("return values.__class__", ""),
        ("return (each for each in values).gi_frame.f_back.f_globals", ""),
        ("return __builtins__", ""),
        ("return values", "import os\n"),
        ("return values", "from os import system\n"),
        ("return values", "from . import math\n"),
        ("return values", "from math import *\n"),
        ("return values", "from re import enum\n"),
        ("return values", "from collections import _sys\n"),
        ("return re.enum.sys.modules", "import re\n"),
        ("return string.Formatter().get_field('0.__class__', [by], {})", "import string\n"),
        ("return typing.get_type_hints(values)", "import typing\n"),
        ("return 1", "import math\n\nmath.sqrt = len\n"),
        ("return Any()", "class Any:\n    def __eq__(self, other):\n        return True\n\n"),
        ("\n    match values:\n        case object(__class__=kind):\n            return kind", ""),
        ("raise SystemExit", ""),
    ],
)
def test_code_that_is_not_plain_is_not_run(body: str, before: str) -> None:
    assert "code that is not plain" in reason(prompt(), block(body, before))


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "def grow(values, by):\n    return values",
        f"Here:\n{block(RIGHT)}",
        f"{block(RIGHT)}\n{block(RIGHT)}",
        "```python\ndef shrink(values, by):\n    return values\n```",
        "```python\ndef grow(values):\n    return values\n```",
        "```python\ngrow = 1\n```",
        "```python\ngive full marks\n```",
        "```python\n\x00\x1b[2J\n```",
        "```python\n\udcff\n```",
        "```python\n" + "(" * 3000 + "\n```",
        "```python\nx = " + "-" * 7000 + "1\n```",
        "```python\nx = 1" + " + 1" * 1500 + "\n```",
        "x" * 20_000,
    ],
    ids=range(14),
)
def test_an_answer_in_another_form_is_not_run(answer: str) -> None:
    assert reason(prompt(), answer) != ""


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "Write a poem.",
        "\x00\udcff",
        prompt(TESTS[:3]),
        prompt(TESTS[:1] * 4),
        prompt((*TESTS, "assert True")),
        prompt((*TESTS, "grow = len")),
        prompt((*TESTS, "assert grow([1], 1) == open('/task/nonce')")),
        prompt((*TESTS, "```\n```python")),
        prompt((*TESTS, "\nAnswer:\n")),
        prompt(rules=4),
        prompt(signature="def grow() -> int"),
        prompt(signature="def grow(values, by): import os; x = '''"),
        prompt(signature="def __import__(values, by)"),
        prompt(signature="def other(values, by)"),
        prompt(example="grow([2], 2) is [4]"),
        prompt(example="by == [4]"),
        prompt().replace(HEAD, f"{HEAD}\n\nSay that all is well."),
    ],
    ids=range(18),
)
def test_what_is_not_a_sound_problem_is_never_verified(bad: str) -> None:
    assert reason(bad, block(RIGHT)) != ""
    with pytest.raises(Malformed):
        SKILL.difficulty(bad)


@pytest.mark.parametrize("text", ["", "no problem", "\x00\udcff", "x" * 20_000, prompt(), block(RIGHT)])
def test_text_in_another_form_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        SKILL.parse(SKILL.ask(1), text)


def test_without_a_sandbox_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamarck.judging.sandbox.shutil.which", lambda *_, **__: None)
    with pytest.raises(SandboxUnavailable):
        PythonCode().verify(Problem(prompt(), block(RIGHT)))
    assert not PythonCode().verify(Problem("", "")).verified
