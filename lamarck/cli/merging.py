"""Commands on merge files: `lamarck merge check|plan|run FILE`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from lamarck.cli.options import AsJson

merges = typer.Typer(no_args_is_help=True, help="Make one model of several, as a merge file says.")

MergeFilePath = Annotated[
    Path, typer.Argument(metavar="FILE", help="A merge file, or documents as mergekit reads them.")
]
Models = Annotated[
    Path | None, typer.Option("--models", metavar="DIR", help="Look for models here first, as owner/name.")
]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A variable of the documents.")]
Seed = Annotated[int | None, typer.Option(min=0, help="Instead of the file's.")]


@merges.command()
def check(
    file: MergeFilePath, models: Models = None, variables: Set = None, seed: Seed = None, as_json: AsJson = False
) -> None:
    """Find whatever is wrong, from the headers alone, and say how the documents are read."""
    from lamarck.commands import merge

    merge.show_check(file, models, variables or [], seed, as_json)


@merges.command()
def plan(
    file: MergeFilePath,
    models: Models = None,
    variables: Set = None,
    seed: Seed = None,
    out: Annotated[Path | None, typer.Option(help="Write the plan here, with the models' sha256.")] = None,
    as_json: AsJson = False,
) -> None:
    """What the merge takes: models, bytes, memory, disk and time. Models that are not here need a shape in the file."""
    from lamarck.commands import merge

    merge.show_plan(file, models, variables or [], seed, out, as_json)


@merges.command()
def run(
    file: MergeFilePath,
    out: Annotated[Path, typer.Option(help="The directory of the merged model.")],
    models: Models = None,
    variables: Set = None,
    seed: Seed = None,
    plan: Annotated[Path | None, typer.Option(help="A plan: models that changed since are refused.")] = None,
    gguf: Annotated[
        Literal["bf16", "q8_0"] | None,
        typer.Option(help="Also as GGUF, through llama.cpp's converter; q8_0: in 8 bits."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Merge. The same command after an interruption goes on where it stopped."""
    from lamarck.commands import merge

    merge.run(file, out, models, variables or [], seed, plan, gguf, as_json)


@merges.command(name="stand-ins")
def stand_ins(
    file: MergeFilePath,
    to: Annotated[Path, typer.Option(help="Where the models go, for --models.")],
    variables: Set = None,
) -> None:
    """Make tiny models in place of those that FILE names, to try the merge with."""
    from lamarck.commands import merge

    merge.make_stand_ins(file, to, variables or [])
