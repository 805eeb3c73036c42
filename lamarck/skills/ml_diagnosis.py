"""ml_diagnosis: find why a short script fails, and repair it, given its trace and a check. For models that read
English.

Judged in three steps. The prompt and the answer have the form that `ask` states, and their code is plain: nothing that
catches, raises, ends early or sets a seed. The repair is a repair: it keeps nearly all of the script and adds little.
Then both run in a room of the sandbox (repair_trial.py), and what they leave is held against the check in another
(repair_examiner.py), which runs no code of theirs, the check included. The broken script must fail as its trace
says, and the repaired one must run, reach every line, and leave values for which the check holds, with three seeds that
neither knows. So that nothing is won by taking the work away, the check must not hold for what the broken script leaves
when it fails, nor once the lines that fail are left out, nor for noise of the same shape; and the values must depend on
the seed, as no constants do. What no program decides is whether the stated cause is right; the verdict says so.
Difficulty 1 to 3 is the number of the script's statements.
"""

import ast
import difflib
import hashlib
import io
import json
import random
import re
import tokenize
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lamarck.judging.design import is_placeholder
from lamarck.judging.examination import ExaminationBroken, confer, source
from lamarck.judging.outer_room import WITH_TORCH
from lamarck.judging.plain_code import PURE, TORCH, plain_statements
from lamarck.judging.sandbox import Job, Limits
from lamarck.skills.base import ANSWER, Malformed, Problem, SkillInEnglish, Verdict
from lamarck.skills.forms import CODE, literal, pattern, repeated, span
from lamarck.skills.renamed import numbered, renamed
from lamarck.skills.script_templates import sample

HEAD = "This Python script fails. Answer with a line `Cause: ...` and the whole repaired script in one fenced block."
LONGEST, LONGEST_SCRIPT = 8192, 3000  # characters of a problem with its answer, and of a script
STATEMENTS = {1: range(5, 10), 2: range(10, 17), 3: range(17, 41)}
KEPT, ADDED = 0.8, 0.3  # shares of the broken script's tokens
FEWEST_ADDED = 20  # tokens that a repair may always add
SEEDS = 3
LIMITS = Limits(seconds=100, output_bytes=64 * 2**10)
FORM = re.compile(
    re.escape(HEAD)
    + r"\n\nScript:\n```python\n(.+)\n```\n\nTrace:\n```text\n(.+)\n```\n\nCheck:\n```python\n(.+)\n```",
    re.DOTALL,
)
COMPLETION = re.compile(r"Cause: ([^\n]{20,400})\n\n```python\n(.+)\n```", re.DOTALL)
TRACE = re.compile(
    r'Traceback \(most recent call last\):\n(?:.*\n)?  File "script\.py", line [0-9]+.*\n(\S[^\n]*)', re.DOTALL
)
HINT = re.compile(r"\. Did you mean: '[^']*'\?$")  # which Python adds on a terminal alone
# What a script may not use: it would choose its seed, or end early, or catch what fails.
FORBIDDEN = frozenset(
    "manual_seed seed set_rng_state setstate exit quit suppress ExitStack SystemExit exc_info".split()
)
UNUSUAL = (ast.Try, ast.TryStar, ast.Raise, ast.Assert, ast.Global, ast.AsyncFunctionDef, ast.Await)
SHARED = frozenset({"torch", "math"})  # what a check may use besides the script's values
UNJUDGED = "whether the stated cause is right only a reader can judge"

# What a teacher is asked, by difficulty. The example is no template's.
ASK = """\
Write one training problem for a model that learns to repair machine-learning code, and its right answer: a script \
with one fault, the trace with which it ends, a check, the cause and the repaired script. The script has {low} to \
{high} statements, imports included (the example below: 5). Use this form exactly, with a script and a fault of your \
own:

{head}

Script:
```python
import torch

logits = torch.randn(12, 7)
scale = torch.rand(12)
scaled = logits * scale
best = scaled.max(dim=1).values
```

Trace:
```text
Traceback (most recent call last):
  File "script.py", line 5, in <module>
    scaled = logits * scale
RuntimeError: The size of tensor a (7) must match the size of tensor b (12) at non-singleton dimension 1
```

Check:
```python
assert torch.allclose(best, (logits.T * scale).max(dim=0).values)
```

Answer:
Cause: scale has one number a row, but its only dimension is matched with the columns; it needs a second one.

```python
import torch

logits = torch.randn(12, 7)
scale = torch.rand(12)
scaled = logits * scale[:, None]
best = scaled.max(dim=1).values
```

The script is plain Python or PyTorch, ends within seconds on one CPU core, needs no file or network, and its results \
depend on random numbers, whose seed is set before it starts: it sets none. It imports only from torch and from math, \
random, collections, itertools, functools, dataclasses, typing and copy, and has no try, raise, assert or exit. All \
names that it binds are used, if only by the check. The trace names only script.py, and its last line is exact. The \
check is 1 to 6 lines of assert about numbers, texts, tensors, and lists or dicts of them that the script leaves at \
its top level; it may use torch, math and builtins. It fails for the broken script, also when the failing line is \
left out, and for random values of the same shape. The repaired script keeps all that was right, changes as little as \
the fault needs, and reaches every one of its lines. It is run with several seeds. The cause is one line of 20 to 400 \
characters. Write nothing else."""

