"""Problems that take no work: a list that every step leaves as it is, a sum that only goes to nothing and back, a
record in which a value is written down as it is said.

Each is right and new, and whoever writes them needs no more than a form and a few words to choose from. A suite that
gives points for problems that are right has to say what these earn (`lamarck suite calibrate`).
"""

import json
import random
from collections.abc import Callable

from lamarck.skills import json_mode, list_ops, plain_record, plain_steps, plain_sums
from lamarck.skills.plain import MARK, NAMES

Writer = Callable[[int, random.Random], str]
MOST = 9  # of a change


def _totals(difficulty: int, rng: random.Random) -> tuple[int, list[tuple[bool, int]], str]:
    """Where the count starts; what is taken, all that there is, or added to nothing; and what there is after each."""
    total = first = rng.randint(1, MOST)
    changes, said = [], []
    for _ in range(difficulty):
        step = total or rng.randint(1, MOST)
        changes.append((total > 0, step))
        total = 0 if total else step
        said.append(str(total))
    return first, changes, " ".join(said)


def _arithmetic(difficulty: int, rng: random.Random) -> str:
    first, changes, said = _totals(difficulty, rng)
    return " ".join([str(first), *(f"{'-' if taken else '+'} {step}" for taken, step in changes), "=>", said])


def _list_ops(difficulty: int, rng: random.Random) -> str:
    same = " ".join([rng.choice(list_ops.DIGITS)] * list_ops.LENGTH)
    steps = rng.choices([name for name in list_ops.OPERATIONS if name != "inc"], k=difficulty)
    return f"{same} | {' '.join(steps)} => {' '.join(f'{step} {same}' for step in steps)}"


def _json_mode(difficulty: int, rng: random.Random) -> str:
    pairs = [(key, rng.choice(json_mode.DIGITS)) for key in json_mode.KEYS[:difficulty]]
    record = " , ".join(f'"{key}" : {digit}' for key, digit in pairs)
    return f"{' '.join(f'{key} {digit} ;' for key, digit in pairs)} => {{ {record} }}"


def _plain_sums(difficulty: int, rng: random.Random) -> str:
    first, changes, said = _totals(difficulty, rng)
    told = [f"{rng.choice(NAMES)} has {first} {rng.choice(plain_sums.THINGS)}"]
    told += [f"{'loses' if taken else 'gets'} {step}" for taken, step in changes]
    return f"{plain_sums.HEAD} {', '.join(told)}. {plain_sums.END}{MARK}{said}"


def _plain_steps(difficulty: int, rng: random.Random) -> str:
    same = " ".join([rng.choice(plain_steps.DIGITS)] * plain_steps.LENGTH)
    steps = rng.choices(list(plain_steps.STEPS), k=difficulty)
    prompt = plain_steps.PROMPT.format(digits=same, steps=", ".join(steps))
    names = [step.partition(" ")[0] for step in steps]
    return f"{prompt}{MARK}{' '.join(f'{name} {same}' for name in names)}"


def _plain_record(difficulty: int, rng: random.Random) -> str:
    words: list[tuple[str, str | list[str]]] = [(key, rng.choice(known)) for key, known in plain_record.WORDS.items()]
    lists = [(key, rng.sample(known, 2)) for key, known in plain_record.LISTS.items()]
    fields = [*words, *lists][:difficulty]
    said = [f"{key} {plain_record.VERBS[key]} {' and '.join(v) if isinstance(v, list) else v}" for key, v in fields]
    return f"{plain_record.HEAD} {', '.join(said)}.{MARK}{json.dumps(dict(fields))}"


IDLE: dict[str, Writer] = {
    "arithmetic": _arithmetic,
    "list_ops": _list_ops,
    "json_mode": _json_mode,
    "plain_sums": _plain_sums,
    "plain_steps": _plain_steps,
    "plain_record": _plain_record,
}
