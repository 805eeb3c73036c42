"""Answerers without any of the skills that a suite examines: what the best of them scores is the suite's floor. Light.

The list grows: whoever finds an answer that scores without the skill adds it here, and `lamarck suite calibrate` says
what it scores. An answerer may read the prompt, know the form that is asked for, and have searched over the suite's own
answers for a constant; it may not work out what is asked.
"""

import json
import random
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from lamarck.eval.filled_forms import FORMS, one_form, one_kind
from lamarck.eval.idle_problems import IDLE
from lamarck.eval.ladders import JUDGES
from lamarck.eval.outcome import scored
from lamarck.eval.plain_rules import PLAIN_RULES, Rule, worked_example
from lamarck.skills import PLAIN, TAGGED, get_skill
from lamarck.skills.list_ops import LENGTH, OPERATIONS
from lamarck.suites.sections import LadderTask, WritingTask
from lamarck.suites.suite import ENGINEERING, SANITY, TEACHING, TIERS, Suite
from lamarck.suites.tasks.base import EngineeringTask

Answer = Callable[[str, random.Random], str]

# A program that names everything that a training script has, does nothing of it, and leaves files of the right names.
IF_FALSE = """\
```python
import pathlib
import sys

if False:
    import peft
    import torch

    model = peft.get_peft_model(None, peft.LoraConfig())
    model = peft.PeftModel.from_pretrained(None, peft.IA3Config())
    optimizer = torch.optim.SGD(model.parameters())
    optimizer.step()
output = pathlib.Path(sys.argv[3])
output.mkdir(parents=True)
for name in ("adapter_config.json", "adapter_model.safetensors"):
    (output / name).write_text("{}")
```"""
CONSTANTS = ("", "{}", "[]", "0", "0 0 0 0", "yes", "The answer is (A).", "#### 0", IF_FALSE)


COPIER = "the worked example of the request"
IDLE_WRITER = "problems that take no work"
ONE_FORM, ONE_KIND = "one form a cell, filled anew", "one kind of part, over and over"


@dataclass(frozen=True)
class Degenerate:
    """`tiers`: those in which it says anything."""

    name: str
    answer: Answer
    tiers: tuple[str, ...] = TIERS


def degenerates(suite: Suite) -> Iterator[Degenerate]:
    """All of them that have something to say to this suite."""
    for constant in CONSTANTS:
        yield Degenerate(_named(constant), _always(constant))
    yield from _echoes()
    pool = sorted({item.target for found in suite.items.values() for item in found})
    pool += [task.reference for task in suite.engineering_files]
    yield Degenerate("the answer to another question", lambda prompt, rng: rng.choice(pool))
    problems = _by_prompt(partial(_one_problem, suite))
    yield Degenerate("one right problem a cell, over and over", problems, (ENGINEERING, TEACHING))
    for name, writer, skills in WRITERS:
        if writers := _writers(suite, writer, skills):
            yield Degenerate(name, _on_request(writers), (ENGINEERING, TEACHING))
    constants = _by_prompt(partial(_best_constants, suite))
    yield Degenerate("the best constant for each task", constants, (SANITY, ENGINEERING))
    kinds = {task.kind for task in (*suite.tiers.engineering.tasks, *suite.engineering_files)}
    asked = {task.skill for task in suite.tiers.engineering.tasks}
    if asked & TAGGED.keys():
        for tier, rules in TINY_RULES.items():
            for name, rule in rules.items():
                yield Degenerate(name, _of_words(rule), (tier,))
    if asked & {skill.name for skill in PLAIN}:
        yield Degenerate(COPIER, lambda prompt, rng: worked_example(prompt))
        for tier, plain_rules in PLAIN_RULES.items():
            for name, of_prompt in plain_rules.items():
                yield Degenerate(name, _of_prompt(of_prompt), (tier,))
    of_files: dict[str, tuple[str, Callable[[Suite], dict[str, str]]]] = {
        "the commonest cause, and the script as it is": ("diagnosis", _as_it_is),
        "names in order without numbers": ("curriculum_design", partial(_designs, _names)),
        "names in order in a form": ("curriculum_design", partial(_designs, _filled)),
    }
    for name, (kind, make) in of_files.items():
        if kind in kinds:
            yield Degenerate(name, _by_prompt(partial(make, suite)), (ENGINEERING,))


