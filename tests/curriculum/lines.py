"""Items and cards as the curriculum stage writes them, at a small size."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from lamarck.curriculum.item import Item, ItemVerdict, Teacher, item_id
from lamarck.lineage.contents import Card
from lamarck.lineage.records import make_record
from lamarck.skills import get_skill


def item(skill: str, difficulty: int, rng: random.Random, teacher: str = "g0", **changes: Any) -> Item:
    """A right problem of the skill's own generator, as if `teacher` had written it."""
    problem = get_skill(skill).sample(rng, difficulty)
    values = {
        "id": item_id(skill, problem.prompt, problem.completion),
        "skill": skill,
        "difficulty": difficulty,
        "prompt": problem.prompt,
        "completion": problem.completion,
        "teacher": Teacher(generation=teacher, digest=f"digest of {teacher}"),
        "verdict": ItemVerdict(verified=True, by=skill, score=1.0),
        "strategy": "5" * 64,
    }
    return Item.model_validate(values | changes)


def items(cells: dict[tuple[str, int], int], seed: int, teacher: str = "g0") -> list[Item]:
    """`cells`: (skill, difficulty) -> how many different items."""
    rng = random.Random(seed)
    found: dict[str, Item] = {}
    for (skill, difficulty), count in cells.items():
        goal = len(found) + count
        while len(found) < goal:
            made = item(skill, difficulty, rng, teacher)
            found.setdefault(made.prompt, made)
    return list(found.values())


def typed_card(*arguments: Any, **changes: Any) -> Card:
    return Card.model_validate(card(*arguments, **changes))


def card(written: Sequence[Item], generation: str, parent: str, replayed: int = 0, **changes: Any) -> dict[str, Any]:
    """curriculum.json of `written` items, half of the sampled texts, and as many replayed ones."""
    counts = Counter((each.skill, each.difficulty) for each in written)
    inputs = {"parent": f"digest of {parent}", "strategy": "5" * 64, "seed": "1"}
    sampled = 2 * len(written)
    content = {
        "generation": generation,
        "parent": parent,
        "strategy": "strategy.yaml",
        "items": len(written) + replayed,
        "sampled": sampled,
        "answered": 0,
        "kept": len(written),
        "replayed": replayed,
        "anchors": 0,
        "to_write": 0,
        "acceptance": 0.5,
        "dropped": {"wrong": sampled - len(written)},
        "cells": [
            {
                "skill": skill, "difficulty": difficulty, "sampled": 2 * count, "verified": count,
                "pass_rate": 0.5, "asked": count, "kept": count,
            }
            for (skill, difficulty), count in counts.items()
        ],
        "measures": {"vendi": 12.5, "novelty": 1.0},
        "contamination": 0,
        "warnings": ["the teacher could not fill json_mode 9"],
        "record": make_record("d" * 64, inputs, 7, "cpu", 1.5, 1.0).model_dump(mode="json"),
    }  # fmt: skip
    return content | changes
