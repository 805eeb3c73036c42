"""Commands on evolutions: `lamarck evolve run FILE`, `lamarck evolve status|report|archive NAME`, and others."""

from pathlib import Path
from typing import Annotated

import typer

from lamarck.cli.asking import approver_of, asked
from lamarck.cli.options import AsJson, By, Contact, Key

evolutions = typer.Typer(no_args_is_help=True, help="Architectures that are bred: founders, and their controls.")

Name = Annotated[str, typer.Argument(help="Of an evolution that has run here.")]
Digest = Annotated[str | None, typer.Option(help="The plan's short digest; asked for when left out.")]


@evolutions.command()
def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="As those in config/evolve/.")],
    by: By = None,
    contact: Contact = None,
    digest: Digest = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Ask once, then breed, train and compare; the same command goes on after Ctrl-C or a kill."""
    from lamarck.commands import evolve

    evolve.run(file, lambda: approver_of(by, contact), digest if digest is not None else asked, key, as_json)


@evolutions.command()
def resume(
    name: Name, by: By = None, contact: Contact = None, digest: Digest = None, key: Key = None, as_json: AsJson = False
) -> None:
    """Go on with an evolution by its name, from the file that it began with."""
    from lamarck.commands import evolve

    evolve.resume(name, lambda: approver_of(by, contact), digest if digest is not None else asked, key, as_json)


@evolutions.command()
def status(name: Name, as_json: AsJson = False) -> None:
    """What is approved, how far it is, and what it has spent."""
    from lamarck.commands import evolve

    evolve.status(name, as_json)


@evolutions.command()
def report(name: Name, as_json: AsJson = False) -> None:
    """The front with its lines of descent, the controls, motifs and the archive."""
    from lamarck.commands import evolve

    evolve.report(name, as_json)


@evolutions.command()
def archive(name: Name, as_json: AsJson = False) -> None:
    """Of every niche, by what blocks are made of, the best."""
    from lamarck.commands import evolve

    evolve.archive(name, as_json)


@evolutions.command(name="export-seed")
def export_seed(
    name: Name,
    candidate: Annotated[str, typer.Argument(help="Such as g2-c03.")],
    output: Annotated[Path, typer.Option(help="Where its genome is written.")],
) -> None:
    """Write a candidate's genome as a file; the seeds of an evolution's file are evaluated first."""
    from lamarck.commands import evolve

    evolve.export_seed(name, candidate, output)


@evolutions.command()
def ablate(
    name: Name,
    candidate: Annotated[str, typer.Argument(help="Such as g2-c03.")],
    output: Annotated[Path, typer.Option(help="Where the ablation's file is written, its genomes beside it.")],
) -> None:
    """Write an evolution's file whose seeds are a candidate and what is left of it without each of its parts."""
    from lamarck.commands import evolve

    evolve.ablate(name, candidate, output)


@evolutions.command()
def prune(name: Name, as_json: AsJson = False) -> None:
    """Delete the weights of candidates that nothing needs any more: neither survivors nor what descends from them."""
    from lamarck.commands import evolve

    evolve.prune(name, as_json)
