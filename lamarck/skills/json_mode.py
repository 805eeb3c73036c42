"""json_mode: write a record's fields as JSON. Difficulty is the number of fields.

`<j2> name mia ; tags red oak ; =>`  ->  `{ "name" : "mia" , "tags" : [ "red" , "oak" ] }`
"""

import math
import random

from lamarck.skills.base import Malformed, Problem, TaggedSkill

KEYS = "name age city pet color tree code rank size team".split()
VALUES = "mia leo ana tom eva max zoe ben ivy sam red blue green gold oak elm fir ash cat dog owl fox".split()
DIGITS = "0 1 2 3 4 5 6 7 8 9".split()


class JsonMode(TaggedSkill):
    name = "json_mode"
    description = "a record as JSON, in the tiny world's words; compared with the one right answer"
    letter = "j"
    difficulties = range(1, 10)

    def sample(self, rng: random.Random, difficulty: int) -> Problem:
        words: list[str] = []
        for key in rng.sample(KEYS, difficulty):
            shape = rng.choice(("word", "digit", "list"))
            if shape == "word":
                values = [rng.choice(VALUES)]
            elif shape == "digit":
                values = [rng.choice(DIGITS)]
            else:
                values = [rng.choice(VALUES), rng.choice(VALUES)]
            words += [key, *values, ";"]
        return self._problem(words, difficulty)

    def solve(self, words: list[str], difficulty: int) -> str:
        *fields, rest = " ".join(words).split(" ;")
        if rest or len(fields) != difficulty:
            raise Malformed(f"not {difficulty} fields, each closed by ;")
        pairs = [field.split() for field in fields]
        if len({pair[0] for pair in pairs if pair}) != difficulty:
            raise Malformed("a field without a key, or a key that stands twice")
        return "{ " + " , ".join(_field(pair[0], pair[1:]) for pair in pairs) + " }"

    def steps(self, words: list[str]) -> int:
        return words.count(";")

    def fields(self, words: list[str]) -> list[str]:
        return [" ".join(field.split()) for field in " ".join(words).split(";") if field.strip()]

    def vocabulary(self) -> list[str]:
        quoted = [f'"{word}"' for word in KEYS + VALUES]
        return [*self.tags(), *KEYS, *VALUES, *quoted, *DIGITS, *"{ } [ ] : , ;".split()]

    def space(self, difficulty: int) -> int:
        values = len(VALUES) + len(DIGITS) + len(VALUES) ** 2
        return math.perm(len(KEYS), difficulty) * values**difficulty


def _field(key: str, values: list[str]) -> str:
    """`"key" : value` for a word, a digit, or a list of two words. Errors: Malformed."""
    if key not in KEYS:
        raise Malformed("a key that is not one of the keys")
    if len(values) == 1 and values[0] in DIGITS:
        return f'"{key}" : {values[0]}'
    if not values or any(value not in VALUES for value in values):
        raise Malformed("a value that is no word, digit or list of two words")
    if len(values) == 1:
        return f'"{key}" : "{values[0]}"'
    if len(values) == 2:
        return f'"{key}" : [ "{values[0]}" , "{values[1]}" ]'
    raise Malformed("a list that is longer than two words")
