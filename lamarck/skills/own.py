"""Skills and problems that are the user's own: outside this package, named by a strategy.

Their code runs as their user, in a process of its own beside the one that asks (own_worker.py): where Snakemake works
out what is to be made, in the stage that writes a curriculum, and where an edited one is judged again. It runs in no
sandbox, so take none from people whom you would not let run a program. A call that takes longer than `SECONDS` ends the
run with a sentence; an exception refuses the text.
"""

import json
import os
import random
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from lamarck.config.own import ENTRY_POINT
from lamarck.config.strategy import Share, Strategy
from lamarck.errors import LamarckError, Malformed
from lamarck.skills.base import Problem, Skill, Verdict

SECONDS = 60.0  # for one call
LOADING = 120.0  # a module may import what it likes
TRIED = 3  # samples a difficulty, when a skill is first used
SEED = 1


class Raised(Exception):
    """The user's code raised."""


class CodeWorker:
    """A process with a user's code. Calls from several threads take turns."""

    def __init__(self, what: str, kind: str, name: str, *files: str, seconds: float = SECONDS) -> None:
        """`what` names it in errors. Errors: LamarckError where the code cannot be read."""
        self._what = what
        self._seconds = seconds
        self._turn = Lock()
        command = [sys.executable, "-m", "lamarck.skills.own_worker", kind, name, *files]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._rest = b""
        with self._turn, self._killed_on_error():
            said = self._read("being read", LOADING)
            if "value" not in said:
                raise LamarckError(f"{what} cannot be read: {said['raised']}")

    def call(self, method: str, *given: Any) -> Any:
        """Errors: Malformed and Raised as the code says; LamarckError where it hangs or ends."""
        with self._turn, self._killed_on_error():
            assert self._process.stdin
            try:
                self._process.stdin.write(json.dumps({"call": method, "given": given}).encode() + b"\n")
                self._process.stdin.flush()
            except OSError as error:
                raise LamarckError(f"{self._what} has ended: see what it wrote before") from error
            said = self._read(method, self._seconds)
        if "malformed" in said:
            raise Malformed(said["malformed"])
        if "raised" in said:
            raise Raised(said["raised"])
        return said["value"]

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()

    @contextmanager
    def _killed_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.close()
            raise

    def _read(self, doing: str, seconds: float) -> dict[str, Any]:
        assert self._process.stdout
        until = time.monotonic() + seconds
        while b"\n" not in self._rest:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                raise LamarckError(f"{self._what} did not answer within {seconds:g} s ({doing}): mend it, or bound it")
            chunk = os.read(self._process.stdout.fileno(), 1 << 16)
            if not chunk:
                raise LamarckError(f"{self._what} has ended ({doing}): see what it wrote before")
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        said: dict[str, Any] = json.loads(line)
        return said


