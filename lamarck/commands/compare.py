"""`lamarck compare A B`: generations of this checkout, or of any git revision."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lamarck import output
from lamarck.config import Config, load_config
from lamarck.errors import LamarckError
from lamarck.eval.compare import compare
from lamarck.lineage.flags import Answered, cut_short_among, flag_sentences, lost_points
from lamarck.lineage.generation import parse_generation
from lamarck.report.revisions import IS_HERE, outcomes_of_both
from lamarck.report.table import comparison_sentences, comparison_table
from lamarck.suites.suite import sanity_names, suite_kinds, suite_weights


def show(first: str, second: str, config_path: Path, exam: str | None, as_json: bool) -> None:
    suite = _suite(load_config(config_path), exam)
    ours, theirs = outcomes_of_both(first, second, exam)
    comparison = compare(ours, theirs, suite_weights(suite), suite_kinds(suite))
    if as_json:
        print(json.dumps(comparison.model_dump(), indent=2, sort_keys=True))
        return
    console = output.console()
    console.print(comparison_table((first, second), comparison))
    for sentence in comparison_sentences(comparison):
        console.print(sentence, markup=False)
    lines = [parse_generation(name).line for name in (first, second) if IS_HERE.fullmatch(name)]
    cut_short = cut_short_among(dict.fromkeys(each for line in lines for each in line))
    sanity = sanity_names(suite)
    lost = lost_points(_answered(ours, sanity), _answered(theirs, sanity)) if second == "g0" else {}
    for sentence in flag_sentences(first, lost, cut_short):
        console.print(sentence, style="red", markup=False)


def _answered(samples: Sequence[Mapping[str, Any]], tasks: Iterable[str]) -> dict[str, Answered]:
    scores = {task: [row["score"] for row in samples if row["task"] == task] for task in tasks}
    return {task: Answered(100 * sum(found) / len(found), len(found)) for task, found in scores.items() if found}


def _suite(config: Config, exam: str | None) -> Path:
    """Errors: LamarckError where the configuration has no exam of that name."""
    if exam is None:
        return Path(config.suite)
    for each in config.exams:
        if Path(each).name == exam:
            return Path(each)
    known = ", ".join(Path(each).name for each in config.exams) or "none"
    raise LamarckError(f"{exam!r} is not among the configuration's exams ({known})")
