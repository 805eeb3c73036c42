"""curriculum_design: a task for a tiny student, and the approach, the curriculum and the expected outcome of teaching
it. For models that read English.

The task is a small machine, whose every symbol reorders its states, and the length of the problems to be solved. The
curriculum describes training data, stage by stage; the expected outcome is an accuracy. Judged in two steps. The form:
a machine that can be followed by remembering alone, stages within the budget. Then the curriculum is carried out: in
the sandbox, a student trained on the described data must answer held-out problems of the task at least as well as
expected, and that must be MARGIN more than the untrained student and than any guess from the last symbol alone. What
no program decides is whether task and approach are sensible prose; the verdict says so. Difficulty 1 to 4 is the
length of the problems, two lengths each from 8 on: a student taught with these alone mostly learns nothing.
"""

import json
import math
import random
import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from lamarck import strict_json
from lamarck.judging.design import checked, is_placeholder
from lamarck.judging.sandbox import Limits
from lamarck.judging.trial import Lesson, Machine, Outcome, try_out
from lamarck.skills.base import ANSWER, Malformed, Problem, SkillInEnglish, Verdict
from lamarck.skills.forms import literal, pattern, repeated, span
from lamarck.skills.machine_templates import sample

HEAD = "Design a curriculum for a tiny student. Answer with an approach, the curriculum and the expected outcome."
LONGEST = 8192  # characters of a problem with its answer
SHORTEST_GOAL = 8
STATES, SYMBOLS = range(3, 6), range(3, 6)
MOST_STEPS, MOST_STAGES, LONGEST_ROW = 400, 8, 24
# Of 82 students with lessons that teach nothing (one step, a tiny rate, the goal alone, single symbols) none gained at
# all; those that learn gain 0.6 and more, and few end in between.
MARGIN = 0.2
SEEDS = (1, 2, 3)
LIMITS = Limits(seconds=100)  # far more than the budget of steps can take
FORM = re.compile(
    re.escape(HEAD) + r"\n\nTask: ([^\n]{40,600})\nMachine: ([^\n]+)\n"
    rf"Goal: the state after ([0-9]{{1,2}}) symbols, with at most {MOST_STEPS} training steps\."
)
COMPLETION = re.compile(
    r"Approach: ([^\n]{40,600})\n\nCurriculum:\n(.+)\n\nExpected: an accuracy of at least (0\.[0-9]{1,2}|1\.0)",
    re.DOTALL,
)
UNJUDGED = "whether task and approach are sensible prose only a reader can judge"

# What a teacher is asked, by difficulty. The example is no template's.
ASK = """\
Write one training problem for a model that learns to design curricula, and a right answer. The student is a GRU of \
48 units that learns from scratch to follow a machine: it reads a row of symbols and says in which state the machine \
ends. The goal is a row of {low} or {high} symbols (the example below: 8). Use this form exactly, with a machine, \
words and numbers of your own:

{head}

Task: A lamp is red (0), green (1) or blue (2), and it starts red. Symbol 0 turns it to the next color, symbol 1 swaps \
red and green, symbol 2 swaps green and blue.
Machine: {{"start": 0, "moves": [[1, 2, 0], [1, 0, 2], [0, 2, 1]]}}
Goal: the state after 8 symbols, with at most {steps} training steps.

Answer:
Approach: Rows of eight alone teach this student nothing, so rows grow from one symbol to eight, and each stage \
repeats a part of the one before.

Curriculum:
[
  {{"name": "one and two", "counts": {{"1": 600, "2": 2600}}, "epochs": 2, "learning_rate": 0.005, "batch_size": 64}},
  {{"name": "four", "counts": {{"4": 4000, "2": 800}}, "epochs": 2, "learning_rate": 0.005, "batch_size": 64}},
  {{"name": "eight", "counts": {{"8": 4000, "4": 800}}, "epochs": 2, "learning_rate": 0.005, "batch_size": 64}}
]

Expected: an accuracy of at least 0.80

`moves` has a list for each symbol, and that list says for each state which one comes next. There are 3 to 5 states \
and 3 to 5 symbols; every symbol's list holds every state once, no two lists are the same, and every state can be \
reached from the start. The task says in one line what the machine is. `counts` says how many random rows of which \
length (1 to {row}) a stage has. There are at most {stages} stages with 1 to 6 lengths each, epochs are 1 to 8, \
learning rates 0.00001 to 0.1, batch sizes 16 to 128, and the steps, counts * epochs / batch_size of each stage, are \
at most {steps} in all. The curriculum is carried out: with three seeds, the student must reach the expected accuracy \
on rows that it has not seen, and that must be {margin} more than before and more than the last symbol alone can \
tell. Approach and task have 40 to 600 characters. Write nothing else."""

