"""Forms that are filled: problems whose parts are of kinds that were chosen before, with other words every time. Light.

Whoever has one form by heart, or knows one kind of part, writes right problems without end. What they earn is part of
the floor of every suite that asks for problems (`lamarck suite calibrate`). The kinds are those of eval/work.py.
"""

import random
from collections.abc import Callable
from functools import cache

from lamarck.eval.work import takes_work
from lamarck.skills import Malformed, TaggedSkill, get_skill, list_ops, plain_steps, plain_sums
from lamarck.skills.base import PROMPT_END
from lamarck.skills.json_mode import DIGITS, KEYS, VALUES
from lamarck.skills.plain import NAMES, PlainSkill
from lamarck.skills.plain_record import FLAGS, HEAD, LISTS, NUMBERS, SAID, VERBS, WORDS

Form = tuple[str, ...]
CHANGES = tuple(f"{change:+}" for change in range(-9, 10) if change)
MOST_TRIES = 100  # for a form that takes work whatever fills it, and for words that fit
FILLINGS = 5  # by which a form is known


def _list_ops(form: Form, rng: random.Random) -> str:
    return " ".join([*rng.sample(list_ops.DIGITS, list_ops.LENGTH), "|", *form])


def _arithmetic(form: Form, rng: random.Random) -> str:
    return " ".join([rng.choice(DIGITS), *(f"{change[0]} {change[1:]}" for change in form)])


def _json_mode(form: Form, rng: random.Random) -> str:
    said = {
        "word": lambda: rng.choice(VALUES),
        "digit": lambda: rng.choice(DIGITS),
        "list": lambda: " ".join(rng.choices(VALUES, k=2)),
    }
    keys = rng.sample(KEYS, len(form))
    return " ".join(f"{key} {said[shape]()} ;" for key, shape in zip(keys, form, strict=True))


def _plain_steps(form: Form, rng: random.Random) -> str:
    digits = " ".join(rng.sample(plain_steps.DIGITS, plain_steps.LENGTH))
    return plain_steps.PROMPT.format(digits=digits, steps=", ".join(form))


def _plain_sums(form: Form, rng: random.Random) -> str:
    told = [f"{rng.choice(NAMES)} has {rng.randint(0, plain_sums.LARGEST)} {rng.choice(plain_sums.THINGS)}"]
    told += [f"{'gets' if change[0] == '+' else 'loses'} {change[1:]}" for change in form]
    return f"{plain_sums.HEAD} {', '.join(told)}. {plain_sums.END}"


def _plain_record(form: Form, rng: random.Random) -> str:
    """In any order, which is no part of the form."""
    of_shape = {"str": WORDS, "list": LISTS}
    fields: dict[str, str] = {}
    for shape in rng.sample(form, len(form)):
        keys = [
            key for key in of_shape.get(shape, SAID) if key not in fields and (shape in of_shape or shape in SAID[key])
        ]
        if not keys:
            raise Malformed("more fields of a shape than there are keys")
        key = rng.choice(keys)
        fields[key] = rng.choice(list(SAID[key])) if shape in of_shape else shape
    return f"{HEAD} {', '.join(f'{key} {VERBS[key]} {said}' for key, said in fields.items())}."


# Skill -> the kinds of its parts, and how a form of them is filled.
FORMS: dict[str, tuple[Form, Callable[[Form, random.Random], str]]] = {
    "arithmetic": (CHANGES, _arithmetic),
    "list_ops": (tuple(list_ops.OPERATIONS), _list_ops),
    "json_mode": (("word", "digit", "list"), _json_mode),
    "plain_sums": (CHANGES, _plain_sums),
    "plain_steps": (tuple(plain_steps.STEPS), _plain_steps),
    "plain_record": (("str", "list", *NUMBERS, *FLAGS), _plain_record),
}


def filled(name: str, form: Form, rng: random.Random) -> tuple[str, str]:
    """(problem, what a teacher writes who gives it with its right answer); empty where no words were found that fit."""
    skill = get_skill(name)
    for _ in range(MOST_TRIES):
        try:
            said = FORMS[name][1](form, rng)
            if isinstance(skill, TaggedSkill):
                prompt = f"{skill.ask(len(form))} {said} {PROMPT_END}"
                return prompt, skill.written(prompt, skill.solve(said.split(), len(form)))[1]
            assert isinstance(skill, PlainSkill)
            return said, skill.written(said, skill.read(said)[1])[1]
        except Malformed:
            continue
    return "", ""


@cache
def _by_heart(name: str, difficulty: int) -> Form:
    """A form that takes work, with whatever words."""
    rng = random.Random(difficulty)
    form: Form = ()
    for _ in range(MOST_TRIES):
        form = tuple(rng.choices(FORMS[name][0], k=difficulty))
        problems = [filled(name, form, rng)[0] for _ in range(FILLINGS)]
        if all(problem and takes_work(name, problem) for problem in problems):
            break
    return form


def one_form(name: str, difficulty: int, rng: random.Random) -> str:
    """A problem of the one form that this writer has by heart."""
    return filled(name, _by_heart(name, difficulty), rng)[1]


def one_kind(name: str, difficulty: int, rng: random.Random) -> str:
    """A problem whose parts are all of the kind that is the first of its skill."""
    return filled(name, FORMS[name][0][:1] * difficulty, rng)[1]
