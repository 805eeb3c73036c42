"""plain_steps: carry out steps on a list of four numbers, with the list after each. Difficulty is their number.

`Start with the list 4 1 7 3. Do this in order: reverse it, swap the ends. ...` -> `reverse 3 7 1 4 swap 4 7 1 3`
"""

import random
import re
from collections.abc import Callable

from lamarck.skills.base import Malformed, Problem
from lamarck.skills.forms import literal
from lamarck.skills.plain import PlainSkill

DIGITS = "0 1 2 3 4 5 6 7 8 9".split()
LENGTH = 4
HEAD = "Start with the list"
# By its first word, which the answer repeats, each step is told from the others.
STEPS: dict[str, Callable[[list[int]], list[int]]] = {
    "reverse it": lambda values: values[::-1],
    "sort it": sorted,
    "swap the ends": lambda values: [values[-1], *values[1:-1], values[0]],
    "move the first to the end": lambda values: values[1:] + values[:1],
    "bring the last to the front": lambda values: values[-1:] + values[:-1],
}
PROMPT = HEAD + " {digits}. Do this in order: {steps}. After each, write its first word and the list, all on one line."
FORM = re.compile(re.escape(PROMPT).replace(r"\{digits\}", "([0-9](?: [0-9]){3})").replace(r"\{steps\}", "([a-z, ]+)"))
FOLDED = re.compile(FORM.pattern.casefold())


class PlainSteps(PlainSkill):
    name = "plain_steps"
    description = "steps on a list of numbers, with the list after each; compared with the one right answer"
    head, part = HEAD, "step"
    difficulties = range(1, 7)
    example = Problem(PROMPT.format(digits="4 1 7 3", steps="reverse it"), "reverse 3 7 1 4")
    world = f"The steps: {', '.join(STEPS)}. Each may come more than once."

    def sample(self, rng: random.Random, difficulty: int) -> Problem:
        digits = " ".join(rng.choices(DIGITS, k=LENGTH))
        prompt = PROMPT.format(digits=digits, steps=", ".join(rng.choices(list(STEPS), k=difficulty)))
        return Problem(prompt, self.read(prompt)[1])

    def space(self, difficulty: int) -> int:
        return int(len(DIGITS) ** LENGTH * len(STEPS) ** difficulty)

    def read(self, prompt: str) -> tuple[list[str], str]:
        form = FORM.fullmatch(prompt)
        if not form:
            raise Malformed("not the form of a problem: a list of four digits, then steps")
        steps = self.counted(form[2].split(", "))
        values = [int(digit) for digit in form[1].split()]
        trace: list[str] = []
        for step in steps:
            if step not in STEPS:
                raise Malformed("a step that is not one of the steps")
            values = STEPS[step](values)
            trace += [step.partition(" ")[0], *map(str, values)]
        return steps, " ".join(trace)

    def what_varies(self, prompt: str) -> frozenset[str]:
        """List and steps as a whole: one digit more or less makes another problem."""
        form = FOLDED.fullmatch(" ".join(prompt.casefold().split())) if len(prompt) <= self.longest else None
        if not form:
            raise Malformed("not the form of a problem")
        return frozenset({f"{form[1]}: {form[2]}"})

    def form(self, difficulty: int) -> str:
        steps = "|".join(STEPS)
        names = "|".join(step.partition(" ")[0] for step in STEPS)
        line = f"({names})( [0-9]){{{LENGTH}}}"
        more = difficulty - 1
        before, _, rest = PROMPT.partition("{digits}")
        between, _, after = rest.partition("{steps}")
        return (
            f"{literal(before)}[0-9]( [0-9]){{3}}{literal(between)}({steps})(, ({steps})){{{more}}}{literal(after)}\n"
            f"Answer: {line}( {line}){{{more}}}"
        )
