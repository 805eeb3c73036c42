"""list_ops: apply operations to a list of four digits, with every list on the way. Difficulty is their number.

`<t3> 4 1 7 3 | rev inc srt =>`  ->  `rev 3 7 1 4 inc 4 8 2 5 srt 2 4 5 8`
"""

import random
from collections.abc import Callable

from lamarck.skills.base import Malformed, Problem, TaggedSkill

DIGITS = "0 1 2 3 4 5 6 7 8 9".split()
LENGTH = 4

OPERATIONS: dict[str, Callable[[list[int]], list[int]]] = {
    "rev": lambda values: values[::-1],
    "rot": lambda values: values[1:] + values[:1],
    "inc": lambda values: [(value + 1) % 10 for value in values],
    "srt": sorted,
    "swp": lambda values: [values[-1], *values[1:-1], values[0]],
}


class ListOps(TaggedSkill):
    name = "list_ops"
    description = "what each step of a program makes of a list; compared with the one right answer"
    letter = "t"
    difficulties = range(1, 10)

    def sample(self, rng: random.Random, difficulty: int) -> Problem:
        digits = rng.choices(DIGITS, k=LENGTH)
        operations = rng.choices(list(OPERATIONS), k=difficulty)
        return self._problem([*digits, "|", *operations], difficulty)

    def solve(self, words: list[str], difficulty: int) -> str:
        digits, bar, operations = words[:LENGTH], words[LENGTH : LENGTH + 1], words[LENGTH + 1 :]
        if bar != ["|"] or len(operations) != difficulty or any(digit not in DIGITS for digit in digits):
            raise Malformed(f"not {LENGTH} digits, a bar and {difficulty} operations")
        values = [int(digit) for digit in digits]
        trace: list[str] = []
        for operation in operations:
            if operation not in OPERATIONS:
                raise Malformed("an operation that is not one of the operations")
            values = OPERATIONS[operation](values)
            trace += [operation, *(str(value) for value in values)]
        return " ".join(trace)

    def steps(self, words: list[str]) -> int:
        return len(words) - LENGTH - 1

    def vocabulary(self) -> list[str]:
        return [*self.tags(), *DIGITS, "|", *OPERATIONS]

    def space(self, difficulty: int) -> int:
        return int(len(DIGITS) ** LENGTH * len(OPERATIONS) ** difficulty)