WRITTEN = """\
{head}

Task: {task}
Machine: {{"start": {state}, "moves": {moves}}}
Goal: the state after {goal} symbols, with at most {steps} training steps.

Answer:
Approach: {approach}

Curriculum:
[
{stages}
]

Expected: an accuracy of at least {accuracy}"""
STAGE = (
    '  {{"name": "{name}", "counts": {{{counts}}}, "epochs": {epochs}, "learning_rate": {rate}, "batch_size": {size}}}'
)


class ShortStage(Lesson):
    """One entry of the curriculum, within what keeps its trial short."""

    name: str = Field(min_length=3, max_length=80)
    counts: dict[Annotated[int, Field(ge=1, le=LONGEST_ROW)], Annotated[int, Field(ge=1, le=50_000)]] = Field(
        min_length=1, max_length=6
    )
    epochs: float = Field(ge=1, le=8)
    learning_rate: float = Field(ge=1e-5, le=0.1)
    batch_size: int = Field(ge=16, le=128)

    @property
    def steps(self) -> int:
        return math.ceil(sum(self.counts.values()) * self.epochs / self.batch_size)


class CurriculumDesignSkill(SkillInEnglish):
    name = "curriculum_design"
    description = "a tiny student's curriculum; a student trained on it must improve, a reader judges the words"
    head, longest = HEAD, LONGEST
    difficulties = range(1, 5)

    def sample(self, rng: random.Random, difficulty: int) -> Problem:
        drawn = sample(rng, SHORTEST_GOAL + 2 * (difficulty - 1) + rng.randrange(2), MOST_STEPS)
        machine = json.dumps({"start": drawn.machine.start, "moves": drawn.machine.moves})
        stages = ",\n".join(f"  {json.dumps(stage)}" for stage in drawn.stages)
        return Problem(
            f"{HEAD}\n\nTask: {drawn.task}\nMachine: {machine}\n"
            f"Goal: the state after {drawn.goal} symbols, with at most {MOST_STEPS} training steps.",
            f"Approach: {drawn.approach}\n\nCurriculum:\n[\n{stages}\n]\n\n"
            f"Expected: an accuracy of at least {drawn.expected:.2f}",
        )

    def space(self, difficulty: int) -> int:
        return 10**4  # the least of any difficulty, by machines and starts: never a small one

    def ask(self, difficulty: int) -> str:
        low = SHORTEST_GOAL + 2 * (difficulty - 1)
        numbers = {"low": low, "high": low + 1, "steps": MOST_STEPS, "stages": MOST_STAGES}
        return ASK.format(head=HEAD, row=LONGEST_ROW, margin=MARGIN, **numbers)

    def form(self, difficulty: int) -> str:
        row = _listed("[0-4]", 3, 5)
        stage = pattern(
            STAGE,
            name=r'[^"\\\n]{3,80}',
            counts=_parted(r'"[0-9]{1,2}": [0-9]{1,5}', ", ", 1, 6),
            epochs=r"[1-8](\.[0-9])?",
            rate=r"0\.[0-9]{1,6}",
            size="[0-9]{2,3}",
        )
        low = SHORTEST_GOAL + 2 * (difficulty - 1)
        return pattern(
            WRITTEN,
            head=literal(HEAD),
            task=span(600, 40),
            state="[0-4]",
            moves=_listed(row, 3, 5),
            goal=f"({low}|{low + 1})",
            steps=str(MOST_STEPS),
            approach=span(600, 40),
            stages=_parted(stage, r",\n", 1, MOST_STAGES),
            accuracy=r"(0\.[0-9]{1,2}|1\.0)",
        )

    def difficulty(self, prompt: str) -> int:
        return _level(_read(prompt)[1])

    def what_varies(self, prompt: str) -> frozenset[str]:
        """The machine and the goal, whatever the words call them."""
        machine, goal = _read(prompt)
        return frozenset([json.dumps([machine.moves, machine.start, goal])])

    def judge(self, problem: Problem) -> Verdict:
        machine, goal = _read(problem.prompt)
        stages, expected = _design(problem.completion)
        outcome = try_out(machine, stages, self._sandbox, test_length=goal, seeds=SEEDS, hold_out=True, limits=LIMITS)
        return _judged(outcome, expected) if outcome else Verdict(False, "the trial did not end within its limits")


