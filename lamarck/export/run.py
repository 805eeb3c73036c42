"""`lamarck export`: merged weights, and what the merge costs in score."""

import json
from pathlib import Path
from typing import Any

from lamarck import output
from lamarck.config import Config, load_config
from lamarck.engine import load_engine, prepare_libraries
from lamarck.errors import LamarckError
from lamarck.eval.compare import Comparison, compare
from lamarck.export.gguf import convert, find_converter
from lamarck.files import atomic_directory, file_digests, write_json
from lamarck.lineage.artifacts import SCORES
from lamarck.lineage.contents import SampleRow, read_samples, read_scores
from lamarck.lineage.digest import generation_digest
from lamarck.lineage.freshness import examine
from lamarck.lineage.generation import Generation
from lamarck.lineage.inputs import student_of
from lamarck.progress import count_up
from lamarck.report.table import comparison_sentences, comparison_table
from lamarck.serve.model import Servable, servable
from lamarck.suites.suite import load_suite, suite_kinds, suite_weights

RECORD = "export.json"


def export(generation: Generation, to: Path, gguf: bool, config_path: Path, as_json: bool) -> None:
    """Merge `generation` into the directory `to`, score that as the generation was scored, and record the difference.

    Errors: LamarckError, and no directory, where the generation is not what its records say, has no scores that hold
    for this suite and engine, or `to` is there already.
    """
    config = load_config(config_path)
    if to.exists():
        raise LamarckError(f"{to} is there already: name a directory that is not")
    converter = find_converter() if gguf else None
    model = servable(generation)
    own = _own_outcomes(config, generation)
    prepare_libraries(config.engine.threads)
    from lamarck.export.merge import merge  # torch and peft: seconds

    with atomic_directory(to) as directory:
        merge(model.weights, model.change, directory)
        if converter:
            convert(converter, directory, directory / f"{model.name}.gguf")
        files = file_digests(directory)
        scores, outcomes = _score(config, directory)
        suite = Path(config.suite)
        comparison = compare(outcomes, own, suite_weights(suite), suite_kinds(suite))
        record = _record(generation, model, config, files, scores, comparison)
        write_json(directory / RECORD, record)
    if as_json:
        print(json.dumps(record, indent=2, sort_keys=True))
        return
    console = output.console()
    console.print(comparison_table(("merged", generation.name), comparison))
    for sentence in comparison_sentences(comparison):
        console.print(sentence, markup=False)
    console.print(f"{to}: {model.name}, merged in bfloat16; {RECORD} holds digests and scores", markup=False)


def _own_outcomes(config: Config, generation: Generation) -> list[SampleRow]:
    """What the generation itself answered, on the suite and through the engine that score the merged model, too.

    Errors: LamarckError where there is nothing to compare with.
    """
    if config.engine.kind == "server":
        raise LamarckError(
            "the merged model is scored here, and `engine` is a server's: give a --configfile with kind: hf"
        )
    if not generation.scores_record.exists():
        raise LamarckError(f"{generation.name} has no scores to compare with: run `snakemake` first")
    if examine(SCORES, generation, config).stale:
        raise LamarckError(f"the scores of {generation.name} do not hold any more: `lamarck status` says why")
    if read_scores(generation.scores).partial:
        raise LamarckError(f"{generation.name} is only partially evaluated, so there is nothing to compare with")
    return read_samples(generation.samples)


def _score(config: Config, directory: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    from lamarck.eval.measure import evaluate  # lm-eval: seconds

    suite = load_suite(Path(config.suite))
    engine = load_engine(config.engine, directory, None, config.machines.eval)
    with count_up(f"the merged model on {suite.name}", "answers", suite.questions) as on_done:
        scores, outcomes = evaluate(suite, engine, student_of(config), on_done)
    if scores["partial"]:
        reasons = "; ".join(f"{task}: {why}" for task, why in scores["errors"].items())
        raise LamarckError(f"the merged model could not be scored, so nothing is exported: {reasons}")
    return scores, outcomes


def _record(
    generation: Generation,
    model: Servable,
    config: Config,
    files: dict[str, str],
    scores: dict[str, Any],
    comparison: Comparison,
) -> dict[str, Any]:
    return {
        "generation": generation.name,
        "model": generation_digest(generation),
        "name": model.name,
        "dtype": "bfloat16",
        "files": files,
        "suite": read_scores(generation.scores).suite.written(),
        "engine": config.engine.model_dump(mode="json"),
        "scores": scores,
        "to_generation": comparison.model_dump(mode="json"),
    }
