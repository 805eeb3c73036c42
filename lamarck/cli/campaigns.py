"""Commands on campaigns: `lamarck campaign run FILE`, `lamarck campaign status|report NAME`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from lamarck.cli.asking import approver_of, asked
from lamarck.cli.options import AsJson, By, Contact, Document, Jobs, Key

campaigns = typer.Typer(no_args_is_help=True, help="Many lineages under one plan: arms side by side over seeds.")

Name = Annotated[str, typer.Argument(help="Of a campaign that has run here, or ships.")]


@campaigns.command()
def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Its arms and seeds: config/campaigns/parts.yaml.")],
    by: By = None,
    contact: Contact = None,
    digest: Annotated[str | None, typer.Option(help="The step's short digest; asked for when left out.")] = None,
    key: Key = None,
    jobs: Jobs = None,
    write: Document = None,
    as_json: AsJson = False,
) -> None:
    """Ask once a step, then raise every arm over every seed; the same command goes on where it stopped."""
    from lamarck.commands import campaign

    answer = digest if digest is not None else asked
    cores = jobs or len(os.sched_getaffinity(0))
    campaign.run(file, lambda: approver_of(by, contact), answer, key, cores, write, as_json)


@campaigns.command()
def status(name: Name, as_json: AsJson = False) -> None:
    """What is approved, and how many members are finished."""
    from lamarck.commands import campaign

    campaign.status(name, as_json)


@campaigns.command()
def report(name: Name, write: Document = None, as_json: AsJson = False) -> None:
    """The table of what is finished: every arm, and its paired difference to the first."""
    from lamarck.commands import campaign

    campaign.report(campaign.named(name), write, as_json)
