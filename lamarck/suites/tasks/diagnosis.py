"""Diagnosis: a broken training script with its symptom; the answer names the cause, predicts one value, and repairs it.

Four rungs, each decided by a program:

- `root_cause`: the letter of the right one among six candidate causes.
- `fix_works`: the answer's script ends as one with exit code 0 does, and hidden checks of what it defined and printed
  hold: they are made in another room, from plain data (lamarck/judging/examination.py).
- `no_new_bug`: it works, and a second set of hidden checks holds: the interface, the data, the number of steps and
  everything else that was right before. A fault can always be hidden by taking away what shows it.
- `mechanism`: a value that only follows for one who sees how the fault acts, such as a shape, a count or a learning
  rate, in the broken script or the repaired one.

The predicted value stands where one would ask for an explanation. An explanation in words needs a judge, which has an
opinion; a prediction that has been run before is right or wrong. The value in a task file is what the code gave.
"""

import json
import re
from typing import Literal

from pydantic import Field, model_validator

from lamarck.engine.answer import code_of
from lamarck.judging.examination import examine
from lamarck.judging.sandbox import Limits, Sandbox
from lamarck.suites.tasks.base import EngineeringTask
from lamarck.suites.tasks.custom_code import LONGEST_ANSWER, is_plain
from lamarck.suites.tasks.examinations import shipped

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

GROUPS = (("fix_works", "check_"), ("no_new_bug", "still_"))

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
    examination: str = Field("", description="Python: check_*, the symptom is gone; still_*, what was right still is.")
    checks: str = Field("", description="As `tests` of custom_code: what a shipped examination checks.")
    regressions: str = Field("", description="Likewise.")

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
        if not self.examination:
            shipped(self.name, self.checks, self.regressions)
        if not is_plain(self.script):
            raise ValueError("the script breaks the rules that its repair must keep")
        return self

    def judge(self, answer: str, sandbox: Sandbox) -> dict[str, bool]:
        prose = _CODE.sub("", answer)
        causes, observations = _CAUSE.findall(prose), _OBSERVATION.findall(prose)
        climbed = self.examine(code_of(answer), sandbox)[0]
        return {
            # The last line counts, as the last block does: that is where a model that corrects itself ends.
            "root_cause": bool(causes) and causes[-1] == self.cause,
            "fix_works": "fix_works" in climbed,
            "no_new_bug": "no_new_bug" in climbed,
            "mechanism": bool(observations) and value_of(observations[-1]) == value_of(self.observed),
        }

    def examine(self, code: str, sandbox: Sandbox) -> tuple[set[str], str]:
        """The rungs that a script climbs, and why it climbs no more: what the examination wrote as errors."""
        if not code.strip() or len(code) > LONGEST_ANSWER:
            return set(), "no script"
        examination = self.examination or shipped(self.name, self.checks, self.regressions)
        found = examine(sandbox, code, examination, GROUPS, LIMITS, kind="script")
        return set(found.held), found.why


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
