"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[Path, typer.Option("--configfile", help="The configuration of the lineage.")]
AsJson = Annotated[bool, typer.Option("--json", help="For machines.")]
DEFAULT = Path("config/default.yaml")
