"""python_code: write one pure Python function, given its signature, rules, examples and tests. For models that read
English.

Judged in three steps. The prompt has the form that `ask` states. The code is plain: it imports little and names nothing
that leads out of computing. Then, in two rooms of the sandbox, the examples and tests pass with the answer, and the
tests fail with stubs: one returns None, one its first argument, one another value of the right kind. Tests that a stub
passes prove nothing. Last, the answer is called with what is in no test, where a table of the tests has nothing to say.
The tests are a model's too, so they do not run: an examiner carries them out itself (plain_expression.py), over the
plain data that the answer's function returns. Difficulty 1 to 3 is the number of rules.
"""

import ast
import random
import re
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lamarck.judging.examination import ExaminationBroken, examine, source
from lamarck.judging.outer_room import PLAIN
from lamarck.judging.plain_code import PURE, plain_statements
from lamarck.judging.sandbox import MIB, Limits
from lamarck.skills.base import ANSWER, Malformed, Problem, SkillInEnglish, Verdict
from lamarck.skills.forms import CODE, literal, pattern, repeated, span
from lamarck.skills.python_templates import sample
from lamarck.skills.renamed import in_order, renamed

HEAD = "Write this pure Python function. Answer with one fenced Python block alone."
LONGEST = 8192  # characters of a problem with its answer
FEWEST_TESTS = 4
LIMITS = Limits(seconds=8, memory_bytes=1024 * MIB, disk_bytes=MIB, output_bytes=16 * 2**10)
FORM = re.compile(
    re.escape(HEAD) + r"\n\nSignature: (def [^\n]+)\n\nRules:\n((?:- [^\n]+\n)+)\nExamples:\n- ([^\n]+)\n- ([^\n]+)\n\n"
    r"Tests:\n```python\n(.+)\n```",
    re.DOTALL,
)
BLOCK = re.compile(r"```python\n(.+)\n```", re.DOTALL)

# What a teacher is asked, by difficulty. The example is no template's.
ASK = """\
Write one training problem for a model that learns to program in Python, with tests and the right answer. The problem \
has exactly {rules} under `Rules:` (the example below: 1). Use this form exactly, with a function, rules and values of \
your own:

{head}

Signature: def clamp(value: int, low: int, high: int) -> int

Rules:
- Return value, but never less than low and never more than high.

Examples:
- clamp(12, 0, 10) == 10
- clamp(4, 0, 10) == 4

Tests:
```python
assert clamp(-3, 0, 10) == 0
assert clamp(7, 0, 10) == 7
assert clamp(25, 1, 20) == 20
assert clamp(5, 5, 5) == 5
```

Answer:
```python
def clamp(value: int, low: int, high: int) -> int:
    return max(low, min(value, high))
```

A rule is one line and one demand; together the rules decide every result. There are two examples, each a call, `==` \
and its value. The tests are at least {tests} different `assert` lines, each calls the function and holds for the \
right value alone, and a function that returns None or its first argument must fail them. The answer has the \
signature's name and arguments and may import from {imports} alone; no classes, no `match`, no printing, no files, no \
names that begin with two underscores. Write nothing else."""

TRIAL = Path(__file__).with_name("function_trial.py")
GROUPS = (
    ("answer", "test_answer"),
    ("none", "none_fails"),
    ("first", "first_fails"),
    ("others", "others_fail"),
    ("differ", "values_differ"),
    ("more", "more_than_a_table"),
)
# Why not verified, by how many of the groups held.
REASONS = (
    "the examples and tests do not all pass with the answer in time",
    "the tests pass with a function that returns None, so they prove nothing",
    "the tests pass with a function that returns its first argument",
    f"fewer than {FEWEST_TESTS} tests fail with another value than the answer's, so they prove little",
    "one value passes every example and test, so they prove nothing",
    "the answer knows the values of the tests, and answers nothing else",
)
HASH_SEEDS = (1, 2)


@dataclass(frozen=True)
class _CodeTask:
    """What a prompt holds: of the examples and tests the code."""

    name: str
    arguments: list[str]
    rules: int
    examples: str
    tests: str


WRITTEN = """\
{head}

Signature: def {signature}

Rules:
{rules}
Examples:
{examples}
Tests:
```python
{tests}```

Answer:
```python
{code}```"""


