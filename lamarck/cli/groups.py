"""Commands of two words: `lamarck founder check`, `lamarck curriculum show`, `lamarck pods end`."""

from pathlib import Path
from typing import Annotated

import typer

from lamarck.cli.options import DEFAULT, AsJson, ConfigFile

curricula = typer.Typer(no_args_is_help=True, help="Curricula: read their items, compare two of them.")
founders = typer.Typer(no_args_is_help=True, help="Founders: whether a model can be raised.")
suites = typer.Typer(
    no_args_is_help=True, help="Frozen suites: verify, calibrate, freeze, judge, overlap, leaderboard."
)
pods = typer.Typer(help="What this project has left running on RunPod, and the end of it.")
PodsName = Annotated[str | None, typer.Option("--name", help="The tag, where a run was given --runpod-name.")]


@founders.command(name="check")
def check_founder(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A model directory in transformers' format.")],
    as_json: AsJson = False,
) -> None:
    """Find out whether the model in DIR can be raised: its tensors, its training, its texts, its tokenizer."""
    from lamarck.commands import founder as report

    report.show_check(directory, as_json)


@curricula.command(name="show")
def show_curriculum(
    generation: str,
    skill: Annotated[str | None, typer.Option(help="Only items of this skill.")] = None,
    difficulty: Annotated[int | None, typer.Option(help="Only items of this difficulty.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    offset: Annotated[int, typer.Option(min=0, help="How many to skip.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Page through the items that train GENERATION, with their verdicts."""
    from lamarck.commands import curriculum as report
    from lamarck.lineage.generation import parse_generation

    report.show(parse_generation(generation), skill, difficulty, offset, limit, as_json)


@curricula.command(name="why")
def explain_curriculum(generation: str, as_json: AsJson = False) -> None:
    """Why texts that were written for GENERATION were left out: each reason with its number and three examples."""
    from lamarck.commands import curriculum as report
    from lamarck.lineage.generation import parse_generation

    report.show_why(parse_generation(generation), as_json)


@curricula.command(name="diff")
def compare_curricula(first: str, second: str, as_json: AsJson = False) -> None:
    """What changed from FIRST to SECOND in kind: cells, pass rates, guard-rails, words that only one of them has."""
    from lamarck.commands import curriculum as report
    from lamarck.lineage.generation import parse_generation

    report.show_difference(parse_generation(first), parse_generation(second), as_json)


@suites.command(name="verify")
def verify_suites(
    names: Annotated[list[str] | None, typer.Argument(help="Names or directories; all if none.")] = None,
    as_json: AsJson = False,
) -> None:
    """Hash every file of the suites again, and check what they say."""
    from lamarck.commands import suite as report

    report.show_verified(names or [], as_json)


@suites.command()
def freeze(name: str, as_json: AsJson = False) -> None:
    """Write down the digest of every file of a new suite, once."""
    from lamarck.commands import suite as report

    report.show_frozen(name, as_json)


@suites.command()
def calibrate(
    name: str,
    student: Annotated[Path | None, typer.Option(help="The suite's student, where it is not in the suite.")] = None,
    model: Annotated[list[Path] | None, typer.Option(help="A model directory to score beside them.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Put the table into the suite's README.")] = False,
    configfile: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Floor and ceiling: what answerers without the skills score, the best of them in each tier, and who knows all."""
    from lamarck.commands import suite as report

    report.show_calibration(name, student, model or [], configfile, write, as_json)


@suites.command()
def judge(
    name: str,
    task: str,
    answer: Annotated[Path, typer.Option(help="File with all that a model wrote, its reasoning too.")],
    item: Annotated[int, typer.Option(help="Which question, for a task that has several: 0, 1, ...")] = 0,
    as_json: AsJson = False,
) -> None:
    """What an answer to TASK is worth, rung by rung, as an evaluation would judge it."""
    from lamarck.commands import judge as report

    report.show(name, task, answer, item, as_json)


@suites.command()
def overlap(
    name: str,
    file: Annotated[Path, typer.Argument(help="JSON, one object a line, with at least `skill` and `prompt`.")],
    as_json: AsJson = False,
) -> None:
    """Which problems of FILE no curriculum may hold, because the suite holds them, and why."""
    from lamarck.commands import overlap as report

    report.show(name, file, as_json)


@suites.command()
def leaderboard(
    generation: str,
    data: Annotated[Path, typer.Option(help="Directory with the benchmarks' data: docs/suites.md says how it lies.")],
    only: Annotated[list[str] | None, typer.Option(help="One of them; may be given several times.")] = None,
    configfile: ConfigFile = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Let GENERATION sit the Open LLM Leaderboard's six benchmarks, for its model card."""
    from lamarck.commands import leaderboard as report
    from lamarck.lineage.generation import parse_generation

    report.sit(parse_generation(generation), data, only or [], configfile, as_json)


@pods.callback(invoke_without_command=True)
def list_pods(context: typer.Context, name: PodsName = None, as_json: AsJson = False) -> None:
    from lamarck.commands import pods as report

    if context.invoked_subcommand is None:
        report.show(name, as_json)


@pods.command(name="end")
def end_pods(
    identifier: Annotated[str | None, typer.Argument(metavar="[ID]")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every pod of this project, started here or not.")] = False,
    name: PodsName = None,
) -> None:
    """End a pod for good, or all of them."""
    from lamarck.commands import pods as report

    report.end(identifier, everything, name)