def _named(constant: str) -> str:
    return "says nothing" if not constant else "an `if False:` program" if constant == IF_FALSE else f"`{constant}`"


def _always(constant: str) -> Answer:
    return lambda prompt, rng: constant


def _echoes() -> Iterator[Degenerate]:
    yield Degenerate("the prompt", lambda prompt, rng: prompt)
    yield Degenerate("the prompt without its ends", lambda prompt, rng: " ".join(prompt.split()[1:-1]))
    yield Degenerate("the prompt backwards", lambda prompt, rng: " ".join(reversed(prompt.split())))
    yield Degenerate("the prompt's last word", lambda prompt, rng: (prompt.split()[-2:-1] or [""])[0])


def _by_prompt(make: Callable[[], Mapping[str, str]]) -> Answer:
    """Prompt -> answer, from a mapping that is made when the first is asked for: some take seconds of search."""
    answers = cache(make)
    return lambda prompt, rng: answers().get(prompt, "")


# Shallow rules of the tiny world: from a problem's words without tag and `=>` to an answer; empty for other problems.


def _on_request(writers: Mapping[str, Callable[[random.Random], str]]) -> Answer:
    return lambda prompt, rng: writers[prompt](rng) if prompt in writers else ""


def _of_words(rule: Callable[[list[str]], str]) -> Answer:
    return lambda prompt, rng: rule(prompt.split()[1:-1])


def _of_prompt(rule: Rule) -> Answer:
    return lambda prompt, rng: rule(prompt)


def _steps_alike(operation: Callable[[list[int]], list[int]]) -> Callable[[list[str]], str]:
    """Every step's name with what `operation` makes of the list before it, whatever the name says."""

    def answer(words: list[str]) -> str:
        if words[LENGTH : LENGTH + 1] != ["|"]:
            return ""
        values, said = [int(word) for word in words[:LENGTH]], []
        for name in words[LENGTH + 1 :]:
            values = operation(values)
            said += [name, *map(str, values)]
        return " ".join(said)

    return answer


def _fields_alike(value: Callable[[list[str]], str]) -> Callable[[list[str]], str]:
    """Every key, with what `value` makes of the words behind it."""

    def answer(words: list[str]) -> str:
        fields = [field.split() for field in " ".join(words).split(";") if field.strip()]
        if words[-1:] != [";"]:
            return ""
        return "{ " + " , ".join(f'"{key}" : {value(rest)}' for key, *rest in fields) + " }"

    return answer


def _sums_alike(total: Callable[[Sequence[str], int], str]) -> Callable[[list[str]], str]:
    """A total for every operation: `total` of the sum's digits and the operation's place, never of its sign."""

    def answer(words: list[str]) -> str:
        if not {"+", "-"} & set(words):
            return ""
        return " ".join(total(words[::2], place) for place in range(1, len(words[::2])))

    return answer


TINY_RULES = {
    SANITY: {
        "the first number for every total": _sums_alike(lambda digits, place: digits[0]),
        "the last number for every total": _sums_alike(lambda digits, place: digits[place]),
    },
    ENGINEERING: {
        "every step's name with the input list": _steps_alike(lambda values: values),
        **{f"every step as {name}": _steps_alike(operation) for name, operation in OPERATIONS.items()},
        "the keys, every value 0": _fields_alike(lambda words: "0"),
        "the keys, every value its first word": _fields_alike(lambda words: f'"{words[0]}"' if words else "0"),
    },
}


# What is searched for, over the suite's own answers.


def _cells(suite: Suite) -> list[tuple[str, int]]:
    """Skill and difficulty of every problem that the suite asks to be written."""
    teaching = suite.tiers.teaching
    tasks = [task for task in suite.tiers.engineering.tasks if isinstance(task, WritingTask)]
    return [(task.skill, task.difficulty) for task in tasks] + [(teaching.skill, each) for each in teaching.writes]


def _idle(name: str, difficulty: int, rng: random.Random) -> str:
    return IDLE[name](difficulty, rng)


Writer = Callable[[str, int, random.Random], str]
WRITERS: tuple[tuple[str, Writer, Container[str]], ...] = (
    (IDLE_WRITER, _idle, IDLE),
    (ONE_FORM, one_form, FORMS),
    (ONE_KIND, one_kind, FORMS),
)


