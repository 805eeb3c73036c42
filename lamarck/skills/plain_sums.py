"""plain_sums: what somebody has after each of several changes. Difficulty is the number of changes.

`Count: Mia has 8 apples, gets 3, loses 4. Write the number after each change.` -> `11 7`; numbers stay within 0..20.
"""

import random
import re

from lamarck.skills.base import Malformed, Problem
from lamarck.skills.forms import literal
from lamarck.skills.plain import NAMES, PlainSkill

LARGEST = 20
HEAD = "Count:"
THINGS = ("apples", "books", "coins", "stamps", "cards")
SIGNS = {"gets": 1, "loses": -1}
END = "Write the number after each change."
FORM = re.compile(rf"{HEAD} [A-Z][a-z]{{0,11}} has ([0-9]{{1,2}}) [a-z]{{1,12}}, ([a-z0-9, ]+)\. {re.escape(END)}")
FOLDED = re.compile(
    rf"count: [^,.]{{1,40}} has ([0-9]{{1,2}}) [^,.]{{1,40}}, ([a-z0-9, ]+)\. {re.escape(END.casefold())}"
)
CHANGE = re.compile("(gets|loses) ([1-9])")


class PlainSums(PlainSkill):
    name = "plain_sums"
    description = "what somebody has after each change; compared with the one right answer"
    head, part = HEAD, "change"
    difficulties = range(1, 8)
    example = Problem(f"{HEAD} Mia has 8 apples, loses 3. {END}", "5")
    world = f"A change is gets or loses and a number from 1 to 9; what is there stays between 0 and {LARGEST}."

    def sample(self, rng: random.Random, difficulty: int) -> Problem:
        while True:
            total = rng.randrange(LARGEST + 1)
            who, what = rng.choice(NAMES), rng.choice(THINGS)
            said = [f"{who} has {total} {what}"]
            for _ in range(difficulty):
                step = rng.choice([step for step in range(-9, 10) if step and 0 <= total + step <= LARGEST])
                total += step
                said.append(f"{'gets' if step > 0 else 'loses'} {abs(step)}")
            # Whoever only adds, or only takes away, is right nowhere but in the shortest.
            if difficulty == 1 or len({change.partition(" ")[0] for change in said[1:]}) == len(SIGNS):
                prompt = f"{HEAD} {', '.join(said)}. {END}"
                return Problem(prompt, self.read(prompt)[1])

    def space(self, difficulty: int) -> int:
        """Counted exactly, names and things left out: ways to reach each total after each change, with both kinds."""
        ways = {(total, 0): 1 for total in range(LARGEST + 1)}
        for _ in range(difficulty):
            reached: dict[tuple[int, int], int] = {}
            for (total, kinds), count in ways.items():
                for step in (step for step in range(-9, 10) if step and 0 <= total + step <= LARGEST):
                    place = total + step, kinds | (1 if step > 0 else 2)
                    reached[place] = reached.get(place, 0) + count
            ways = reached
        return sum(count for (_, kinds), count in ways.items() if kinds == 3 or difficulty == 1)

    def read(self, prompt: str) -> tuple[list[str], str]:
        form = FORM.fullmatch(prompt)
        if not form:
            raise Malformed("not the form of a problem: who has how many of what, then changes")
        parts = self.counted(form[2].split(", "))
        total = int(form[1])
        totals = []
        for part in parts:
            change = CHANGE.fullmatch(part)
            if not change:
                raise Malformed("a change that is not gets or loses and a number from 1 to 9")
            total += SIGNS[change[1]] * int(change[2])
            totals.append(total)
        if int(form[1]) > LARGEST or not all(0 <= each <= LARGEST for each in totals):
            raise Malformed(f"a number outside 0..{LARGEST}")
        return parts, " ".join(map(str, totals))

    def what_varies(self, prompt: str) -> frozenset[str]:
        """The numbers and the changes as a whole, whoever has them, and of whatever things."""
        form = FOLDED.fullmatch(" ".join(prompt.casefold().split())) if len(prompt) <= self.longest else None
        if not form:
            raise Malformed("not the form of a problem")
        return frozenset({f"{form[1]}: {form[2]}"})

    def form(self, difficulty: int) -> str:
        number, change = "[0-9]{1,2}", "(gets|loses) [1-9]"
        return (
            f"{HEAD} [A-Z][a-z]{{0,11}} has {number} [a-z]{{1,12}}(, {change}){{{difficulty}}}{literal('. ' + END)}\n"
            f"Answer: {number}( {number}){{{difficulty - 1}}}"
        )
