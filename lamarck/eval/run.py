"""Run a suite: its three tiers, one after the other, and the score that they make together."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lamarck.engine import Engine
from lamarck.eval.engineering_tier import run_engineering
from lamarck.eval.outcome import DECIMALS, TierOutcome
from lamarck.eval.sanity import run_sanity
from lamarck.eval.teaching import run_teaching
from lamarck.suites.suite import ENGINEERING, SANITY, TEACHING, TIERS, Suite, check_scorers


def evaluate(
    suite: Suite, engine: Engine, student: Path, on_done: Callable[[int], None] = lambda finished: None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Scores and per-item outcomes of the model that `engine` serves. `on_done` hears of every answered item.

    Scores: {"score": weighted mean of the tiers, "partial", "bits_per_byte", "tiers": {name: {"score", "weight"}},
    "tasks": {name: {"tier", "score", "n", "stderr"}}}, points of 0..100, rounded to 6 decimals. An error is never a
    zero: when anything could not run, `partial` is true, `errors` says what and why, and the tier's score and that of
    the whole are None.
    Outcomes: the rows of `sample_row`, sorted by task and index.
    Errors: LamarckError where the suite was frozen for another version of what scores.
    """
    check_scorers(suite)
    outcomes = {
        SANITY: run_sanity(suite, engine, on_done),
        ENGINEERING: run_engineering(suite, engine, on_done),
        TEACHING: run_teaching(suite, engine, student, on_done),
    }
    tiers = {tier: _tier(suite, tier, outcome) for tier, outcome in outcomes.items()}
    errors = {task: why for outcome in outcomes.values() for task, why in outcome.errors.items()}
    scores = {
        "score": _whole(tiers) if not errors else None,
        "partial": bool(errors),
        "bits_per_byte": outcomes[SANITY].facts.get("bits_per_byte"),
        "tiers": tiers,
        "tasks": {task: {"tier": tier} | figures for tier in TIERS for task, figures in outcomes[tier].tasks.items()},
    }
    if errors:
        scores["errors"] = dict(sorted(errors.items()))
    samples = [row for outcome in outcomes.values() for row in outcome.samples]
    return scores, sorted(samples, key=lambda row: (row["task"], row["index"]))


def _tier(suite: Suite, tier: str, outcome: TierOutcome) -> dict[str, Any]:
    weight = getattr(suite.tiers, tier).weight
    facts = outcome.facts if tier == TEACHING else {}
    return {"score": outcome.score(suite.weights[tier]), "weight": weight} | facts


def _whole(tiers: dict[str, dict[str, Any]]) -> float:
    weight = sum(tier["weight"] for tier in tiers.values())
    return round(sum(tier["weight"] * tier["score"] for tier in tiers.values()) / weight, DECIMALS)
