"""python_code: write one pure Python function, given its signature, rules, examples and tests. For models that read
English.

Judged in three steps. The prompt has the form that `ask` states. The code is plain: it imports little, names nothing
that leads out of computing, and defines no classes, whose values could claim to equal any other. Then, in the sandbox,
the examples and tests pass with the answer, and the tests fail with two stubs, of which one returns None and one its
first argument: tests that a stub passes prove nothing. Difficulty 1 to 3 is the number of rules.
"""

import ast
import random
import re
import secrets
import typing
from collections.abc import Iterable
from dataclasses import dataclass

from lamarck.judging.plain_code import PURE, plain_statements
from lamarck.judging.sandbox import MIB, Limits
from lamarck.skills.base import ANSWER, Malformed, Problem, SkillInEnglish, Verdict
from lamarck.skills.forms import CODE, literal, pattern, repeated, span
from lamarck.skills.python_templates import sample

HEAD = "Write this pure Python function. Answer with one fenced Python block alone."
LONGEST = 8192  # characters of a problem with its answer
FEWEST_TESTS = 4
LIMITS = Limits(seconds=20, memory_bytes=1024 * MIB, disk_bytes=MIB, output_bytes=16 * 2**10)
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
and its value. The tests are at least {tests} different `assert` lines, each calls the function, and a function that \
returns None or its first argument must fail them. The answer has the signature's name and arguments and may import \
from {imports} alone; no classes, no `match`, no printing, no files, no names that begin with two underscores. Write \
nothing else."""

# Tries one module with one file of tests, in a process of its own. What reading the code misses is refused here: there
# are no other builtins, and the nonce, which says that the tests passed, cannot be read before they did.
CASE = """
import builtins
import sys

name, module, tests = sys.argv[1:]
locked = [True]


def watch(event, arguments):
    leaves = event.startswith(("ctypes.", "os.", "subprocess.")) and event != "os.listdir"
    if locked and (leaves or event == "open" and "nonce" in str(arguments[0])):
        raise PermissionError(event)


def text(file):
    with open(f"/task/{file}", encoding="utf-8") as lines:
        return lines.read()


plain = {each: getattr(builtins, each) for each in [*text("builtins").split(), "__import__"]}
codes = [compile(text(file), file, "exec") for file in (module, tests)]
sys.addaudithook(watch)
defined = {"__builtins__": dict(plain)}
exec(codes[0], defined)
exec(codes[1], {"__builtins__": dict(plain), name: defined[name]})
locked.clear()
print(text("nonce"))
"""
# Prints the cases that pass; none follows an answer that fails. It is tried with two orders of the members of sets, so
# that one whose result hangs on their order is found out.
CHECK = """
import subprocess
import sys

CASES = ("answer", "all_tests", "1"), ("answer", "all_tests", "2"), ("none", "tests", "1"), ("first", "tests", "1")
for module, tests, seed in CASES:
    command = [sys.executable, "-S", "-P", "-B", "/task/case.py", sys.argv[1], module, tests]
    try:
        run = subprocess.run(command, capture_output=True, timeout=4, env={"PYTHONHASHSEED": seed})
        passes = open("/task/nonce").read() in run.stdout.decode(errors="replace").splitlines()
    except subprocess.TimeoutExpired:
        passes = False
    if passes:
        print(module)
    elif module == "answer":
        break
"""
STUBS = {
    "none": "def {name}(*given, **named):\n    return None\n",
    "first": "def {name}(*given, **named):\n    return [*given, *named.values()][0]\n",
}


@dataclass(frozen=True)
class _Task:
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
    description = "a function by its rules and tests; run in the sandbox, where two stubs must fail the tests"
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

    def judge(self, problem: Problem) -> Verdict:
        task = _read(problem.prompt)
        code = _answer(task, problem.completion)
        files = {case: stub.format(name=task.name) for case, stub in STUBS.items()}
        files |= {"answer": code, "tests": task.tests, "all_tests": f"{task.examples}\n{task.tests}"}
        files |= {
            "case.py": CASE,
            "check.py": CHECK,
            "builtins": " ".join(PURE.builtins or ()),
            "nonce": secrets.token_hex(16),
        }
        run = self._sandbox.python(files, "check.py", LIMITS, task.name)
        # The code's own output does not come this far: these are the checker's words.
        match run.stdout.split():
            case ["answer", "answer"] if run.succeeded:
                return Verdict(True, "examples and tests pass with the answer, and the tests fail with both stubs")
            case ["answer", "answer", "none", *_]:
                return Verdict(False, "the tests pass with a function that returns None, so they prove nothing")
            case ["answer", "answer", "first"]:
                return Verdict(False, "the tests pass with a function that returns its first argument")
            case _ if run.succeeded:
                return Verdict(False, "the examples and tests do not all pass with the answer in time")
        return Verdict(False, "the check did not end within its limits")


def _listed(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _arguments(function: ast.FunctionDef) -> list[str]:
    return [node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)]


def _read(prompt: str) -> _Task:
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
    return _Task(name, _arguments(function), rules.count("\n"), facts, tests)


def _is_example(node: ast.stmt, name: str) -> bool:
    match node:
        case ast.Assert(test=ast.Compare(left=ast.Call(func=ast.Name(id=called)), ops=[ast.Eq()])):
            return called == name
    return False


def _calls(node: ast.AST, name: str) -> bool:
    calls = (each.func for each in ast.walk(node) if isinstance(each, ast.Call))
    return any(isinstance(called, ast.Name) and called.id == name for called in calls)


def _answer(task: _Task, completion: str) -> str:
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
