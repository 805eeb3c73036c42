"""Anchors: a share of every curriculum that no generation wrote, from the data that the founder was made of.

What a child is trained on besides its teacher's items holds it where the founder was sound (accumulated data,
Gerstgrasser et al. 2024, arXiv:2404.01413).
"""

import math
from itertools import islice

from lamarck.config.founder import Founder
from lamarck.curriculum.item import DATA, Item, ItemVerdict, Teacher, item_id
from lamarck.curriculum.suite_overlap import Contamination
from lamarck.errors import LamarckError
from lamarck.files import digest_value
from lamarck.skills import get_skill
from lamarck.skills.corpus import corpus


def draw_anchors(
    founder: Founder, contamination: Contamination, beside: list[Item], share: float, strategy_digest: str, seed: int
) -> list[Item]:
    """Anchors that make up about `share` of a curriculum together with the items `beside`, none of which they repeat.
    None is a copy of a held-out problem.

    Errors: LamarckError for a founder whose data is not at hand.
    """
    if not share:
        return []
    if founder.kind != "tiny":
        raise LamarckError(
            f"anchor_share is {share:g}, but the data of a founder of kind {founder.kind} is not at hand: set it to 0"
        )
    taken = frozenset(item.prompt for item in beside)
    wanted = math.ceil(len(beside) * share / (1 - share))
    teacher = Teacher(generation=DATA, digest=digest_value(founder.model_dump(mode="json")))
    free = (
        (name, problem)
        for name, problem in corpus(founder, seed, taken)
        if not contamination.copied(name, problem.prompt)
    )
    drawn = {problem.prompt: (name, problem) for name, problem in islice(free, wanted)}
    return [
        Item(
            id=item_id(name, problem.prompt, problem.completion),
            skill=name,
            difficulty=get_skill(name).difficulty(problem.prompt),
            prompt=problem.prompt,
            completion=problem.completion,
            teacher=teacher,
            verdict=ItemVerdict(verified=True, by=name, score=1.0),
            strategy=strategy_digest,
        )
        for name, problem in drawn.values()
    ]
