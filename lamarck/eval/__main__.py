"""Evaluate one generation on the frozen suite.

    python -m lamarck.eval --config config/default.yaml --generation g1 \
        --weights results/g0/weights --change results/g1/adapter --suite config/suites/tiny-v3 \
        --student results/g0/student --output results/g1/eval.json --samples results/g1/samples.jsonl \
        --record results/g1/eval.record.json --answers results/g1/eval.answers.jsonl --threads 1
"""

import argparse
import time
from pathlib import Path
from typing import Any

from lamarck.engine import Engine, prepare_libraries
from lamarck.engine.remembering import Remembering
from lamarck.engine.served import engine_of_job
from lamarck.errors import LamarckError, exit_with_sentence
from lamarck.eval.interval import interval
from lamarck.eval.scoring import ruler
from lamarck.files import canonical_json, canonical_jsonl, digest_text, digest_value, write_together
from lamarck.gate.stage_ceilings import Ceiling, evaluating_ceiling
from lamarck.heavy_imports import heavy_imports
from lamarck.lineage.artifacts import SCORES, exam_kind, scores_digest
from lamarck.lineage.configured import load_config_of
from lamarck.lineage.contents import Scores
from lamarck.lineage.generation import parse_generation
from lamarck.lineage.kind import Kind
from lamarck.lineage.records import Record, make_record
from lamarck.progress import count_up
from lamarck.suites.suite import Suite, load_suite, suite_kinds, suite_weights


def main() -> None:
    started = time.perf_counter()
    arguments = _parse()
    prepare_libraries(arguments.threads)
    generation = parse_generation(arguments.generation)
    config = load_config_of(arguments.config, generation)
    suite = load_suite(arguments.suite)
    kind = _kind(suite, arguments.exam)
    for directory in filter(None, (arguments.weights, arguments.change, arguments.student)):
        if not directory.is_dir():
            raise LamarckError(f"{directory} does not exist: make it with `snakemake`, or restore it with `dvc pull`")
    given = {"weights": (arguments.weights,), "student": (arguments.student,)}
    given |= {"exam" if arguments.exam else "suite": (arguments.suite / "suite.yaml",)}
    given |= {"change": (arguments.change,)} if arguments.change else {}
    inputs = kind.input_digests(config, generation, given)
    ceiling = evaluating_ceiling(config, generation, arguments.plan, suite.name, inputs)
    print(f"evaluating on {suite.name}: loading the model", flush=True)
    engine = Remembering(
        engine_of_job(config.engine, arguments.weights, arguments.change, config.machines.eval),
        arguments.answers,
        digest_value(inputs),
    )
    measured, samples, seconds = _measure(suite, engine, arguments.student, ceiling, config.machines.eval.count)
    result = {"generation": generation.name, **ruler(suite, arguments.student), **measured}
    if not measured["partial"]:
        weights, kinds = suite_weights(arguments.suite), suite_kinds(arguments.suite)
        result["interval"] = interval(samples, weights, kinds).model_dump()
    scores = Scores.model_validate(result)
    texts = {arguments.samples: canonical_jsonl(samples), arguments.output: canonical_json(scores.written())}
    digest = scores_digest(digest_text(texts[arguments.output]), digest_text(texts[arguments.samples]))
    record = make_record(digest, inputs, config.seed, engine.device_name, time.perf_counter() - started, seconds)
    record = record.model_copy(update={"resumed": engine.resumed})
    # The scores come last: whenever eval.json is there, so are the samples behind it.
    write_together({arguments.record: _record_text(record), **texts})
    if not scores.partial:
        arguments.answers.unlink()
    print(_summary(scores, seconds))


def _kind(suite: Suite, as_exam: bool) -> Kind:
    """The artifact that is made. Errors: LamarckError where an exam would choose, or what chooses is sat as one."""
    if as_exam and not suite.exam:
        raise LamarckError(f"{suite.path} is not an exam: its scores choose, so it cannot be sat by what they chose")
    if suite.exam and not as_exam:
        raise LamarckError(f"{suite.path} is an exam, which may choose nothing: name it under `exams`, not as `suite`")
    if as_exam and suite.student is None:
        raise LamarckError(f"{suite.path} does not hold its student: an exam needs one of its own")
    return exam_kind(suite.path) if as_exam else SCORES


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lamarck.eval", description="Evaluate one generation on a suite.")
    parser.add_argument("--config", type=Path, required=True, help="the configuration; only its engine and seed matter")
    parser.add_argument("--generation", required=True, help="its name in the result: g0, g1, control/g1, ...")
    parser.add_argument("--weights", type=Path, required=True, help="the founder's model directory")
    parser.add_argument("--change", type=Path, help="what was trained of the generation; of g0 nothing was")
    parser.add_argument("--plan", type=Path, help="the plan that it was trained under, which says what it may spend")
    parser.add_argument("--suite", type=Path, required=True, help="directory of the frozen suite")
    parser.add_argument("--student", type=Path, required=True, help="model directory of the suite's student")
    parser.add_argument("--exam", action="store_true", help="the suite is an exam: it chooses nothing")
    parser.add_argument("--output", type=Path, required=True, help="eval.json to write")
    parser.add_argument("--samples", type=Path, required=True, help="samples.jsonl to write")
    parser.add_argument("--record", type=Path, required=True, help="eval.record.json to write")
    parser.add_argument("--answers", type=Path, required=True, help="where a killed run left its answers")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    return parser.parse_args()


def _measure(
    suite: Suite, engine: Engine, student: Path, ceiling: Ceiling, devices: int
) -> tuple[dict[str, Any], list[dict[str, Any]], float]:
    """Scores, samples, and the seconds that it took, loading left out."""
    with heavy_imports():
        from lamarck.eval.measure import evaluate

    started = time.perf_counter()
    title = f"{suite.name} asks"
    with count_up(title, "answers", suite.questions) as advance, ceiling.held(devices, advance) as on_done:
        scores, samples = evaluate(suite, engine, student, on_done)
    return scores, samples, time.perf_counter() - started


def _record_text(record: Record) -> str:
    return canonical_json({"record": record.model_dump(mode="json")})


def _summary(scores: Scores, seconds: float) -> str:
    if scores.score is None:
        reasons = "; ".join(f"{task}: {reason}" for task, reason in scores.errors.items())
        return f"{scores.generation}: no score, because tasks could not run: {reasons}"
    tiers = ", ".join(f"{tier} {figures.score:.1f}" for tier, figures in scores.tiers.items())
    bits = f"{scores.bits_per_byte:.3f} bits per byte"
    return f"{scores.generation}: {scores.score:.1f} points ({tiers}), {bits}, {seconds:.1f} s"


if __name__ == "__main__":
    exit_with_sentence(main)
