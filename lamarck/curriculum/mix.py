"""What a curriculum holds beside the problems that its teacher wrote: earlier ones, and the same ones as written."""

import random
from collections import Counter
from contextlib import suppress

from lamarck.curriculum.item import Item, item_id
from lamarck.errors import Malformed
from lamarck.seeds import seed_for
from lamarck.skills import get_skill
from lamarck.skills.given import GivenProblems


def replay(earlier: list[list[Item]], written: list[Item], per_cell: int, seed: int) -> list[Item]:
    """Up to `per_cell` items per cell of each earlier curriculum, its own items only, none that `written` repeats.

    Accumulating instead of replacing is what keeps a chain of generations from collapsing
    (Gerstgrasser et al. 2024, arXiv:2404.01413).
    """
    taken = {item.prompt for item in written}
    chosen: list[Item] = []
    for number, curriculum in enumerate(earlier):
        shuffled = curriculum.copy()
        random.Random(seed_for(seed, str(number))).shuffle(shuffled)
        count: Counter[tuple[str, int]] = Counter()
        for item in shuffled:
            cell = (item.skill, item.difficulty)
            if item.prompt not in taken and count[cell] < per_cell:
                count[cell] += 1
                taken.add(item.prompt)
                chosen.append(item)
    return chosen


def as_written(items: list[Item], share: float, seed: int, number: int | None = None) -> list[Item]:
    """A share of the items, drawn by `seed`, as their teacher wrote them: asked for a problem, the child writes it with
    its answer. A child that learns to answer alone forgets how to ask. Problems that a user gave, no teacher wrote.

    `number`: so many, where there are, for a control arm: the curriculum that it matches may be one that a human has
    edited. Nothing is verified there: texts that are no problems of their skill are passed over.
    """
    rng = random.Random(seed)
    own = [item for item in items if not isinstance(get_skill(item.skill), GivenProblems)]
    drawn = [(rng.random() < share, item) for item in own]
    chosen = [item for is_drawn, item in drawn if is_drawn]
    if number is None:
        return [to_write(item) for item in chosen]
    rewritten: list[Item] = []
    for item in (*chosen, *(item for is_drawn, item in drawn if not is_drawn)):
        if len(rewritten) == number:
            break
        with suppress(Malformed):
            rewritten.append(to_write(item))
    return rewritten


def to_write(item: Item) -> Item:
    """The item that teaches to write this one's problem. Errors: Malformed where it is none of its skill's."""
    asked, line = get_skill(item.skill).written(item.prompt, item.completion)
    return item.model_copy(
        update={
            "task": "write",
            "prompt": asked,
            "completion": line,
            "context": "",
            "id": item_id(item.skill, asked, line),
        }
    )