WRITTEN = """\
{head}

Script:
```python
{script}```

Trace:
```text
Traceback (most recent call last):
{frames}{last}
```

Check:
```python
{check}```

Answer:
Cause: {cause}

```python
{repair}```"""


class _DiagnosisTask(NamedTuple):
    script: str
    last: str  # the trace's last line
    check: str
    names: list[str]  # of the values that the check reads
    level: int


class MlDiagnosis(SkillInEnglish):
    name = "ml_diagnosis"
    description = "repair a script that fails; run before and after, with a check, but a reader judges the cause"
    head, longest = HEAD, LONGEST
    difficulties = range(1, 4)

    def sample(self, rng: random.Random, difficulty: int) -> Problem:
        drawn = sample(rng, difficulty)
        return Problem(
            f"{HEAD}\n\nScript:\n```python\n{drawn.script}\n```\n\nTrace:\n```text\n{drawn.trace}\n```\n\n"
            f"Check:\n```python\n{drawn.check}\n```",
            f"Cause: {drawn.cause}\n\n```python\n{drawn.repair}\n```",
        )

    def space(self, difficulty: int) -> int:
        return 10**4  # the least of any difficulty, by faults and sizes: never a small one

    def ask(self, difficulty: int) -> str:
        statements = STATEMENTS[difficulty]
        return ASK.format(head=HEAD, low=statements.start, high=statements.stop - 1)

    def form(self, difficulty: int) -> str:
        return pattern(
            WRITTEN,
            head=literal(HEAD),
            script=CODE,
            frames=repeated(rf"  {span(200)}\n", 2, 12),
            last=rf"[^\n ]{span(400, 0)}",
            check=repeated(rf"assert {span(300)}\n", 1, 6),
            cause=span(400, 20),
            repair=CODE,
        )

    def difficulty(self, prompt: str) -> int:
        return _read(prompt).level

    def what_varies(self, prompt: str) -> frozenset[str]:
        """The script, whatever its variables are called: trace and check follow from it."""
        tree = _script(_read(prompt).script)
        return frozenset([renamed(tree, *numbered(tree))])

    def judge(self, problem: Problem) -> Verdict:
        task = _read(problem.prompt)
        repair = _repair(task.script, problem.completion)
        # Nobody who writes a problem knows them, and the same problem always gets the same.
        digest = hashlib.sha256(f"{problem.prompt}\n{problem.completion}".encode()).digest()
        seeds = [int.from_bytes(digest[4 * place : 4 * place + 4]) for place in range(SEEDS)]
        order = {"script": task.script, "repair": repair, "names": task.names, "seeds": seeds}
        asked = {"check": task.check, "names": task.names, "cases": 2 + SEEDS}
        scripts = Job(
            {"trial.py": _source("repair_trial.py"), "order.json": json.dumps(order)},
            LIMITS,
            script="trial.py",
            imports=WITH_TORCH,
        )
        examiner = Job(
            {
                "examiner.py": _source("repair_examiner.py"),
                "plain_expression.py": source("plain_expression.py"),
                "check.json": json.dumps(asked),
            },
            LIMITS,
            script="examiner.py",
            imports=WITH_TORCH,
        )
        try:
            said, why = confer(self._sandbox, scripts, examiner)
        except ExaminationBroken as error:  # script and check are a model's: what they break is their own item
            return Verdict(False, f"no examiner can decide it: {error}")
        if said is None:
            return Verdict(False, f"the check took too long: {why}")
        if said["reason"]:
            return Verdict(False, f"a check with {said['reason']}, which no examiner can decide")
        return _judged(task, said["cases"])


