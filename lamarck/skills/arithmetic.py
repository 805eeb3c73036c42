"""arithmetic: add and subtract one-digit integers, with every running total. Difficulty is the number of operations.

`<a3> 4 + 5 - 3 + 1 =>`  ->  `9 6 7`; totals stay between 0 and 20.
"""

import random

from lamarck.skills.base import Malformed, Problem, TaggedSkill

DIGITS = "0 1 2 3 4 5 6 7 8 9".split()
LARGEST = 20


class Arithmetic(TaggedSkill):
    name = "arithmetic"
    description = "running sums of one-digit numbers; compared with the one right answer"
    letter = "a"
    difficulties = range(1, 10)

    def sample(self, rng: random.Random, difficulty: int) -> Problem:
        total = rng.randrange(10)
        words = [str(total)]
        for _ in range(difficulty):
            steps = [step for step in _STEPS if 0 <= total + step <= LARGEST]
            step = rng.choice(steps)
            total += step
            words += ["+" if step > 0 else "-", str(abs(step))]
        return self._problem(words, difficulty)

    def solve(self, words: list[str], difficulty: int) -> str:
        if len(words) != 1 + 2 * difficulty or words[0] not in DIGITS:
            raise Malformed(f"not a digit and {difficulty} operations")
        total = int(words[0])
        totals: list[str] = []
        for sign, digit in zip(words[1::2], words[2::2], strict=True):
            if sign not in ("+", "-") or digit not in DIGITS or digit == "0":
                raise Malformed("an operation that is not + or - and a digit above 0")
            total += int(digit) if sign == "+" else -int(digit)
            if not 0 <= total <= LARGEST:
                raise Malformed(f"a total outside 0..{LARGEST}")
            totals.append(str(total))
        return " ".join(totals)

    def steps(self, words: list[str]) -> int:
        return len(words) // 2

    def vocabulary(self) -> list[str]:
        return [*self.tags(), *(str(number) for number in range(LARGEST + 1)), "+", "-"]

    def space(self, difficulty: int) -> int:
        """Counted exactly: ways to reach each total after each operation."""
        ways = {total: 1 for total in range(10)}
        for _ in range(difficulty):
            reached = dict.fromkeys(range(LARGEST + 1), 0)
            for total, count in ways.items():
                for step in _STEPS:
                    if 0 <= total + step <= LARGEST:
                        reached[total + step] += count
            ways = reached
        return sum(ways.values())


_STEPS = [step for step in range(-9, 10) if step]
