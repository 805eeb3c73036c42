"""Diagnosis: a broken training script with its symptom; the answer names the cause, predicts one value, and repairs it.

Four rungs, each decided by a program:

- `root_cause`: the letter of the right one among six candidate causes.
- `fix_works`: the answer's script ends with exit code 0, and hidden checks, run on what it defined and printed, hold.
- `no_new_bug`: it works, and a second set of hidden checks holds: the interface, the data, the number of steps and
  everything else that was right before. A fault can always be hidden by taking away what shows it.
- `mechanism`: a value that only follows for one who sees how the fault acts, such as a shape, a count or a learning
  rate, in the broken script or the repaired one.

The predicted value stands where one would ask for an explanation. An explanation in words needs a judge, which has an
opinion; a prediction that has been run before is right or wrong. The value in a task file is what the code gave.
"""

import json
import re
import secrets
from typing import Literal

from pydantic import Field, model_validator

from lamarck.engine.answer import code_of
from lamarck.judging.outer_room import WITH_TORCH
from lamarck.judging.plain_code import GUARD
from lamarck.judging.sandbox import Limits, Sandbox
from lamarck.suites.tasks.base import EngineeringTask
from lamarck.suites.tasks.custom_code import is_plain

Letter = Literal["A", "B", "C", "D", "E", "F"]
LETTERS: tuple[Letter, ...] = ("A", "B", "C", "D", "E", "F")
LIMITS = Limits(seconds=60)

PROMPT = """\
The script below trains or fine-tunes a small model, and it has one fault. It runs on one CPU core with Python 3.11 \
and a recent PyTorch 2; there is no network.

Find the cause, predict one value, and repair the script.

## script.py

```python
{script}
```

## Symptom

```text
{symptom}
```

## Candidate causes, of which exactly one is right

{causes}

## Observation

{observation}

## Your answer

Answer with these two lines and then one fenced Python block:

Cause: <one letter>
Observation: <the value alone: a number without thousands separators, a list such as [1, 2], or a word>

The block holds the whole repaired script, not a part or a diff. It is run once and must end with exit code 0 within \
60 seconds. It imports only from torch and from the standard modules math, typing, collections, dataclasses, \
itertools, functools, random, copy, abc, enum, numbers, warnings and contextlib; it reads no files, calls no open, \
exec or eval, does not reach into the interpreter's internals, and replaces nothing inside torch. Hidden checks then \
use what it defined and printed. The symptom must be gone, and what was right must stay so: keep every top-level name \
and signature, the data, the seeds, the hyperparameters, the number of steps and what is printed, unless the fault \
itself lies there. Repair the fault rather than silence what shows it."""

# Runs in the sandbox. The nonce says that a line comes from here, not from the answer, which has no way to read it (see
# custom_code); what the script prints is kept from the output. Both sets of checks see the answer's names, each in a
# copy of its own, and its output as `printed`; a name of Python's own means there what it always means.
EXAMINER = """\
import builtins, contextlib, io, os, sys, traceback, types
from pathlib import Path

import torch
from guard import lock

task = Path(__file__).parent
source, checks, regressions = (
    (task / name).read_bytes().decode() for name in ("script.py", "checks.py", "regressions.py")
)
report = os.dup(1)


def holds(code, name, namespace):
    try:
        exec(compile(code, str(task / name), "exec"), namespace)
    except SystemExit as end:
        # Only the script may end so: a check that ends early because of what the answer defined does not hold.
        return name == "script.py" and end.code in (0, None)
    except BaseException:
        traceback.print_exc()
        return False
    return True


main = types.ModuleType("__main__")
main.__file__ = str(task / "script.py")
sys.modules["__main__"] = main
output = io.StringIO()
climbed = []
unlock = lock()
with contextlib.redirect_stdout(output):
    ran = holds(source, "script.py", vars(main))
if ran:
    names = {name: value for name, value in vars(main).items() if not hasattr(builtins, name)}
    names |= {"torch": torch, "printed": output.getvalue()}
    for rung, code in (("fix_works", checks), ("no_new_bug", regressions)):
        if not holds(code, rung, dict(names)):
            break
        climbed.append(rung)
unlock()
nonce = (task / "nonce").read_text()
os.write(report, "".join(f"\\n{nonce} {rung}\\n" for rung in climbed).encode())
"""

