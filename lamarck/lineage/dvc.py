"""dvc.yaml and dvc.lock kept true to the lineage: DVC addresses what Snakemake makes, and makes nothing. Light."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from lamarck import strict_yaml
from lamarck.config import Config
from lamarck.errors import LamarckError
from lamarck.files import write_changed
from lamarck.lineage.artifacts import trained_kind
from lamarck.lineage.freshness import members, members_of_crosses
from lamarck.lineage.generation import ALL_STEPS, CAMPAIGNS, FOUNDERS, RATCHETS, RESULTS, CampaignStep, Generation
from lamarck.lineage.kind import Kind
from lamarck.lineage.listing import campaigns_here

HEADER = """\
# Which files DVC addresses by content. Written by `lamarck` from `generations` and `control` in the configuration:
# do not edit. Every command is Snakemake's, which decides by content what is stale; `dvc repro` only delegates.
"""


def pipeline(config: Config, config_path: Path) -> dict[str, Any]:
    """The content of dvc.yaml. `persist` keeps DVC from deleting outputs first: that would train them again.

    Every stage depends on the configuration, of which DVC cannot tell which part changed: Snakemake can, and does
    nothing where it was another's.
    """
    configured = f"--configfile {shlex.quote(str(config_path))}"
    trained = trained_kind(config)
    trainings = [trained.record_file(each) for kind, each in members(config) if kind is trained]
    return {
        "stages": {
            stage_name(kind, each): _stage(config, config_path, kind, each, configured)
            for kind, each in members(config)
            if kind.dvc
        }
        | {
            stage_name(kind, each): _stage(own, config_path, kind, each, configured)
            for own, kind, each in members_of_crosses(config)
            if kind.dvc
        }
        | _campaign_stages(),
        "plots": [
            {
                "score by generation": {
                    "template": "scores",
                    "x": {"results/scores.csv": "generation"},
                    "y": {"results/scores.csv": "score"},
                    "y_label": "score of 100, with its 95% interval",
                }
            },
            *(_curve(trainings, *each) for each in CURVES),
        ],
    }


def stage_name(kind: Kind, generation: Generation) -> str:
    """weights-g0, adapter-control-g1: DVC allows no slash in it."""
    return f"{kind.name}-{generation.name.replace('/', '-')}"


def kept_campaigns() -> list[str]:
    """Those that have run here, without the experiments of a ratchet's nights: these are kept nowhere, and dvc.yaml is
    the user's own."""
    return [name for name in campaigns_here() if not _is_of_a_night(CampaignStep(name, ALL_STEPS).file)]


def _is_of_a_night(campaign: Path) -> bool:
    whole = strict_yaml.load(campaign).get("search") or ""
    return str(whole).startswith(f"{RATCHETS}/")


def campaign_stage(name: str) -> str:
    return f"campaign-{name}"


def _campaign_stages() -> dict[str, Any]:
    """All of a campaign is one output, because its members come and go together; so are the founders of them all."""
    stages = {}
    for name in kept_campaigns():
        directory = RESULTS / CAMPAIGNS / name
        stages[campaign_stage(name)] = _directory(f"lamarck campaign run {directory / name}.yaml", directory)
    # They are made by the campaigns that need them.
    return {FOUNDERS: _directory("lamarck status", RESULTS / FOUNDERS)} | stages if stages else {}


def not_pulled() -> list[Path]:
    """Of the directories of campaigns and their founders that dvc.yaml has: those that are not here."""
    path = Path("dvc.yaml")
    stages = strict_yaml.load(path).get("stages", {}) if path.exists() else {}
    kept = [stage for name, stage in stages.items() if name == FOUNDERS or name.startswith(campaign_stage(""))]
    directories = [Path(directory) for stage in kept for out in stage["outs"] for directory in out]
    return [directory for directory in directories if not directory.exists()]


