"""Where a lineage stands, and what the person at the keyboard can do next."""

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lamarck.config import Config
from lamarck.errors import LamarckError
from lamarck.files import canonical_json, read_json, write_changed
from lamarck.gate.check import GateState, gate_state
from lamarck.lineage.freshness import Artifact
from lamarck.lineage.generation import CAMPAIGNS, RESULTS, Generation, parse_generation
from lamarck.lineage.inputs import primer_of

DEFAULT_CONFIG = "config/default.yaml"
SHOWN = 3
# How the run was started that stopped at a gate last: who answers it goes on in the same way.
STARTED = Path(".lamarck/started.json")


@dataclass(frozen=True)
class Standing:
    """work: rules have something to do. gate: a human has. done: the last generation is scored."""

    state: Literal["work", "gate", "done"]
    generation: Generation | None
    gate: GateState | None


def standing(config: Config, artifacts: list[Artifact], summary_is_stale: bool = False) -> Standing:
    """The first thing that is not done, in the order in which the rules go through the lineage."""
    stale = [artifact for artifact in artifacts if artifact.stale]
    for number in range(0 if primer_of(config) else 1, config.generations + 1):
        child = Generation(number)
        if any(_comes_before_gate(artifact, child) for artifact in stale):
            return Standing("work", child, None)
        gate = gate_state(child, child.plan, child.approval)
        if gate.state != "open":
            return Standing("gate", child, gate)
    return Standing("work", None, None) if stale or summary_is_stale else Standing("done", None, None)


def _comes_before_gate(artifact: Artifact, child: Generation) -> bool:
    """Whether an artifact must be there before `child`'s gate is asked about."""
    number = artifact.generation.number
    return number < child.number or (number == child.number and artifact.kind.before_gate)


def next_step(config: Config, config_path: str, now: Standing, profile: str | None = None) -> str:
    """What to do next, as commands that can be pasted; `profile`: under which one runs the lineage."""
    option = _options(config_path, profile)
    if now.state == "gate" and now.generation and now.gate:
        name = now.generation.name
        return "\n".join(
            [
                "",
                now.gate.sentence,
                f"  read it     {command('lamarck')} review {name}",
                f"  allow it    {command('lamarck')} approve {name}",
                f"  go on       {command('snakemake')}{option}",
                "",
            ]
        )
    if now.state == "done":
        return (
            f"\nThe lineage is complete: g{config.generations} is scored. "
            f"Look at it with `{command('lamarck')} status`, "
            f"`{command('lamarck')} compare g{config.generations} g0`; raise `generations` to go on.\n"
        )
    return f"\nThere is work left: run `{command('snakemake')}{option}`.\n"


def waiting_elsewhere(lineages: Sequence[str]) -> list[Generation]:
    """Of other lineages than the main one: the generations whose plans wait for a human."""
    own = [lineage for lineage in lineages if not lineage.startswith(f"{CAMPAIGNS}/")]  # a campaign's approval is one
    plans = [path for lineage in own for path in sorted((RESULTS / lineage).glob("g*/plan.json"))]
    found = [parse_generation(path.parent.relative_to(RESULTS).as_posix()) for path in plans]
    return [each for each in found if gate_state(each, each.plan, each.approval).state == "waiting"]


def what_they_wait_for(waiting: Sequence[Generation]) -> list[str]:
    """What to do about each; of many, about the first few."""
    lamarck = command("lamarck")
    return [
        f"{each.name} waits for a human: `{lamarck} review {each.name}`, `{lamarck} approve {each.name}`, "
        f"then {go_on_with(each)}."
        for each in waiting[:SHOWN]
    ]


def remember_start(config_path: str, profile: str | None) -> None:
    """Keep how this run was started, for `go_on_with`."""
    STARTED.parent.mkdir(exist_ok=True)
    write_changed(STARTED, canonical_json({"configfile": config_path, "profile": profile}))


def started() -> tuple[str, str | None]:
    """(configuration, profile) of the run that stopped at a gate last in this checkout; the default where none did."""
    try:
        kept = read_json(STARTED) if STARTED.exists() else {}
        return str(kept.get("configfile") or DEFAULT_CONFIG), kept.get("profile")
    except (LamarckError, AttributeError):
        return DEFAULT_CONFIG, None


def go_on_with(generation: Generation, target: Path | None = None) -> str:
    """The command that trains and scores an approved generation, or makes `target`, started as the run that stopped
    at its gate: without a target, `snakemake` raises the main lineage alone."""
    made = target or (generation.scores if generation.lineage else None)
    # Before the options: `--configfile` takes every word that follows it.
    return f"`{command('snakemake')}{f' {shlex.quote(str(made))}' if made else ''}{_options(*started())}`"


def _options(config_path: str, profile: str | None) -> str:
    option = f" --profile {shlex.quote(profile)}" if profile else ""
    return option + ("" if config_path == DEFAULT_CONFIG else f" --configfile {shlex.quote(config_path)}")


def command(name: str) -> str:
    """How to call one of the environment's programs from here: by name where that finds it."""
    program = Path(sys.executable).parent / name
    found = shutil.which(name)
    if found and ("VIRTUAL_ENV" in os.environ or os.path.samefile(found, program)):
        return name
    # The environment may be a link to where it is.
    here = Path(".venv/bin") / name
    return shlex.quote(str(here) if here.exists() and here.samefile(program) else os.path.relpath(program))
