"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[Path, typer.Option("--configfile", help="The configuration of the lineage.")]
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]
By = Annotated[str | None, typer.Option(help="Your name; asked for, or taken from git, when left out.")]
Contact = Annotated[str | None, typer.Option(help="Where you can be reached.")]
Key = Annotated[Path | None, typer.Option(help="Sign the approval with this ssh key.")]
Jobs = Annotated[int | None, typer.Option(min=1, help="Stages side by side; all cores when left out.")]
Document = Annotated[Path | None, typer.Option("--write", help="Put the table into this document, between its marks.")]
DEFAULT = Path("config/default.yaml")
