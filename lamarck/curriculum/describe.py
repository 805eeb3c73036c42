"""The numbers of a curriculum that a reviewer reads: results/gN/curriculum.json."""

from collections import Counter
from typing import Any

from lamarck.curriculum.cell import Cell
from lamarck.curriculum.item import Item


def describe(
    cells: list[Cell],
    asked: int,
    replayed: list[Item],
    anchors: list[Item],
    rewritten: list[Item],
    measures: dict[str, float],
) -> dict[str, Any]:
    """Fields of a `Card`: counts, the guard-rails' measures, and warnings: `asked` for so many items.

    Nothing sampled goes uncounted.
    """
    items = [item for cell in cells for item in cell.kept]
    dropped: Counter[str] = Counter()
    for cell in cells:
        dropped.update(cell.dropped)
    sampled = sum(cell.sampled for cell in cells)
    # What was verified and distinct beyond what was asked for.
    dropped["surplus"] = sampled - len(items) - dropped.total()
    return {
        "items": len(items) + len(replayed) + len(anchors) + len(rewritten),
        "sampled": sampled,
        "answered": sum(cell.answered for cell in cells),
        "kept": len(items),
        "replayed": len(replayed),
        "anchors": len(anchors),
        "to_write": len(rewritten),
        "dropped": {reason: count for reason, count in sorted(dropped.items()) if count},
        "acceptance": round(acceptance(cells), 6),
        "cells": [
            {
                "skill": cell.skill.name,
                "difficulty": cell.difficulty,
                "sampled": cell.sampled,
                "verified": cell.verified,
                "pass_rate": round(cell.pass_rate, 6),
                "asked": max(cell.asked, cell.wanted),
                "kept": len(cell.kept),
            }
            for cell in cells
        ],
        "measures": measures,
        "contamination": dropped["in the suite"],
        "warnings": _warnings(cells, asked),
    }


def _warnings(cells: list[Cell], asked: int) -> list[str]:
    """What a reviewer should not overlook: where the curriculum is smaller than what was asked, and what broke."""
    warnings = [
        f"the verifier of {cell.skill.name} crashed over {cell.crashes} answers of difficulty {cell.difficulty}, "
        "which were refused for that"
        for cell in cells
        if cell.crashes
    ]
    missing = asked - sum(len(cell.kept) for cell in cells)
    if missing > 0:
        short = [cell for cell in cells if cell.closed or len(cell.kept) < cell.wanted]
        names = ", ".join(f"{cell.skill.name} {cell.difficulty}" for cell in short)
        why = f"the teacher could not fill {names}" if short else "its difficulties hold no more problems"
        warnings.append(f"{missing:,} items fewer than asked: {why}")
    return warnings


def acceptance(cells: list[Cell]) -> float:
    """Items kept / everything sampled for them: texts and further answers."""
    return sum(len(cell.kept) for cell in cells) / sum(cell.sampled + cell.answered for cell in cells)
