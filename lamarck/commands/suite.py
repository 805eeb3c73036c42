"""`lamarck suite` and `lamarck eval`: look at a frozen suite, and put any model directory to it."""

import json
from pathlib import Path

from rich import box
from rich.table import Table

from lamarck import output
from lamarck.config import load_config
from lamarck.engine import load_engine, prepare_libraries
from lamarck.errors import LamarckError
from lamarck.files import write_json, write_jsonl
from lamarck.lineage.digest import model_digest
from lamarck.lineage.generation import STUDENT
from lamarck.progress import count_up
from lamarck.suites.frozen import freeze, verify
from lamarck.suites.outlook import outlook
from lamarck.suites.suite import TIERS, Suite, load_suite

SUITES = Path("config/suites")


def suite_path(name: str) -> Path:
    """A suite by its name or by its directory. Errors: LamarckError that lists the ones there are."""
    for path in (Path(name), SUITES / name):
        if (path / "suite.yaml").exists():
            return path
    known = ", ".join(sorted(path.parent.name for path in SUITES.glob("*/suite.yaml")))
    raise LamarckError(f"there is no suite {name!r}; config/suites has {known or 'none'}")


def student_of(suite: Suite, student: Path | None) -> Path:
    """Whom the model teaches: who is named, else who lies in the suite, else who was made for the lineage here."""
    return student or suite.student or STUDENT


def show_verified(names: list[str], as_json: bool) -> None:
    paths = [suite_path(name) for name in names] or sorted(path.parent for path in SUITES.glob("*/suite.yaml"))
    digests = {str(path): verify(path) for path in paths}
    if as_json:
        print(json.dumps(digests, indent=2, sort_keys=True))
        return
    for path, digest in digests.items():
        print(f"{path}: as it was frozen, digest {digest}")


def show_frozen(name: str, as_json: bool) -> None:
    path = suite_path(name)
    digest = freeze(path)
    print(json.dumps({str(path): digest}) if as_json else f"{path}: frozen, digest {digest}")


def show_calibration(
    name: str, student: Path | None, models: list[Path], config_path: Path, write: bool, as_json: bool
) -> None:
    """Score the answerers by rule, and then each model directory; `write` puts the table into the suite's README."""
    config = load_config(config_path)
    prepare_libraries(config.engine.threads)
    # torch and lm-eval: seconds
    from lamarck.eval.calibrate import calibrate, cells, floor_sentences, task_points, tier_scores, write_table
    from lamarck.eval.measure import evaluate

    path = suite_path(name)
    suite = load_suite(path)
    student = student_of(suite, student)
    found = calibrate(suite, student)
    rows, errors, tasks = list(found.rows), dict(found.errors), dict(found.tasks)
    for model in models:
        scores, _ = evaluate(suite, load_engine(config.engine, model, None, config.machines.eval), student)
        rows.append((str(model), tier_scores(scores)))
        tasks[str(model)] = task_points(scores["tasks"])
        errors |= scores.get("errors", {})
    if write:
        write_table(path, rows, floor_sentences(found), tasks)
    if as_json:
        content = {"points": dict(rows), "tasks": tasks, "floors": found.floors, "errors": errors}
        print(json.dumps(content, indent=2, sort_keys=True))
        return
    table = Table(box=box.SIMPLE_HEAD, title=f"{suite.name}: floor and ceiling, in points")
    table.add_column("")
    for heading in (*TIERS, "score"):
        table.add_column(heading, justify="right")
    for who, points in rows:
        table.add_row(who, *cells(points))
    console = output.console()
    console.print(table)
    for sentence in floor_sentences(found):
        console.print(sentence, markup=False, highlight=False)
    for task, why in sorted(errors.items()):
        console.print(f"not run: {task}: {why}", markup=False, highlight=False)
    if write:
        console.print(f"written into {path / 'README.md'}")


def show_outlook(name: str, tokens_per_second: float, dollars_per_hour: float, as_json: bool) -> None:
    suite = load_suite(suite_path(name))
    found = outlook(suite, tokens_per_second, dollars_per_hour)
    if as_json:
        asks = [
            {"tier": ask.tier, "task": ask.task, "questions": ask.questions, "answer_tokens": ask.answer_tokens}
            for ask in found.asks
        ]
        whole = {"tokens": found.tokens, "hours": found.hours, "dollars": found.dollars}
        print(json.dumps({"asks": asks, "at_most": whole}, indent=2, sort_keys=True))
        return
    table = Table(box=box.SIMPLE_HEAD, title=f"What {suite.name} asks of a model")
    for heading in ("tier", "task", "questions", "longest answer", "tokens in all"):
        table.add_column(heading, justify="left" if heading in ("tier", "task") else "right")
    for ask in found.asks:
        table.add_row(ask.tier, ask.task, f"{ask.questions:,}", f"{ask.answer_tokens:,}", f"{ask.tokens:,}")
    console = output.console()
    console.print(table)
    console.print(
        f"At most {found.tokens:,} tokens: at {tokens_per_second:,.0f} tokens/s and ${dollars_per_hour:.2f} an hour "
        f"(both assumed: --tokens-per-second, --dollars-per-hour) at most {found.hours:.1f} hours and "
        f"${found.dollars:.0f}. Most answers are far shorter than they may be.",
        highlight=False,
    )


def show_scores(
    name: str, model: Path, adapter: Path | None, student: Path | None, output: Path, config_path: Path, as_json: bool
) -> None:
    """Score one model directory; eval.json and samples.jsonl go to `output`."""
    path = suite_path(name)
    suite = load_suite(path)
    student = student_of(suite, student)
    for directory in filter(None, (model, adapter, student)):
        if not directory.is_dir():
            raise LamarckError(f"{directory} does not exist")
    config = load_config(config_path)
    prepare_libraries(config.engine.threads)
    from lamarck.eval.measure import evaluate  # torch and lm-eval: seconds
    from lamarck.eval.scoring import ruler

    engine = load_engine(config.engine, model, adapter, config.machines.eval)
    with count_up(f"{model} on {suite.name}", "answers", suite.questions) as on_done:
        scores, samples = evaluate(suite, engine, student, on_done)
    facts = {"model": model_digest(model, adapter), **ruler(suite, student)}
    write_jsonl(output / "samples.jsonl", samples)
    write_json(output / "eval.json", facts | scores)
    if as_json:
        print(json.dumps(facts | scores, indent=2, sort_keys=True))
        return
    for tier, figures in scores["tiers"].items():
        print(f"{tier}: {'not run' if figures['score'] is None else format(figures['score'], '.1f')}")
    for task, why in scores.get("errors", {}).items():
        print(f"not run: {task}: {why}")
    print(f"score: {'partial' if scores['partial'] else format(scores['score'], '.1f')}; {output / 'eval.json'}")
