"""results/lineage.json: every generation with digests, scores, rewards and cost. Derived from records; light."""

import csv
import io
from pathlib import Path
from typing import Any

from lamarck.config import Config
from lamarck.errors import LamarckError
from lamarck.files import canonical_json, digest_file
from lamarck.lineage.contents import read_card, read_scores, read_training
from lamarck.lineage.digest import generation_digest
from lamarck.lineage.flags import cut_short, red_flags
from lamarck.lineage.generation import TRAINING_RECORD, Generation
from lamarck.lineage.records import read_record
from lamarck.lineage.reward import proxy_of, reward_of, route_rewards


def build_lineage(config: Config, lineage: str = "") -> dict[str, Any]:
    """The lineage `lineage` as far as it has been scored, its control arm, and what its strategies earned."""
    return lineage_up_to(Generation(config.generations, lineage), config.control)


def lineage_up_to(last: Generation, control: bool) -> dict[str, Any]:
    """The same of the generations from the founder to `last`, without a configuration."""
    generations, lineage = last.line, last.lineage
    arms = {"main": generations}
    if control:
        arms["control"] = [generation.control for generation in generations[1:]]
    entries = {arm: [_entry(member) for member in members if _is_complete(member)] for arm, members in arms.items()}
    return entries | {"strategies": route_rewards(last.number, lineage).model_dump()}


def _is_complete(generation: Generation) -> bool:
    """Scored, and with its files at hand: after `git clone` alone the large ones are still to be pulled, and one that
    was deleted is to be made again."""
    files = [generation.scores, generation.scores_record]
    if generation.number:
        files += [generation.change / TRAINING_RECORD, generation.plan, generation.curriculum, generation.card]
    else:
        files.append(generation.weights)
    return all(path.exists() for path in files)


def _entry(generation: Generation) -> dict[str, Any]:
    scores = read_scores(generation.scores)
    entry: dict[str, Any] = {
        "generation": generation.name,
        "digest": generation_digest(generation),
        "score": scores.score,
        "interval": scores.interval.written() if scores.interval else None,
        "partial": scores.partial,
        "bits_per_byte": scores.bits_per_byte,
        "suite": scores.suite.written(),
        "tiers": {tier: figures.score for tier, figures in scores.tiers.items()},
        "flags": red_flags(scores, read_scores(Generation(0).scores)),
        "exams": _exams(generation),
        "reward": reward_of(generation, generation.lineage),
        "proxy": proxy_of(generation, generation.lineage),
        "cost": {"evaluation_seconds": read_record(generation.scores_record).device_seconds},
    }
    if generation.number:
        training = read_training(generation.change / TRAINING_RECORD)
        card = read_card(generation.card)
        entry["parent"] = generation.parent.name
        entry["plan"] = digest_file(generation.plan)
        entry["curriculum"] = {"digest": digest_file(generation.curriculum), "items": card.items}
        entry["strategy"] = card.record.inputs["strategy"]
        entry["recipe"] = training.record.inputs["recipe"]
        entry["cost"]["curriculum_seconds"] = card.record.device_seconds
        entry["cost"]["training_seconds"] = training.record.device_seconds
        entry["cut_short"] = cut_short(training)
    return entry


def _exams(generation: Generation) -> dict[str, float | None]:
    """Name of an exam -> points, None where it was sat only in part."""
    sat = sorted((generation.directory / "exams").glob("*.json"))
    return {path.stem: read_scores(path).score for path in sat if not path.stem.endswith(".record")}


ARMS = ("main", "control")
SUMMARY_FILES = LINEAGE, TABLE = Path("results/lineage.json"), Path("results/scores.csv")


def why_stale(config: Config) -> str | None:
    """Why the derived files are to be derived again; None where that would change nothing."""
    if not (LINEAGE.exists() and TABLE.exists()):
        return "missing"
    try:
        lineage = build_lineage(config)
    except LamarckError as error:
        return str(error)
    same = (LINEAGE.read_text(), TABLE.read_text()) == (canonical_json(lineage), scores_table(lineage))
    return None if same else "derived from older results"


def scores_table(lineage: dict[str, Any]) -> str:
    """The scores with their 95% intervals as CSV, one row a generation and arm, for `dvc plots`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["generation", "arm", "score", "low", "high"])
    for arm in ARMS:
        for entry in lineage.get(arm, []):
            if not entry["partial"]:
                interval = entry["interval"] or {"low": "", "high": ""}  # scores from before it stood with them
                bounds = (interval["low"], interval["high"])
                writer.writerow([Path(entry["generation"]).name, arm, f"{entry['score']:.6f}", *bounds])
    return text.getvalue()