_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_MARKUP = r"[ \t*_`>#]*"
_CAUSE = re.compile(rf"^{_MARKUP}(?i:cause){_MARKUP}:{_MARKUP}\(?([A-F])\b", re.MULTILINE)
_OBSERVATION = re.compile(rf"^{_MARKUP}observation{_MARKUP}:(.*)$", re.MULTILINE | re.IGNORECASE)
_NUMBERS = re.compile(r"[\[\],0-9.e+-]+")
LONGEST_VALUE = 400  # characters


class Diagnosis(EngineeringTask):
    """A broken script, six causes, a value to predict, and the hidden checks. The prompt is made of these."""

    kind: Literal["diagnosis"]
    rungs = ("root_cause", "fix_works", "no_new_bug", "mechanism")

    script: str = Field(min_length=1, description="The broken script, whole.")
    symptom: str = Field(min_length=1, description="What it prints, or the trace with which it ends.")
    causes: tuple[str, ...] = Field(min_length=6, max_length=6)
    cause: Letter
    observation: str = Field(min_length=1, description="The question whose answer is `observed`.")
    observed: str = Field(min_length=1, max_length=LONGEST_VALUE)
    checks: str = Field(min_length=1, description="Python, after the script in its namespace: the symptom is gone.")
    regressions: str = Field(min_length=1, description="Python, likewise: what was right before still is.")

    @model_validator(mode="before")
    @classmethod
    def _with_prompt(cls, values: object) -> object:
        """A task file has no prompt of its own, which could say something else than its fields do."""
        if not isinstance(values, dict) or "prompt" in values:
            return values
        causes = values.get("causes")
        listed = list(causes) if isinstance(causes, list | tuple) else []
        prompt = PROMPT.format(
            script=str(values.get("script")).rstrip(),
            symptom=str(values.get("symptom")).rstrip(),
            causes="\n".join(_lettered(listed)),
            observation=str(values.get("observation")).strip(),
        )
        return {**values, "prompt": prompt}

    @model_validator(mode="after")
    def _complete_prompt(self) -> "Diagnosis":
        needed = [self.script.rstrip(), self.symptom.rstrip(), self.observation.strip(), *_lettered(self.causes)]
        missing = [part for part in needed if part not in self.prompt]
        if missing:
            raise ValueError(f"the prompt lacks a part of the task: {missing[0][:60]!r}")
        if not is_plain(self.script):
            raise ValueError("the script breaks the rules that its repair must keep")
        return self

    def judge(self, answer: str, sandbox: Sandbox) -> dict[str, bool]:
        prose = _CODE.sub("", answer)
        causes, observations = _CAUSE.findall(prose), _OBSERVATION.findall(prose)
        code = code_of(answer)
        climbed = self.examine(code, sandbox)[0] if is_plain(code) else set()
        return {
            # The last line counts, as the last block does: that is where a model that corrects itself ends.
            "root_cause": bool(causes) and causes[-1] == self.cause,
            "fix_works": "fix_works" in climbed,
            "no_new_bug": climbed == {"fix_works", "no_new_bug"},
            "mechanism": bool(observations) and value_of(observations[-1]) == value_of(self.observed),
        }

    def examine(self, code: str, sandbox: Sandbox) -> tuple[set[str], str]:
        """The rungs that a script climbs, and why it climbs no more: what the examination wrote as errors."""
        nonce = secrets.token_hex(16)
        files: dict[str, str | bytes] = {
            "examiner.py": EXAMINER,
            "guard.py": GUARD,
            "nonce": nonce,
            "script.py": code.encode(errors="replace"),
            "checks.py": self.checks,
            "regressions.py": self.regressions,
        }
        run = sandbox.python(files, "examiner.py", LIMITS, imports=WITH_TORCH)
        lines = run.stdout.splitlines() if run.succeeded else []
        return {rung for rung in self.rungs if f"{nonce} {rung}" in lines}, run.stopped_by or run.stderr


def _lettered(causes: list[object] | tuple[str, ...]) -> list[str]:
    return [f"{letter}. {str(cause).strip()}" for letter, cause in zip(LETTERS, causes, strict=False)]


def value_of(text: str) -> object:
    """A value as written, for comparison: lists and numbers by what they say, all else without case and white space."""
    if len(text) > LONGEST_VALUE:
        return None
    bare = re.sub(r"[\s*_`'\"$]", "", text).casefold().removesuffix(".")
    bare = re.sub(r"torch\.size\((.*)\)", r"\1", bare)
    listed = bare.replace("(", "[").replace(")", "]").replace(",]", "]")
    if not _NUMBERS.fullmatch(listed):
        return bare
    try:
        return json.loads(listed, parse_int=float)
    except (ValueError, RecursionError):
        return bare
