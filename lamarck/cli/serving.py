"""Commands by which a person or a program asks a generation: `lamarck serve g2`, `lamarck chat g2`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lamarck.cli.options import DEFAULT, ConfigFile
from lamarck.serve import EngineKind


class Where(StrEnum):
    here = "here"
    runpod = "runpod"


def serve(
    generation: str,
    engine: Annotated[
        EngineKind | None,
        typer.Option(help="vllm is for a crowd; left out, the configuration's where that is vllm, else hf."),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    host: Annotated[str, typer.Option(help="Another than this machine's own needs LAMARCK_API_KEY.")] = "127.0.0.1",
    idle_minutes: Annotated[
        float | None, typer.Option(min=0.01, help="End when nobody has asked anything for so long; 30 on a pod.")
    ] = None,
    on: Annotated[Where, typer.Option(help="This machine, or a pod that is rented for it.")] = Where.here,
    max_dollars: Annotated[
        float | None, typer.Option(min=0.01, help="Ceiling of the pod, instead of the profile's.")
    ] = None,
    profile: Annotated[Path, typer.Option(help="What the pod must be, as for training.")] = Path(
        "profiles/runpod/config.yaml"
    ),
    configfile: ConfigFile = DEFAULT,
) -> None:
    """Answer as GENERATION at an OpenAI-compatible URL of this machine: `lamarck serve g2`."""
    from lamarck.lineage.generation import parse_generation

    if on is Where.here:
        from lamarck.serve import run

        run.serve(parse_generation(generation), engine, host, port, idle_minutes, configfile)
    else:
        from lamarck.serve import rented

        if host != "127.0.0.1":
            raise typer.BadParameter("a pod is reached through a tunnel from this machine", param_hint="--host")
        idle = 30 if idle_minutes is None else idle_minutes
        rented.serve_on_pod(parse_generation(generation), engine, port, idle, max_dollars, profile, configfile)


def chat(
    generation: str,
    system: Annotated[str | None, typer.Option(help="What the model is told before all else.")] = None,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="0 is greedy.")] = 0.0,
    configfile: ConfigFile = DEFAULT,
) -> None:
    """Talk to GENERATION in the terminal; away from one, each line of input is asked and answered."""
    from lamarck.lineage.generation import parse_generation
    from lamarck.serve import terminal

    terminal.chat(parse_generation(generation), system, temperature, configfile)
