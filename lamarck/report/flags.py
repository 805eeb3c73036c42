"""Red flags: what a child has lost of the founder's general abilities. Light."""

from typing import Any

from lamarck.eval.suite import SANITY

RED_FLAG_POINTS = 5.0


def red_flags(scores: dict[str, Any], founder: dict[str, Any]) -> dict[str, float]:
    """Task -> points below g0, for every sanity task on which a generation lies more than five points below it.

    `scores` and `founder` are two eval.json; a task that either lacks is an error told elsewhere, and no flag.
    """
    flags = {}
    for task, figures in scores["tasks"].items():
        before = founder["tasks"].get(task)
        if figures.get("tier") == SANITY and before and before["score"] - figures["score"] > RED_FLAG_POINTS:
            flags[task] = round(before["score"] - figures["score"], 6)
    return flags


def lost_points(differences: dict[str, float], sanity: list[str]) -> dict[str, float]:
    """The same from paired differences to g0: task -> points below it."""
    return {task: -differences[task] for task in sanity if differences[task] < -RED_FLAG_POINTS}


def flag_sentences(generation: str, flags: dict[str, float]) -> list[str]:
    return [f"red flag: {generation} is {points:.1f} points below g0 on {task}" for task, points in flags.items()]
