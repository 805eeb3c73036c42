"""Red flags: what a child has lost of the founder's general abilities, and a training that did not come to its end.
Light."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lamarck.errors import LamarckError
from lamarck.files import read_json
from lamarck.lineage.generation import ADAPTER_RECORD, Generation
from lamarck.lineage.records import SANITY

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


def cut_short(generation: str, training: dict[str, Any]) -> str | None:
    """The sentence for a training that its compute ceiling ended before its last step; None for any other.

    `training` is a training.json. How far such a training came is the machine's doing, or its load's: not its recipe's.
    """
    budget = training["budget"]
    if budget["stopped_by"] != "ceiling":
        return None
    return (
        f"{generation} was trained for {training['steps']:,} of its {training['recipe']['steps']:,} steps, "
        f"then its ceiling of {budget['ceiling_device_seconds']:g} device-seconds ended that"
    )


def cut_short_among(generations: Iterable[Generation], root: Path = Path()) -> list[str]:
    """The same for those of several generations, below `root`, that were trained and did not come to their end.

    Errors: LamarckError for a training.json that is not a record of a training.
    """
    sentences = []
    for each in generations:
        path = root / each.adapter / ADAPTER_RECORD
        if not path.exists():
            continue
        try:
            sentence = cut_short(each.name, read_json(path))
        except (KeyError, TypeError) as error:
            raise LamarckError(f"{path} is not a record of a training: `snakemake` makes it again") from error
        if sentence:
            sentences.append(sentence)
    return sentences


def flag_sentences(generation: str, flags: dict[str, float], cut_short: Iterable[str] = ()) -> list[str]:
    lost = [f"{generation} is {points:.1f} points below g0 on {task}" for task, points in flags.items()]
    return [f"red flag: {sentence}" for sentence in (*cut_short, *lost)]
