"""Copies of problems: the same problem in other words, made from the text alone, as somebody would who hides one."""

import json
import random
import re
from collections.abc import Callable

PERSONS = "Ana Ben Chloe Dario Emre Farah Goran Hana Ivo Jun Kira Liam Mona Nadia Omar Priya".split()
Copy = Callable[[str, random.Random], str]


def other_space(prompt: str, rng: random.Random) -> str:
    return re.sub(" ", lambda _: rng.choice((" ", "  ", "\t", "\n")), prompt) + rng.choice(("", " ", "\n"))


def other_case(prompt: str, rng: random.Random) -> str:
    return rng.choice((str.upper, str.lower, str.swapcase, str.title))(prompt)


def fields_shuffled(prompt: str, rng: random.Random) -> str:
    """json_mode: `<j2> name mia ; age 7 ; =>`."""
    tag, _, rest = prompt.partition(" ")
    fields = rest.removesuffix(" ; =>").split(" ; ")
    return f"{tag} {' ; '.join(_shuffled(fields, rng))} ; =>"


def sentence_shuffled(prompt: str, rng: random.Random) -> str:
    """plain_record: `...: name is Mia, age is seven.`"""
    head, _, fields = prompt.partition(": ")
    return f"{head}: {', '.join(_shuffled(fields.removesuffix('.').split(', '), rng))}."


def record_shuffled(prompt: str, rng: random.Random) -> str:
    """json_schema: the schema's properties and the record's lines."""
    head, schema, record = prompt.split("\n\n")
    properties = _properties_shuffled(json.loads(schema.removeprefix("Schema: ")), rng)
    title, *lines = record.split("\n")
    return f"{head}\n\nSchema: {json.dumps(properties)}\n\n" + "\n".join([title, *_shuffled(lines, rng)])


def _properties_shuffled(schema: dict[str, object], rng: random.Random) -> dict[str, object]:
    if not isinstance(properties := schema.get("properties"), dict):
        return schema
    names = _shuffled(list(properties), rng)
    changed = {name: _properties_shuffled(properties[name], rng) for name in names}
    return schema | {"properties": changed, "required": names}


def tests_shuffled(prompt: str, rng: random.Random) -> str:
    """python_code: examples and tests."""
    before, _, rest = prompt.partition("Examples:\n")
    examples, _, tests = rest.partition("\n\nTests:\n```python\n")
    one, other = examples.split("\n")
    lines = _shuffled(tests.removesuffix("\n```").split("\n"), rng)
    return f"{before}Examples:\n{other}\n{one}\n\nTests:\n```python\n" + "\n".join(lines) + "\n```"


def machine_keys_swapped(prompt: str, rng: random.Random) -> str:
    """curriculum_design: `{"start": 0, "moves": [...]}`."""
    return re.sub(r'\{("start": \d), ("moves": .*)\}', r"{\2, \1}", prompt)


def other_person(prompt: str, rng: random.Random) -> str:
    """math_word: somebody else, all through the story."""
    return re.sub(rf"\b({'|'.join(PERSONS)})\b", rng.choice(("Zoltan", "Émile", "Mary Jane O'Neil", "Bo")), prompt)


def other_owner(prompt: str, rng: random.Random) -> str:
    """plain_sums: somebody else, who has something else."""
    someone, thing = rng.choice(("Zoltan", "Bo", "Ida")), rng.choice(("pebbles", "lamps"))
    return re.sub(r"(?<=Count: )\w+ has (\d+) \w+", rf"{someone} has \1 {thing}", prompt)


def other_function(prompt: str, rng: random.Random) -> str:
    """python_code: another name for the function and its argument, wherever they stand as code."""
    found = re.search(r"def (\w+)\((\w+):", prompt)
    assert found
    renamed = re.sub(rf"\b{found[1]}\(", rng.choice(("solve(", "go(", "work_out(")), prompt)
    return re.sub(rf"\({found[2]}: ", "(given: ", renamed)


def other_variables(prompt: str, rng: random.Random) -> str:
    """ml_diagnosis: every variable of the script under another name, in the trace and the check too."""
    script = prompt.partition("```python\n")[2].partition("\n```")[0]
    bound = set(re.findall(r"^\s*(\w+)(?= = )", script, re.MULTILINE))
    return re.sub(r"(?<![\w.])\w+\b(?!=[^=])", lambda name: f"my_{name[0]}" if name[0] in bound else name[0], prompt)


def other_thing(prompt: str, rng: random.Random) -> str:
    """curriculum_design: told of something else."""
    things = "coin ball pea key ring dial counter register wheel robot cat guard mouse".split()
    return re.sub(rf"\b({'|'.join(things)})\b", rng.choice(("pebble", "lamp", "beetle")), prompt)


def is_copy(skill: str, prompt: str, other: str) -> bool:
    """Whether two problems are one, but for order and names."""
    return _told(skill, prompt) == _told(skill, other)


def _told(skill: str, prompt: str) -> list[str]:
    match skill:
        case "json_mode":
            return sorted(prompt.split(" ; "))[:-1] + prompt.split()[:1]
        case "plain_record":
            return sorted(prompt.partition(": ")[2].removesuffix(".").split(", "))
        case "plain_sums":
            return prompt.partition(" has ")[2].split(", ")[1:] + prompt.split()[3:4]
        case "json_schema":
            return sorted(prompt.partition("Record:")[2].split("\n"))
        case "math_word":
            return [re.sub(rf"\b({'|'.join(PERSONS)})\b", "somebody", prompt)]
        case "curriculum_design":
            return prompt.split("\n")[-2:]
    return [prompt]


def _shuffled(values: list[str], rng: random.Random) -> list[str]:
    return rng.sample(values, len(values))


def as_it_is(prompt: str, rng: random.Random) -> str:
    return prompt


EVERYWHERE: dict[str, Copy] = {"as it is": as_it_is, "white space": other_space, "case": other_case}
ORDER: dict[str, Copy] = {
    "json_mode": fields_shuffled,
    "plain_record": sentence_shuffled,
    "json_schema": record_shuffled,
    "python_code": tests_shuffled,
    "curriculum_design": machine_keys_swapped,
}
NAMES: dict[str, Copy] = {
    "plain_sums": other_owner,
    "math_word": other_person,
    "python_code": other_function,
    "ml_diagnosis": other_variables,
    "curriculum_design": other_thing,
}
COPIES = (*EVERYWHERE, "order", "names")


def copies_of(skill: str, prompt: str, rng: random.Random) -> dict[str, str]:
    """How it was copied -> the copy, for all ways that leave a problem of the skill the problem that it is."""
    ways = EVERYWHERE | {name: ways[skill] for name, ways in (("order", ORDER), ("names", NAMES)) if skill in ways}
    return {name: copy(prompt, rng) for name, copy in ways.items()}
