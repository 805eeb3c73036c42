"""Commands on ratchets: `lamarck ratchet run CONFIG`, `lamarck ratchet status|report|promote|adopt NAME`, `compare`."""

from pathlib import Path
from typing import Annotated

import typer

from lamarck.cli.asking import approver_of, asked
from lamarck.cli.options import AsJson, By, Contact, Document, Key

ratchets = typer.Typer(no_args_is_help=True, help="One mutable file, improved all night, and only by what is real.")

Name = Annotated[str, typer.Argument(help="Of a ratchet that has run here.")]
Tag = Annotated[str | None, typer.Option(help="Of the night; the last one when left out.")]


@ratchets.command()
def run(
    file: Annotated[Path, typer.Argument(metavar="CONFIG", help="autoresearch's template, or more.")],
    experiments: Annotated[int | None, typer.Option(min=1, help="End after so many; the next run goes on.")] = None,
    until: Annotated[str | None, typer.Option(metavar="HH:MM", help="End at that time; the next run goes on.")] = None,
    tag: Annotated[str | None, typer.Option(help="A night of its own; today and this machine when left out.")] = None,
    by: By = None,
    contact: Contact = None,
    digest: Annotated[str | None, typer.Option(help="The night's short digest; asked for when left out.")] = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Ask once, then experiment until the night is over; the same command goes on after Ctrl-C or a kill."""
    from lamarck.commands import ratchet

    answer = digest if digest is not None else asked
    ratchet.run(file, tag, lambda: approver_of(by, contact), answer, key, ratchet.until(experiments, until), as_json)


@ratchets.command()
def status(name: Name, tag: Tag = None, as_json: AsJson = False) -> None:
    """What is approved, how far the night is, and what it has spent."""
    from lamarck.commands import ratchet

    ratchet.status(name, tag, as_json)


@ratchets.command()
def report(
    name: Name,
    tag: Tag = None,
    write: Document = None,
    as_json: AsJson = False,
) -> None:
    """Every experiment with what it showed on fresh seeds, and what was kept."""
    from lamarck.commands import ratchet

    ratchet.report(name, tag, as_json, write)


@ratchets.command()
def promote(name: Name, tag: Tag = None, as_json: AsJson = False) -> None:
    """What was kept beside the unmodified files, on seeds that chose nothing; larger, where `promotion` says so."""
    from lamarck.commands import ratchet

    ratchet.promote(name, tag, as_json)


@ratchets.command()
def adopt(
    name: Name,
    tag: Tag = None,
    to: Annotated[Path | None, typer.Option(help="File to write; config/strategies/NAME.yaml for a strategy.")] = None,
) -> None:
    """Write what was kept, with its evidence, as a strategy or as the recipe of a tiny founder."""
    from lamarck.commands import ratchet

    ratchet.adopt(name, tag, to)


@ratchets.command()
def compare(
    first: Annotated[str, typer.Argument(help="A branch of kept experiments: autoresearch/nov27-m4max.")],
    second: Annotated[str, typer.Argument(help="Another one, from another machine.")],
    as_json: AsJson = False,
) -> None:
    """What two machines' branches both kept, and what one of them alone did."""
    from lamarck.commands import ratchet

    ratchet.compare(first, second, as_json)