def _directory(command: str, directory: Path) -> dict[str, Any]:
    return {"cmd": command, "outs": [{str(directory): {"persist": True}}]}


def _stage(config: Config, config_path: Path, kind: Kind, generation: Generation, configured: str) -> dict[str, Any]:
    files = kind.paths(generation)
    needed = {str(path) for paths in kind.input_files(config, generation).values() for path in paths}
    outs = [{str(files[name]): {"persist": True}} for name, how in kind.dvc.items() if how == "out"]
    metrics = [
        {str(files[name]): {"cache": False, "persist": True}} for name, how in kind.dvc.items() if how == "metric"
    ]
    return {
        # Behind the target: the option takes every word that follows it for a file of configuration.
        "cmd": f"snakemake {kind.path(generation)} {configured}",
        "deps": sorted(needed | {str(config_path)}),
        "outs": outs,
    } | ({"metrics": metrics} if metrics else {})


CURVES = (
    ("training loss", "loss", "loss, nats an answer token"),
    ("training speed", "tokens_per_second", "tokens a second"),
)


def _curve(trainings: list[Path], name: str, field: str, label: str) -> dict[str, Any]:
    """A field of every training's log, by step. Templates: .dvc/plots/."""
    files = [str(path) for path in trainings]
    return {
        name: {
            "template": "curves",
            "x": dict.fromkeys(files, "step"),
            "y": dict.fromkeys(files, field),
            "x_label": "optimizer step",
            "y_label": label,
        }
    }


def write_pipeline(config: Config, config_path: Path, output: Path) -> None:
    text = HEADER + yaml.safe_dump(pipeline(config, config_path), sort_keys=False, width=120)
    write_changed(output, text)


def record_outputs(config: Config, config_path: Path) -> None:
    """Make dvc.yaml and dvc.lock say what lies in results/. Does nothing inside `dvc repro`, which does it itself."""
    if "DVC_STAGE" in os.environ or not Path(".dvc").is_dir():
        return
    write_pipeline(config, config_path, Path("dvc.yaml"))
    every = [*((config, kind, each) for kind, each in members(config)), *members_of_crosses(config)]
    stages = [
        stage_name(kind, each)
        for own, kind, each in every
        if kind.dvc and all(path.exists() for path in _stage_files(own, kind, each))
    ]
    _commit(stages)


def record_campaign(config: Config, config_path: Path, name: str) -> None:
    """The same for a campaign, all of whose files are one output."""
    if "DVC_STAGE" in os.environ or not Path(".dvc").is_dir():
        return
    write_pipeline(config, config_path, Path("dvc.yaml"))
    _commit([FOUNDERS, campaign_stage(name)])


def _commit(stages: list[str]) -> None:
    """Errors: LamarckError with what DVC said."""
    if not stages:
        return
    # DVC reads and writes the whole of dvc.lock for each stage that it commits: none that is as the lock says.
    changed = json.loads(_dvc("status", "--json", *stages))
    if changed:
        _dvc("commit", "--force", *changed)


def _dvc(command: str, *arguments: str) -> str:
    """What it prints. Not --quiet: it would keep to itself what is wrong. Errors: LamarckError."""
    program = str(Path(sys.executable).parent / "dvc")  # also where nobody activated the environment
    done = subprocess.run([program, command, *arguments], capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise LamarckError(f"dvc {command} failed, so dvc.lock is not up to date: {_reason(done.stdout + done.stderr)}")
    return done.stdout


def _reason(said: str) -> str:
    """On one line: the errors among what DVC says, which is much; all of it where it calls none an error."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return "; ".join(errors or lines) or "DVC does not say why; try `dvc status --verbose`"


def _stage_files(config: Config, kind: Kind, generation: Generation) -> list[Path]:
    """The files without which a stage cannot be committed."""
    needed = [path for paths in kind.input_files(config, generation).values() for path in paths]
    return [*kind.paths(generation).values(), *needed]
