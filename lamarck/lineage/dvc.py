"""dvc.yaml and dvc.lock kept true to the lineage: DVC addresses what Snakemake makes, and makes nothing. Light."""

import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from lamarck.config import Config
from lamarck.errors import LamarckError
from lamarck.files import write_text
from lamarck.lineage import ADAPTER_RECORD, STUDENT, Generation

HEADER = """\
# Which files DVC addresses by content. Written by `lamarck` from `generations` and `control` in the configuration:
# do not edit. Every command is Snakemake's, which decides by content what is stale; `dvc repro` only delegates.
"""


def pipeline(config: Config, config_path: Path) -> dict[str, Any]:
    """The content of dvc.yaml. `persist` keeps DVC from deleting outputs first: that would train them again.

    Every stage depends on the configuration, of which DVC cannot tell which part changed: Snakemake can, and does
    nothing where it was another's.
    """
    generations = [Generation(number) for number in range(1, config.generations + 1)]
    arms = [arm for child in generations for arm in ([child, child.control] if config.control else [child])]
    # Behind the target: the option takes every word that follows it for a file of configuration.
    configured = f"--configfile {config_path}"
    children = {
        arm.name.replace("/", "-"): {
            "child": arm.name,
            "parent": _model(arm.parent),
            "plan": str(arm.plan),
            "strategy": str(config.strategy_of(arm.number)),
        }
        for arm in arms
    }
    return {
        "stages": {
            "weights": {
                "cmd": f"snakemake results/g0/weights {configured}",
                "deps": [str(config_path)],
                "outs": [_kept("results/g0/weights")],
            },
            "student": {
                "cmd": f"snakemake {STUDENT} {configured}",
                "deps": [config.suite],
                "outs": [_kept(str(STUDENT))],
            },
            "curriculum": {
                "foreach": {
                    name: {key: each[key] for key in ("child", "parent", "strategy")} for name, each in children.items()
                },
                "do": {
                    "cmd": f"snakemake results/${{item.child}}/curriculum.jsonl {configured}",
                    "deps": ["${item.parent}", "${item.strategy}", str(config_path)],
                    "outs": [_kept("results/${item.child}/curriculum.jsonl")],
                },
            },
            "train": {
                "foreach": {name: {"child": each["child"], "plan": each["plan"]} for name, each in children.items()},
                "do": {
                    "cmd": f"snakemake results/${{item.child}}/adapter {configured}",
                    "deps": ["results/${item.child}/curriculum.jsonl", "${item.plan}", str(config_path)],
                    "outs": [_kept("results/${item.child}/adapter")],
                },
            },
            "eval": {
                "foreach": {arm.name.replace("/", "-"): _evaluation(arm) for arm in [Generation(0), *arms]},
                "do": {
                    "cmd": f"snakemake results/${{item.generation}}/eval.json {configured}",
                    "deps": ["${item.model}", str(STUDENT), config.suite, str(config_path)],
                    "outs": [_kept("results/${item.generation}/samples.jsonl")],
                    "metrics": [{"results/${item.generation}/eval.json": {"cache": False, "persist": True}}],
                },
            },
        },
        "plots": [
            {
                "score by generation": {
                    "template": "scores",
                    "x": {"results/scores.csv": "generation"},
                    "y": {"results/scores.csv": "score"},
                    "y_label": "score of 100, with its 95% interval",
                }
            },
            *(_curve(arms, *each) for each in CURVES),
        ],
    }


CURVES = (
    ("training loss", "loss", "loss, nats an answer token"),
    ("training speed", "tokens_per_second", "tokens a second"),
)


def _curve(arms: list[Generation], name: str, field: str, label: str) -> dict[str, Any]:
    """A field of every training's log, by step. Templates: .dvc/plots/."""
    files = [str(arm.adapter / ADAPTER_RECORD) for arm in arms]
    return {
        name: {
            "template": "curves",
            "x": dict.fromkeys(files, "step"),
            "y": dict.fromkeys(files, field),
            "x_label": "optimizer step",
            "y_label": label,
        }
    }


def _evaluation(generation: Generation) -> dict[str, str]:
    return {"generation": generation.name, "model": _model(generation)}


def _model(generation: Generation) -> str:
    """The one path that changes when a generation does."""
    return str(generation.adapter if generation.number else generation.weights)


def _kept(path: str) -> dict[str, Any]:
    return {path: {"persist": True}}


def write_pipeline(config: Config, config_path: Path, output: Path) -> None:
    text = HEADER + yaml.safe_dump(pipeline(config, config_path), sort_keys=False, width=120)
    if not output.exists() or output.read_text() != text:
        write_text(output, text)


def record_outputs(config: Config, config_path: Path) -> None:
    """Make dvc.yaml and dvc.lock say what lies in results/. Does nothing inside `dvc repro`, which does it itself."""
    if "DVC_STAGE" in os.environ or not Path(".dvc").is_dir():
        return
    write_pipeline(config, config_path, Path("dvc.yaml"))
    stages = [name for name, paths in _stage_files(config) if all(path.exists() for path in paths)]
    if not stages:
        return
    done = subprocess.run(["dvc", "commit", "--quiet", "--force", *stages], capture_output=True, text=True)
    if done.returncode:
        raise LamarckError(f"dvc commit failed, so dvc.lock is not up to date: {done.stderr.strip()}")


def _stage_files(config: Config) -> list[tuple[str, list[Path]]]:
    """Each stage and the files without which it cannot be committed."""
    found = [
        ("weights", [Generation(0).weights]),
        ("student", [STUDENT]),
        ("eval@g0", [Generation(0).samples, Generation(0).scores]),
    ]
    for number in range(1, config.generations + 1):
        child = Generation(number)
        for arm in [child, child.control] if config.control else [child]:
            name = arm.name.replace("/", "-")
            found.append((f"curriculum@{name}", [arm.curriculum, Path(_model(arm.parent))]))
            found.append((f"train@{name}", [arm.adapter, arm.curriculum, arm.plan]))
            found.append((f"eval@{name}", [arm.samples, arm.scores, arm.adapter]))
    return found