class PythonCode(SkillInEnglish):
    name = "python_code"
    description = "a function by its rules and tests; run in the sandbox, where stubs must fail the tests"
    head, longest = HEAD, LONGEST
    difficulties = range(1, 4)

    def sample(self, rng: random.Random, difficulty: int) -> Problem:
        drawn = sample(rng, difficulty)
        tests = "\n".join(f"assert {fact}" for fact in drawn.facts[2:])
        return Problem(
            f"{HEAD}\n\nSignature: {drawn.signature}\n\nRules:\n{_listed(drawn.rules)}\n\n"
            f"Examples:\n{_listed(drawn.facts[:2])}\n\nTests:\n```python\n{tests}\n```",
            f"```python\n{drawn.code}\n```",
        )

    def space(self, difficulty: int) -> int:
        return 10**12  # examples and tests have free values: never a small one

    def ask(self, difficulty: int) -> str:
        rules = f"{difficulty} rule{'s' * (difficulty > 1)}"
        return ASK.format(rules=rules, head=HEAD, tests=FEWEST_TESTS, imports=", ".join(sorted(PURE.imports)))

    def form(self, difficulty: int) -> str:
        return pattern(
            WRITTEN,
            head=literal(HEAD),
            signature=span(200),
            rules=repeated(rf"- {span(300)}\n", difficulty, difficulty),
            examples=repeated(rf"- {span(200)} == {span(200)}\n", 2, 2),
            tests=repeated(rf"assert {span(200)}\n", FEWEST_TESTS, 20),
            code=CODE,
        )

    def difficulty(self, prompt: str) -> int:
        return _read(prompt).rules

    def what_varies(self, prompt: str) -> frozenset[str]:
        """Examples and tests, whatever function and arguments are called. Many problems share their rules."""
        task = _read(prompt)
        facts = ast.parse(f"{task.examples}\n{task.tests}").body
        names, arguments = {task.name: "f"}, in_order(task.arguments)
        return frozenset(renamed(fact, names, arguments) for fact in facts if isinstance(fact, ast.Assert))

    def judge(self, problem: Problem) -> Verdict:
        task = _read(problem.prompt)
        code = _answer(task, problem.completion)
        text = f"NAME, EXAMPLES, TESTS, FEWEST_TESTS = {(task.name, task.examples, task.tests, FEWEST_TESTS)!r}\n"
        examination = text + TRIAL.read_text(encoding="utf-8")
        tools = {"plain_expression.py": source("plain_expression.py")}
        # Two orders of the members of sets, so that an answer whose result hangs on their order is found out.
        for seed in HASH_SEEDS:
            try:
                found = examine(
                    self._sandbox, code, examination, GROUPS, LIMITS, imports=PLAIN, tools=tools, hash_seed=seed
                )
            except ExaminationBroken as error:  # tests and answer are a model's: what they break is their own item
                return Verdict(False, f"no examiner can decide it: {error}")
            if len(found.held) < len(GROUPS):
                return Verdict(False, REASONS[len(found.held)])
        return Verdict(True, "examples and tests pass with the answer, and the tests fail with every stub")


def _listed(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _arguments(function: ast.FunctionDef) -> list[str]:
    return [node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)]


def _read(prompt: str) -> _CodeTask:
    """A prompt's parts. Errors: Malformed where it has not the form, or asks for no function that tests can judge."""
    form = FORM.fullmatch(prompt)
    if not form or ANSWER in prompt or prompt.count("```") != 2:
        raise Malformed("not the form of a problem: head, signature, rules, two examples, tests")
    signature, rules, *examples, tests = form.groups()
    match plain_statements(f"{signature.removesuffix(':')}:\n    pass", PURE, known={*typing.__all__}):
        case [ast.FunctionDef(name=name) as function] if _arguments(function):
            pass
        case _:
            raise Malformed("a signature that is not of one function with arguments")
    if rules.count("\n") not in PythonCode.difficulties:
        raise Malformed("a number of rules that is of no difficulty")
    facts = "\n".join(f"assert {example}" for example in examples)
    if not all(_is_example(node, name) for node in plain_statements(facts, PURE, known={name})):
        raise Malformed("an example that is not a call, `==` and its value")
    asserts = [
        node
        for node in plain_statements(tests, PURE, known={name})
        if not isinstance(node, ast.Import | ast.ImportFrom)
    ]
    if not all(isinstance(node, ast.Assert) and _calls(node, name) for node in asserts):
        raise Malformed("tests that are not asserts which call the function")
    if len({ast.get_source_segment(tests, node) for node in asserts}) < FEWEST_TESTS:
        raise Malformed(f"fewer than {FEWEST_TESTS} different tests")
    return _CodeTask(name, _arguments(function), rules.count("\n"), facts, tests)


def _is_example(node: ast.stmt, name: str) -> bool:
    match node:
        case ast.Assert(test=ast.Compare(left=ast.Call(func=ast.Name(id=called)), ops=[ast.Eq()])):
            return called == name
    return False


def _calls(node: ast.AST, name: str) -> bool:
    calls = (each.func for each in ast.walk(node) if isinstance(each, ast.Call))
    return any(isinstance(called, ast.Name) and called.id == name for called in calls)


def _answer(task: _CodeTask, completion: str) -> str:
    """The code of an answer. Errors: Malformed where it is not one plain block with the function."""
    block = BLOCK.fullmatch(completion)
    if not block or completion.count("```") != 2:
        raise Malformed("the answer is not one fenced Python block alone")
    code = block[1]
    functions = [
        node for node in plain_statements(code, PURE) if isinstance(node, ast.FunctionDef) and node.name == task.name
    ]
    if len(functions) != 1 or _arguments(functions[0]) != task.arguments:
        raise Malformed("the answer does not define the function with the signature's arguments")
    return code