def _writers(suite: Suite, writer: Writer, skills: Container[str]) -> dict[str, Callable[[random.Random], str]]:
    """Request -> what writes the problem that it asks for, where that knows the skill."""
    cells = [(name, difficulty) for name, difficulty in _cells(suite) if name in skills]
    return {get_skill(name).ask(each): partial(writer, name, each) for name, each in cells}


def _one_problem(suite: Suite) -> dict[str, str]:
    """What a teacher is asked -> one problem with its right answer, the same whenever it is asked."""
    written = {}
    for name, difficulty in _cells(suite):
        skill = get_skill(name)
        problem = skill.sample(random.Random(0), difficulty)
        written[skill.ask(difficulty)] = skill.written(problem.prompt, problem.completion)[1]
    return written


def _best_constants(suite: Suite) -> dict[str, str]:
    """Prompt -> of the constants and the task's own answers the one that scores most over the task's items."""
    asked = [*suite.sanity_tasks, *suite.tiers.engineering.tasks]
    found: dict[str, str] = {}
    for task in asked:
        items = suite.items.get(task.name, ())
        ladder = task if isinstance(task, LadderTask) else None

        def worth(said: str, targets: Sequence[str], ladder: LadderTask | None = ladder) -> float:
            if ladder is None:
                return sum(said == target for target in targets)
            return sum(scored(JUDGES[ladder.kind](said, each), suite.points(ladder.kind))[0] for each in targets)

        targets = [item.target for item in items]
        best = max([*CONSTANTS, *sorted(set(targets))], key=lambda said: worth(said, targets))
        found |= {item.prompt: best for item in items}
    return found


def _of_kind(suite: Suite, kind: str) -> list[Any]:
    return [task for task in suite.engineering_files if task.kind == kind]


def _as_it_is(suite: Suite) -> dict[str, str]:
    tasks = _of_kind(suite, "diagnosis")
    causes = [task.cause for task in tasks]
    cause = max(sorted(set(causes)), key=causes.count)
    return {task.prompt: f"Cause: {cause}\nObservation: 0\n\n```python\n{task.script}\n```" for task in tasks}


def _designs(written: Callable[[Any, list[dict[str, Any]]], dict[str, Any]], suite: Suite) -> dict[str, str]:
    """Prompt -> the right topics in the right order, a stage each, and of the rest what `written` makes of the task."""
    designs = {}
    for task in _of_kind(suite, "curriculum_design"):
        needed = [topic for topic in task.topics if topic.role == "needed"]
        ordered = sorted(needed, key=lambda topic: topic.level)
        stages = [{"topics": [topic.name], "prerequisites": list(topic.needs)} for topic in ordered]
        designs[task.prompt] = json.dumps(written(task, stages))
    return designs


def _names(task: EngineeringTask, stages: list[dict[str, Any]]) -> dict[str, Any]:
    return {"stages": stages}


def _filled(task: Any, stages: list[dict[str, Any]]) -> dict[str, Any]:
    """As many topics a stage as allowed, and every other field with the first or lowest value that the task names."""
    metric, span = next(iter(task.metrics.items()))
    method = task.methods[0]
    most = task.topics_per_stage
    grouped = [stages[first : first + most] for first in range(0, len(stages), most)]
    common = {
        "source": task.sources[0].name,
        "method": method.name,
        "format": "a problem, and below it the right answer",
        "examples": most * task.examples_per_topic,
        "replay_share": task.replay.low,
        "epochs": task.epochs.low,
        "learning_rate": method.learning_rate.low,
        "batch_size": int(task.batch_size.low),
        "exit_test": {"metric": metric, "threshold": span.low},
    }
    filled = []
    for place, group in enumerate(grouped):
        topics = [name for stage in group for name in stage["topics"]]
        needs = sorted({name for stage in group for name in stage["prerequisites"]} - set(topics))
        counts = {"counts": dict.fromkeys(topics, task.examples_per_topic)} if task.grounding else {}
        filled.append({"name": f"part {place + 1}", "topics": topics, "prerequisites": needs, **common, **counts})
    return {"stages": filled, **task.ceilings.model_dump(exclude_none=True)}