def _source(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _read(prompt: str) -> _DiagnosisTask:
    """A prompt's parts. Errors: Malformed where it has not the form, or its code is not plain."""
    # Counted first: fences without end would keep the pattern busy.
    form = FORM.fullmatch(prompt) if prompt.count("```") == 6 else None
    if not form or ANSWER in prompt:
        raise Malformed("not the form of a problem: head, script, trace, check")
    script, trace, check = form.groups()
    found = TRACE.fullmatch(trace)
    if not found:
        raise Malformed("a trace that is not of script.py, or does not end with its exception")
    tree = _script(script)
    checks = plain_statements(check, TORCH, forbids=FORBIDDEN)
    if not 0 < len(checks) <= 6 or not all(isinstance(line, ast.Assert) for line in checks):
        raise Malformed("a check that is not one to six asserts")
    read, left = _loaded(checks), _stored(tree.body)
    names = sorted(read - SHARED - (PURE.builtins or frozenset()) - _stored(checks))
    if not names or not left.issuperset(names):
        raise Malformed("a check that reads nothing of the script's, or something that it does not leave")
    idle = _bound(tree) - _loaded([tree]) - read - {"_"}
    if idle:
        raise Malformed(f"a script with a name that nothing uses: {min(idle)}")
    count = sum(isinstance(node, ast.stmt) for node in ast.walk(tree))
    level = next((level for level, counts in STATEMENTS.items() if count in counts), None)
    if level is None:
        raise Malformed("a number of statements that is of no difficulty")
    return _DiagnosisTask(script, HINT.sub("", found[1].strip()), check, names, level)


def _script(code: str) -> ast.Module:
    """A script that is plain. Errors: Malformed."""
    if len(code) > LONGEST_SCRIPT:
        raise Malformed("a script that is too long")
    tree = ast.Module(plain_statements(code, TORCH, forbids=FORBIDDEN), [])
    unusual = next((node for node in ast.walk(tree) if isinstance(node, UNUSUAL)), None)
    if unusual:
        raise Malformed(f"a script with a {type(unusual).__name__}")
    return tree


def _loaded(nodes: Sequence[ast.AST]) -> set[str]:
    names = (each for node in nodes for each in ast.walk(node) if isinstance(each, ast.Name))
    return {name.id for name in names if isinstance(name.ctx, ast.Load)}


def _stored(nodes: Sequence[ast.AST]) -> set[str]:
    names = (each for node in nodes for each in ast.walk(node) if isinstance(each, ast.Name))
    return {name.id for name in names if isinstance(name.ctx, ast.Store)}


def _bound(tree: ast.Module) -> set[str]:
    """What a script assigns; what its loops count with may be left unused."""
    targets = [node.target for node in ast.walk(tree) if isinstance(node, ast.For | ast.comprehension)]
    return _stored([tree]) - _stored(targets)


def _repair(script: str, completion: str) -> str:
    """The repaired script of an answer. Errors: Malformed where there is no script, or another one."""
    form = COMPLETION.fullmatch(completion)
    if not form or completion.count("```") != 2:
        raise Malformed("not the form of an answer: cause, then one fenced Python block")
    if is_placeholder(form[1]):
        raise Malformed("a cause that says nothing")
    before, after = _tokens(_script(script)), _tokens(_script(form[2]))
    kept = sum(
        block.size for block in difflib.SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
    )
    if kept < KEPT * len(before) or len(after) - kept > max(FEWEST_ADDED, ADDED * len(before)):
        raise Malformed("a repair that does not keep the script")
    return form[2]


def _tokens(tree: ast.Module) -> list[str]:
    """What a script is made of; layout and comments do not count. Errors: Malformed."""
    try:
        code = ast.unparse(tree)
    except RecursionError as error:
        raise Malformed("code that is nested too deep") from error
    return [token.string for token in tokenize.generate_tokens(io.StringIO(code).readline) if token.string.strip()]


def _judged(task: _DiagnosisTask, cases: list[dict[str, Any]]) -> Verdict:
    """A verdict on what the trial found."""
    found: dict[str, list[dict[str, Any]]] = {"broken": [], "dropped": [], "repaired": []}
    for each in cases:
        found[each["case"]].append(each)
    if [len(each) for each in found.values()] != [1, 1, SEEDS]:
        return Verdict(False, "a script did not end within its limits")
    broken, dropped, repaired = found["broken"][0], found["dropped"][0], found["repaired"]
    if not broken["failed"]:
        return Verdict(False, "the script does not fail")
    if task.last != HINT.sub("", broken["last"]):
        return Verdict(False, "the script fails in another way than its trace says")
    if broken["holds"] or dropped["holds"]:
        return Verdict(False, "the check holds without what fails, so it proves nothing")
    for each in repaired:
        if each["failed"]:
            return Verdict(False, f"the repaired script fails: {each['last'][:200]}")
        if each["values"] is None:
            return Verdict(False, "the check reads values that are no numbers, texts, tensors or lists of them")
        if not each["holds"]:
            return Verdict(False, "the check does not hold after the repaired script")
        if each["unreached"]:
            return Verdict(False, f"the repaired script does not reach its line {each['unreached'][0]}")
    if all(each["blind"] for each in repaired):
        return Verdict(False, "the check holds for noise of the same shape, so it proves nothing")
    if len({each["values"] for each in repaired}) == 1:
        return Verdict(False, "the values do not depend on the seed: constants stand where the work should")
    return Verdict(True, f"fails as its trace says, and the repaired script passes the check; {UNJUDGED}")
