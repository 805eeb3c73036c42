"""The corpus of a tiny founder: problems with their right answers, drawn for ever from the skills' exact generators."""

import random
from collections.abc import Iterator, Set

from lamarck.config.tiny import TinyFounder
from lamarck.errors import LamarckError
from lamarck.skills import Problem, get_skill

RESTED = 0.1  # enough to keep a skill, too little to go on learning it


def corpus(
    world: TinyFounder, seed: int, exclude: frozenset[str], resting: Set[str] = frozenset()
) -> Iterator[tuple[str, Problem]]:
    """Draw (skill, problem) by the world's shares and weights; a prompt in `exclude` (held out) is passed over.

    A skill that is in `resting` at the time, which the caller may change between two draws, is drawn `RESTED` as often.
    Errors: LamarckError for a skill that does not exist or more weights than it has difficulties.
    """
    cells: list[tuple[str, int]] = []
    weights: list[float] = []
    for name, part in world.skills.items():
        known = get_skill(name).difficulties
        if len(part.weights) > len(known):
            raise LamarckError(
                f"founder.skills.{name}: {len(part.weights)} weights, but its difficulties end at {known[-1]}"
            )
        for difficulty, weight in zip(known, part.weights, strict=False):
            cells.append((name, difficulty))
            weights.append(part.share * weight / sum(part.weights))
    rng = random.Random(seed)
    while True:
        ((name, difficulty),) = rng.choices(cells, weights)
        if name in resting and rng.random() >= RESTED:
            continue
        problem = get_skill(name).sample(rng, difficulty)
        if problem.prompt not in exclude:
            yield name, problem
