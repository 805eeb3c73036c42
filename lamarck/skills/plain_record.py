"""plain_record: write a sentence of fields as one line of JSON. Difficulty is the number of fields.

`...: name is Mia, age is seven, colors are red and blue.` -> `{"name": "Mia", "age": 7, "colors": ["red", "blue"]}`

Its words are few, and written so that each between two spaces is one of them: a student with a word for a token can be
taught what a chat model writes.
"""

import json
import math
import random
import re
from itertools import permutations

from lamarck import strict_json
from lamarck.skills.base import Malformed, Problem, Verdict
from lamarck.skills.forms import literal
from lamarck.skills.plain import NAMES, PlainSkill

Value = str | int | bool | list[str]

HEAD = "Write this as one line of JSON, with digits for numbers and true or false for yes or no:"
WORDS = {
    "name": NAMES,
    "city": ("Rome", "Oslo", "Lima", "Paris", "Cairo"),
    "color": ("red", "blue", "green", "gold", "gray"),
    "animal": ("cat", "dog", "fox", "owl", "horse"),
}
# From two on: a comparison that takes 1 for true would see no difference.
NUMBERS = dict(zip("two three four five six seven eight nine ten eleven twelve".split(), range(2, 13), strict=True))
FLAGS = {"yes": True, "no": False}
LISTS = {"colors": WORDS["color"], "animals": WORDS["animal"]}
# Key -> what the sentence says -> its value.
SAID: dict[str, dict[str, Value]] = {
    **{key: {word: word for word in words} for key, words in WORDS.items()},
    **{key: dict(NUMBERS) for key in ("age", "floor", "price", "rank")},
    **{key: dict(FLAGS) for key in ("open", "new")},
    **{key: {" and ".join(pair): list(pair) for pair in permutations(words, 2)} for key, words in LISTS.items()},
}
VERBS = {key: "are" if key in LISTS else "is" for key in SAID}
FORM = re.compile(re.escape(HEAD) + r" ([^\n]+)\.")


class PlainRecord(PlainSkill):
    name = "plain_record"
    description = "a sentence of fields as one line of JSON; compared with the one right answer"
    head, part = HEAD, "field"
    difficulties = range(1, 8)
    example = Problem(f"{HEAD} city is Oslo.", '{"city": "Oslo"}')
    world = (
        "Fields: name, city, color, animal, age, floor, price, rank (two to twelve), open, new (yes or no), colors, "
        "animals (one and another). Words: " + "; ".join(", ".join(words) for words in WORDS.values()) + "."
    )

    def sample(self, rng: random.Random, difficulty: int) -> Problem:
        fields = [(key, rng.choice(list(SAID[key]))) for key in rng.sample(list(SAID), difficulty)]
        prompt = f"{HEAD} {', '.join(f'{key} {VERBS[key]} {said}' for key, said in fields)}."
        return Problem(prompt, self.read(prompt)[1])

    def space(self, difficulty: int) -> int:
        """Counted exactly: the elementary symmetric polynomial of the keys' numbers of values, in any order."""
        ways = [1] + [0] * difficulty
        for said in SAID.values():
            for size in range(difficulty, 0, -1):
                ways[size] += ways[size - 1] * len(said)
        return math.factorial(difficulty) * ways[difficulty]

    def read(self, prompt: str) -> tuple[list[str], str]:
        form = FORM.fullmatch(prompt)
        if not form:
            raise Malformed("not the form of a problem: head, fields, a full stop")
        parts = self.counted(form[1].split(", "))
        record: dict[str, Value] = {}
        for part in parts:
            key, _, rest = part.partition(" ")
            verb, _, said = rest.partition(" ")
            if key in record or VERBS.get(key) != verb or said not in SAID[key]:
                raise Malformed("a field that is none, or stands twice")
            record[key] = SAID[key][said]
        return parts, json.dumps(record)

    def judge(self, problem: Problem) -> Verdict:
        """White space between JSON's words means nothing; the order of the fields is that of the sentence."""
        _, right = self.read(problem.prompt)
        try:
            given = strict_json.loads(problem.completion)
        except (ValueError, RecursionError):
            return Verdict(False, "no JSON")
        same = json.dumps(given) == right and "\n" not in problem.completion
        return Verdict(True, "exact") if same else Verdict(False, "not the sentence's fields and values")

    def what_varies(self, prompt: str) -> frozenset[str]:
        """The fields, in any order."""
        head, _, fields = " ".join(prompt.casefold().split()).partition(": ")
        if f"{head}:" != HEAD.casefold() or not fields.endswith("."):
            raise Malformed("not the form of a problem")
        return frozenset(self.counted(fields.removesuffix(".").split(", ")))

    def form(self, difficulty: int) -> str:
        fields = "|".join(f"{key} {verb} [a-z A-Z]{{1,24}}" for key, verb in VERBS.items())
        values = r'[0-9]{1,2}|true|false|"[a-zA-Z]{1,8}"|\["[a-z]{1,8}", "[a-z]{1,8}"\]'
        pairs = "|".join(f'"{key}"' for key in VERBS)
        more = difficulty - 1
        return (
            f"{literal(HEAD)} ({fields})(, ({fields})){{{more}}}{literal('.')}\nAnswer: "
            f"{literal('{')}({pairs}): ({values})(, ({pairs}): ({values})){{{more}}}{literal('}')}"
        )

    def vocabulary(self) -> list[str]:
        """Every word between spaces that problems and answers may use."""
        said = sorted({word for values in SAID.values() for text in values for word in text.split()})
        words = sorted({word for known in WORDS.values() for word in known})
        quoted = [f'"{word}"' for word in words]
        plain = [*map(str, NUMBERS.values()), "true", "false", *quoted]
        pairs = [f"[{word}," for word in quoted] + [f"{word}]" for word in quoted]
        values = [f"{value}{end}" for value in [*plain, *pairs[len(quoted) :]] for end in (",", "}")]
        keys = [f'{opening}"{key}":' for opening in ("", "{") for key in SAID]
        ends = [f"{word}{end}" for word in said for end in ("", ",", ".")]
        return list(
            dict.fromkeys([*HEAD.split(), *VERBS, "is", "are", "and", *ends, *keys, *pairs[: len(quoted)], *values])
        )
