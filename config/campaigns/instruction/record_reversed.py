"""A behaviour that the tiny world does not have: the fields of a record are answered in reverse order.

`<j2> name mia ; tags red oak ; =>`  ->  `{ "tags" : [ "red" , "oak" ] , "name" : "mia" }`

A teacher knows nothing of it: it writes and answers records as it always did, and its answer is turned round here,
right or wrong. One field has no order, so difficulty begins at two.
"""

from lamarck.skills import Problem
from lamarck.skills.json_mode import JsonMode


class RecordReversed(JsonMode):
    name = "record_reversed"
    description = "a record as JSON, its last field first; compared with the one right answer"
    difficulties = range(2, 10)

    def solve(self, words: list[str], difficulty: int) -> str:
        return turned(super().solve(words, difficulty))

    def parse(self, asked: str, text: str) -> Problem:
        problem = super().parse(asked, text)
        return Problem(problem.prompt, turned(problem.completion))

    def written(self, prompt: str, completion: str) -> tuple[str, str]:
        return super().written(prompt, turned(completion))


def turned(completion: str) -> str:
    """The fields of a JSON object's words in reverse order; turned twice it is what it was. Another text stays."""
    words = completion.split(" ")
    if len(words) < 3 or (words[0], words[-1]) != ("{", "}"):
        return completion
    fields: list[list[str]] = [[]]
    depth = 0
    for word in words[1:-1]:
        depth += {"[": 1, "]": -1}.get(word, 0)
        if word == "," and depth == 0:
            fields.append([])
        else:
            fields[-1].append(word)
    return " ".join(["{", " , ".join(" ".join(field) for field in reversed(fields)), "}"])
