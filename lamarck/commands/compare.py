"""`lamarck compare A B`: generations of this checkout, or of any git revision."""

import json
from pathlib import Path

from lamarck import output
from lamarck.config import load_config
from lamarck.eval.compare import compare
from lamarck.lineage.flags import cut_short_among, flag_sentences, lost_points
from lamarck.lineage.generation import parse_generation
from lamarck.report.revisions import IS_HERE, outcomes
from lamarck.report.table import comparison_sentences, comparison_table
from lamarck.suites.suite import sanity_names, suite_kinds, suite_weights


def show(first: str, second: str, config_path: Path, as_json: bool) -> None:
    suite = Path(load_config(config_path).suite)
    comparison = compare(outcomes(first), outcomes(second), suite_weights(suite), suite_kinds(suite))
    if as_json:
        print(json.dumps(comparison.model_dump(), indent=2, sort_keys=True))
        return
    console = output.console()
    console.print(comparison_table((first, second), comparison))
    for sentence in comparison_sentences(comparison):
        console.print(sentence, markup=False)
    lines = [parse_generation(name).line for name in (first, second) if IS_HERE.fullmatch(name)]
    cut_short = cut_short_among(dict.fromkeys(each for line in lines for each in line))
    lost = lost_points(comparison.tasks, sanity_names(suite)) if second == "g0" else {}
    for sentence in flag_sentences(first, lost, cut_short):
        console.print(sentence, style="red", markup=False)
