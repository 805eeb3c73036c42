"""What the screen against held-out problems refuses, for every skill and difficulty.

    python -m benchmarks.contamination [--problems 1000] [--skill NAME ...] [--suite config/suites/NAME ...]

For each cell, independent problems are held against the shipped suites, those that hold none of the skill together, and
against 300 drawn for this. Of those refused, `equal` have a held-out problem's very words, `alike` are one but for
order or names; all else is refused for nothing. Then each held-out problem is copied: as it is, in other white space,
in another case, and where the skill has fields or names without a meaning, with these in another order or under other
names. Ends with 1 where more than 1% is refused for nothing or less than 99% of the copies are found.
"""

import argparse
import random
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from lamarck.curriculum.suite_overlap import Contamination
from lamarck.seeds import seed_for
from lamarck.skills import SKILLS, Malformed, Skill, get_skill
from lamarck.suites.suite import held_out_prompts, load_suite
from tests.curriculum.copies import COPIES, copies_of, is_copy

HELD_OUT = 300  # as many as a suite may ask of a cell
MOST_COPIED = 200
SUITES = [Path("config/suites") / name for name in ("tiny-v3", "tiny-exam-v2", "small-v2", "small-exam-v2", "v2")]


class Row(NamedTuple):
    problems: int
    equal: int
    alike: int
    for_nothing: int
    copies: dict[str, tuple[int, int]]  # how copied -> (found, made)

    @property
    def is_good(self) -> bool:
        found = all(found >= 0.99 * made for found, made in self.copies.values())
        return self.for_nothing <= 0.01 * self.problems and found


def measure(skill: Skill, held_out: list[str], fresh: list[str], contamination: Contamination) -> Row:
    """`held_out`: those of one skill and difficulty, of all that `contamination` holds; `fresh`: others of the kind."""
    rng = random.Random(seed_for(3, skill.name))
    refused = [prompt for prompt in fresh if contamination.copied(skill.name, prompt)]
    others = [prompt for prompt in refused if prompt not in set(held_out)]
    alike = sum(any(is_copy(skill.name, prompt, each) for each in held_out) for prompt in others)
    copies: dict[str, tuple[int, int]] = {}
    for prompt in held_out[:MOST_COPIED]:
        for how, copy in copies_of(skill.name, prompt, rng).items():
            found, made = copies.get(how, (0, 0))
            copies[how] = (found + (contamination.copied(skill.name, copy) is not None), made + 1)
    return Row(len(fresh), len(refused) - len(others), alike, len(others) - alike, copies)


def drawn(skill: Skill, difficulty: int, seed: int, number: int) -> list[str]:
    rng = random.Random(seed_for(seed, skill.name, str(difficulty)))
    return [skill.sample(rng, difficulty).prompt for _ in range(number)]


def grouped(skill: Skill, held: Mapping[str, list[str]]) -> list[tuple[str, list[str], Contamination]]:
    """(name, held-out problems, screen) of each suite that holds problems of a skill, and of all others together: to
    read a problem takes milliseconds, and each screen reads it."""
    apart = {name: prompts for name, prompts in held.items() if any(is_of(prompt, skill) for prompt in prompts)}
    others = [prompt for name in held.keys() - apart.keys() for prompt in held[name]]
    named = [*apart.items(), *([("other suites", others)] if others else [])]
    return [(name, prompts, Contamination(prompts)) for name, prompts in named]


def of_cell(prompts: list[str], skill: Skill, difficulty: int) -> list[str]:
    return [prompt for prompt in prompts if is_of(prompt, skill, difficulty)]


def is_of(prompt: str, skill: Skill, difficulty: int | None = None) -> bool:
    """Whether a prompt is a problem of the skill, and of the difficulty where one is given."""
    try:
        return skill.difficulty(prompt) in ([difficulty] if difficulty else skill.difficulties)
    except Malformed:
        return False


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--skill", choices=SKILLS, nargs="*", default=list(SKILLS))
    parser.add_argument("--suite", type=Path, nargs="*", default=SUITES)
    arguments = parser.parse_args()
    held = {path.name: sorted(held_out_prompts(load_suite(path))) for path in arguments.suite}
    good = True
    print(
        f"{'':22}{'held out by':>13}{'equal':>7}{'alike':>7}{'for nothing':>13}"
        + "".join(f"{how:>13}" for how in COPIES)
    )
    for skill in map(get_skill, arguments.skill):
        groups = grouped(skill, held)
        for difficulty in skill.difficulties:
            own = list(dict.fromkeys(drawn(skill, difficulty, 1, min(HELD_OUT, skill.space(difficulty) // 10))))
            fresh = drawn(skill, difficulty, 2, arguments.problems)
            against = [(name, screen, of_cell(prompts, skill, difficulty)) for name, prompts, screen in groups]
            for name, screen, prompts in [*against, ("a draw", Contamination(own), own)]:
                row = measure(skill, prompts, fresh, screen)
                good &= row.is_good
                shares = (f"{row.copies[how][0]}/{row.copies[how][1]}" if how in row.copies else "" for how in COPIES)
                print(
                    f"{skill.name + f' {difficulty}':22}{name:>13}{row.equal:>7}{row.alike:>7}{row.for_nothing:>13}"
                    + "".join(f"{share:>13}" for share in shares),
                    flush=True,
                )
    print("every cell is within bounds" if good else "a cell is out of bounds")
    sys.exit(not good)


if __name__ == "__main__":
    main()