def _parted(part: str, by: str, least: int, most: int) -> str:
    """The pattern of `least` to `most` times the pattern `part`, with `by` between them."""
    return part + repeated(by + part, least - 1, most - 1)


def _listed(part: str, least: int, most: int) -> str:
    return rf"\[{_parted(part, ', ', least, most)}\]"


def _level(goal: int) -> int:
    level = (goal - SHORTEST_GOAL) // 2 + 1
    if level not in CurriculumDesignSkill.difficulties:
        raise Malformed("a goal that is of no difficulty")
    return level


def _read(prompt: str) -> tuple[Machine, int]:
    """(machine, length of the problems) of a prompt. Errors: Malformed."""
    form = FORM.fullmatch(prompt)
    if not form or ANSWER in prompt:
        raise Malformed("not the form of a problem: head, task, machine, goal")
    if is_placeholder(form[1]):
        raise Malformed("a task that says nothing")
    goal = int(form[3])
    _level(goal)
    return _machine(_loaded(form[2])), goal


def _loaded(text: str) -> object:
    try:
        return strict_json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Malformed("no JSON where it was asked for") from error


def _machine(value: object) -> Machine:
    """A machine that never forgets: every symbol reorders the states. Errors: Malformed."""
    match value:
        case {"start": int(start), "moves": [[*first], *_] as moves, **rest} if not rest:
            states = list(range(len(first)))
        case _:
            raise Malformed("a machine without start and moves, or with more")
    if len(states) not in STATES or len(moves) not in SYMBOLS:
        raise Malformed("a machine with too few or too many states or symbols")
    # Compared as JSON, in which true is not 1 and 1.0 is not 1.
    if not all(isinstance(move, list) and _sorted(move) == json.dumps(states) for move in moves):
        raise Malformed("a machine with a symbol that does not reorder the states")
    if len({tuple(move) for move in moves}) < len(moves):
        raise Malformed("a machine with two symbols that do the same")
    reached = {start}
    for _ in states:
        reached |= {move[state] for move in moves for state in reached if state in states}
    if isinstance(start, bool) or reached != set(states):
        raise Malformed("a machine with a state that cannot be reached from the start")
    return Machine(moves, start)


def _sorted(move: Sequence[object]) -> str:
    return json.dumps(sorted(move, key=repr)) if len(move) <= max(STATES) else ""


def _design(completion: str) -> tuple[list[ShortStage], float]:
    """(stages, expected accuracy) of an answer. Errors: Malformed."""
    form = COMPLETION.fullmatch(completion)
    if not form:
        raise Malformed("not the form of an answer: approach, curriculum, expected outcome")
    if is_placeholder(form[1]):
        raise Malformed("an approach that says nothing")
    value = _loaded(form[2])
    if not isinstance(value, list) or not 0 < len(value) <= MOST_STAGES:
        raise Malformed("a curriculum that is no list of stages, or of too many")
    stages = [stage for stage in (checked(ShortStage, each) for each in value) if stage is not None]
    if len(stages) < len(value):
        raise Malformed("a stage with a key or a value that was not asked for")
    if len({stage.name for stage in stages}) < len(stages) or any(is_placeholder(stage.name) for stage in stages):
        raise Malformed("a stage whose name says nothing, or stands twice")
    if sum(stage.steps for stage in stages) > MOST_STEPS:
        raise Malformed(f"a curriculum of more than {MOST_STEPS} steps")
    return stages, float(form[3])


def _judged(outcome: Outcome, expected: float) -> Verdict:
    before = max(outcome.untrained, outcome.guess)
    figures = (
        f"{outcome.trained:.2f} on held-out problems, {outcome.untrained:.2f} untrained, {outcome.guess:.2f} guessed"
    )
    if outcome.trained < before + MARGIN:
        return Verdict(False, f"the student does not improve by {MARGIN}: {figures}")
    if expected < before + MARGIN:
        return Verdict(False, f"the expected {expected} is not {MARGIN} more than without lessons: {figures}")
    if outcome.trained < expected:
        return Verdict(False, f"the student does not reach the expected {expected}: {figures}")
    return Verdict(True, f"the student improves as expected: {figures}; {UNJUDGED}")
