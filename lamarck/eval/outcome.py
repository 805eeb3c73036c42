"""What a tier comes to: outcomes item by item, scores task by task, and why the rest is missing. Light."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from lamarck.files import digest_value

DECIMALS = 6


@dataclass
class TierOutcome:
    """`tasks`: name -> {"score", "n", "stderr"}, in points; `samples`: one row an item; `errors`: task -> reason."""

    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)  # what a report shows beside the scores

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Take the outcomes of one task, and score it by them."""
        self.samples += rows
        self.tasks[rows[0]["task"]] = task_scores([row["score"] for row in rows])

    def take(self, other: "TierOutcome") -> None:
        """Take the outcomes of other tasks of the same tier."""
        self.tasks |= other.tasks
        self.samples += other.samples
        self.errors |= other.errors
        self.facts |= other.facts

    def score(self, weights: Mapping[str, float]) -> float | None:
        """Weighted mean of the tasks in points; None where one is missing: an error is no zero."""
        if self.errors or weights.keys() - self.tasks.keys():
            return None
        total = sum(weight * self.tasks[task]["score"] for task, weight in weights.items())
        return round(total / sum(weights.values()), DECIMALS)


def sample_row(
    task: str, index: int, prompt: str, target: str, answer: str, score: float, rungs: Mapping[str, bool] | None = None
) -> dict[str, Any]:
    """One line of samples.jsonl. Two rows are of the same item when task, index and item digest agree."""
    row: dict[str, Any] = {
        "task": task,
        "index": index,
        "item": digest_value([prompt, target])[:16],
        "prompt": prompt,
        "target": target,
        "answer": answer,
        "score": score,
    }
    return row if rungs is None else row | {"rungs": dict(rungs)}


def scored(rungs: Mapping[str, bool], points: Mapping[str, float] | None) -> tuple[float, dict[str, bool]]:
    """(score of one item, the rungs that count). With `points`, rung -> what it is worth, a rung counts only where all
    before it hold; without, the score is the share of rungs that were climbed."""
    if points is None:
        return sum(rungs.values()) / len(rungs), dict(rungs)
    held: list[bool] = list(accumulate((rungs[rung] for rung in points), lambda before, here: before and here))
    counted = dict(zip(points, held, strict=True))
    return sum(points[rung] for rung, counts in counted.items() if counts) / sum(points.values()), counted


def task_scores(scores: Sequence[float]) -> dict[str, Any]:
    """Mean and its standard error (sample deviation / sqrt(n), as lm-eval has it), in points of 0..100.

    The rungs of one item are one observation: they hang together, so the error is taken over items.
    """
    mean = sum(scores) / len(scores)
    error = None
    if len(scores) > 1:
        deviation = math.sqrt(sum((score - mean) ** 2 for score in scores) / (len(scores) - 1))
        error = round(100 * deviation / math.sqrt(len(scores)), DECIMALS)
    return {"score": round(100 * mean, DECIMALS), "n": len(scores), "stderr": error}


def smoothed(score: float, n: int, stderr: float) -> tuple[float, float]:
    """Mean and standard error, in points, with half an item of 0 and half an item of 100 added to a task's `n`.

    Where all items agree the standard error is zero, and that there is no doubt is not what they show.
    """
    mean = (n * score + 50) / (n + 1)
    squares = n * (n - 1) * stderr**2 + n * (score - mean) ** 2 + (mean**2 + (100 - mean) ** 2) / 2
    return mean, math.sqrt(squares / (n + 1) / (n + 2))


def reason(error: Exception) -> str:
    """The error's first line: messages of lm-eval and torch run over pages."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