class OwnSkill(Skill):
    """A skill whose code runs in a process of its own. What it raises over a text refuses that text."""

    def __init__(self, name: str, code: str, seconds: float = SECONDS) -> None:
        """Errors: LamarckError with one sentence where the code is not a skill that can be relied on."""
        self.name = name
        where = "of an installed package" if code == ENTRY_POINT else f"of {code}"
        self._what = f"the skill {name} {where}"
        arguments = ("entry-point", name) if code == ENTRY_POINT else ("skill", name, code)
        self._worker = CodeWorker(self._what, *arguments, seconds=seconds)
        self.description, levels = self._must("facts")
        if not levels or levels != list(range(levels[0], levels[-1] + 1)):
            raise LamarckError(f"{self._what}: difficulties must be a range, such as range(1, 4)")
        self.difficulties = range(levels[0], levels[-1] + 1)

    def sample(self, rng: random.Random, difficulty: int) -> Problem:
        return Problem(*self._must("sample", rng.getrandbits(64), difficulty))

    def space(self, difficulty: int) -> int:
        return int(self._must("space", difficulty))

    def ask(self, difficulty: int) -> str:
        return str(self._must("ask", difficulty))

    def form(self, difficulty: int) -> str | None:
        form: str | None = self._must("form", difficulty)
        return form

    def parse(self, asked: str, text: str) -> Problem:
        return Problem(*self._reads("parse", asked, text))

    def written(self, prompt: str, completion: str) -> tuple[str, str]:
        asked, text = self._reads("written", prompt, completion)
        return asked, text

    def difficulty(self, prompt: str) -> int:
        return int(self._reads("difficulty", prompt))

    def verify(self, problem: Problem) -> Verdict:
        try:
            return Verdict(*self._worker.call("verify", problem.prompt, problem.completion))
        except (Raised, Malformed) as error:
            return Verdict(False, f"the skill raised {error}")

    def what_varies(self, prompt: str) -> frozenset[str]:
        return frozenset(self._reads("what_varies", prompt))

    def filed(self, problem: Problem) -> tuple[Problem, int]:
        prompt, completion, difficulty = self._reads("filed", problem.prompt, problem.completion)
        return Problem(prompt, completion), difficulty

    def said(self, completion: str) -> str | None:
        said: str | None = self._reads("said", completion)
        return said

    def _must(self, method: str, *given: Any) -> Any:
        try:
            return self._worker.call(method, *given)
        except (Raised, Malformed) as error:
            raise LamarckError(f"{self._what} raised {error} ({method}): mend it") from error

    def _reads(self, method: str, *given: Any) -> Any:
        try:
            return self._worker.call(method, *given)
        except Raised as error:
            raise Malformed(f"the skill raised {error}") from error

    def check(self, difficulties: tuple[int, ...]) -> None:
        """Errors: LamarckError where its own problems do not hold, or the same question has two answers."""
        for difficulty in difficulties:
            for place in range(TRIED):
                try:
                    self._try(difficulty, place)
                except Malformed as error:
                    raise LamarckError(f"{self._what} cannot read its own problem: {error}") from error

    def _try(self, difficulty: int, place: int) -> None:
        problem, again = (self.sample(random.Random(SEED + place), difficulty) for _ in range(2))
        if problem != again:
            raise LamarckError(f"{self._what} is not deterministic: sample() drew two problems with one generator")
        asked, text = self.written(problem.prompt, problem.completion)
        questions: dict[str, tuple[Any, Any]] = {
            "verify": (self.verify(problem), self.verify(problem)),
            "parse": (self.parse(asked, text), self.parse(asked, text)),
            "difficulty": (self.difficulty(problem.prompt), self.difficulty(problem.prompt)),
            "what_varies": (self.what_varies(problem.prompt), self.what_varies(problem.prompt)),
        }
        for method, (one, other) in questions.items():
            if one != other:
                raise LamarckError(f"{self._what} is not deterministic: {method}() answered one question in two ways")
        verdict: Verdict = questions["verify"][0]
        if not verdict.verified:
            raise LamarckError(f"{self._what} refuses its own problem of difficulty {difficulty}: {verdict.reason}")
        if questions["difficulty"][0] != difficulty:
            raise LamarckError(f"{self._what}: difficulty() finds another than {difficulty} in {problem.prompt!r}")
        if (asked, questions["parse"][0]) != (self.ask(difficulty), problem):
            raise LamarckError(f"{self._what}: parse() does not read what written() writes of {problem.prompt!r}")
        if self.verify(Problem(problem.prompt, "")).verified:
            raise LamarckError(f"{self._what} verifies an empty answer: verify() must compare it with the right one")


_DECLARED: dict[str, Share] = {}
_OPEN: dict[str, tuple[list[str], Skill]] = {}


def declare(strategy: Strategy) -> None:
    """From here on in this process, `get_skill` knows the strategy's own skills. None of their code is run yet."""
    _DECLARED.update({name: part for name, part in strategy.skills.items() if part.code or part.problems})


def declared() -> list[str]:
    return sorted(_DECLARED)


def own_skill(name: str) -> Skill | None:
    """A skill that was declared, opened where it is not, and anew where its files have changed; None for another.

    Errors: LamarckError where it cannot be relied on.
    """
    part = _DECLARED.get(name)
    if part is None:
        return None
    digests = part.own_digests(name)
    held = _OPEN.get(name)
    if held is None or held[0] != digests:
        _OPEN[name] = (digests, _opened(name, part))
    return _OPEN[name][1]


def _opened(name: str, part: Share) -> Skill:
    from lamarck.skills.given import GivenProblems

    if part.problems:
        return GivenProblems(name, part.problems)
    assert part.code
    skill = OwnSkill(name, part.code)
    unknown = [each for each in part.difficulties if each not in skill.difficulties]
    if not unknown:  # else the strategy is refused, with the sentence that says which
        skill.check(part.difficulties)
    return skill
