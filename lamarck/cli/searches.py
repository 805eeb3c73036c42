"""Commands on searches: `lamarck search run FILE`, `lamarck search status|report|adopt NAME`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from lamarck.cli.asking import approver_of, asked
from lamarck.cli.options import AsJson, By, Contact, Jobs, Key

searches = typer.Typer(no_args_is_help=True, help="Strategies bred for their grandchildren.")

Name = Annotated[str, typer.Argument(help="Of a search that has run here.")]


@searches.command()
def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Its space: config/search/tiny.yaml.")],
    by: By = None,
    contact: Contact = None,
    digest: Annotated[
        str | None, typer.Option(help="The short digest of what is asked; asked for when left out.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="Sign the approvals with this ssh key.")] = None,
    jobs: Jobs = None,
    as_json: AsJson = False,
) -> None:
    """Ask once (once a step where founders are larger), raise candidates; the same command goes on where it stopped."""
    from lamarck.commands import search

    answer = digest if digest is not None else asked
    search.run(file, lambda: approver_of(by, contact), answer, key, jobs or len(os.sched_getaffinity(0)), as_json)


@searches.command()
def study(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Searches side by side: config/search/breeding.yaml.")],
    by: By = None,
    contact: Contact = None,
    digest: Annotated[str | None, typer.Option(help="The study's short digest; asked for when left out.")] = None,
    key: Key = None,
    jobs: Jobs = None,
    write: Annotated[Path | None, typer.Option(metavar="FILE", help="Also put the tables into this document.")] = None,
    report: Annotated[bool, typer.Option("--report", help="Raise nothing: show what the ledger has.")] = False,
    as_json: AsJson = False,
) -> None:
    """Whole searches of several methods at equal cost, repeated; the same command goes on where it stopped."""
    from lamarck.commands import search

    answer = digest if digest is not None else asked
    threads = jobs or len(os.sched_getaffinity(0))
    search.study(file, lambda: approver_of(by, contact), answer, key, threads, write, report, as_json)


@searches.command()
def status(name: Name, as_json: AsJson = False) -> None:
    """How far it is, round by round."""
    from lamarck.commands import search

    search.status(search.named(name), as_json)


@searches.command()
def report(name: Name, as_json: AsJson = False) -> None:
    """Candidates with what was changed, and the winner's figure on founders that chose nothing."""
    from lamarck.commands import search

    search.report(search.named(name), as_json)


@searches.command()
def adopt(
    name: Name,
    to: Annotated[Path | None, typer.Option(help="config/strategies/NAME.yaml when left out.")] = None,
) -> None:
    """Write the winner's strategy, with its evidence, where a configuration can name it."""
    from lamarck.commands import search

    search.adopt(search.named(name), to or Path("config/strategies") / f"{name}.yaml")
