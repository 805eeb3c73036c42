"""Raise every lineage of an ablation, each in a workspace of its own, by the same rules and through the same gates."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from lamarck.campaign.ablate.plan import CONFIG, STRATEGY, AblationPlan, Lineage
from lamarck.errors import LamarckError
from lamarck.files import write_text
from lamarck.lineage.generation import STUDENT, Generation
from lamarck.progress import Advance

PROGRAMS = Path(sys.executable).parent
FOUNDER, SCORES = Generation(0).directory, str(Generation(0).scores)
LOG = "ablation.log"


def raise_lineages(plan: AblationPlan, root: Path, approve: list[str], jobs: int, on_done: Advance) -> None:
    """Run what is not finished, `jobs` lineages side by side; a killed run goes on where it was.

    `approve`: the words behind `lamarck approve gN --digest ...` that say who allowed the ablation.
    Errors: LamarckError that names the log of the first lineage that failed.
    """
    for lineage in plan.distinct:
        _prepare(root / lineage.directory, lineage)
    # The suite's student is made once, and a founder once a seed: the others begin with their files.
    # Of the first arm: what is added behind it later makes none anew.
    seeds = {lineage.config.seed: root / lineage.directory for lineage in reversed(plan.distinct)}
    first, *others = seeds.values()
    _snakemake(first, str(STUDENT))
    for workspace in others:
        _adopt(first / STUDENT, workspace / STUDENT)
    with ThreadPoolExecutor(jobs) as pool:
        _all_done(pool.map(lambda workspace: _snakemake(workspace, SCORES), seeds.values()))
        for lineage in plan.distinct:
            _adopt(seeds[lineage.config.seed] / FOUNDER, root / lineage.directory / FOUNDER)

        def advance(lineage: Lineage) -> None:
            _advance(root / lineage.directory, lineage, plan.read_off(lineage), approve)
            on_done(1)

        _all_done(pool.map(advance, plan.distinct))


def _all_done(results: Iterable[None]) -> None:
    for _ in results:
        pass


def _prepare(workspace: Path, lineage: Lineage) -> None:
    """The files that the rules read: the lineage's own configuration, and what the project has beside it."""
    (workspace / STRATEGY).parent.mkdir(parents=True, exist_ok=True)
    for path, section in ((CONFIG, lineage.config), (STRATEGY, lineage.strategy)):
        text = yaml.safe_dump(section.model_dump(mode="json"), sort_keys=False)
        if not (workspace / path).exists() or (workspace / path).read_text(encoding="utf-8") != text:
            write_text(workspace / path, text)
    for name in ("suites", "prompts", "machines.yaml", "shapes.yaml", "allowed_signers"):
        link, target = workspace / "config" / name, Path("config", name).resolve()
        if target.exists() and not link.is_symlink():
            link.symlink_to(target)


def _adopt(source: Path, target: Path) -> None:
    """What another workspace has made already; what is here stays."""
    if not target.exists():
        shutil.copytree(source, target)


def _advance(workspace: Path, lineage: Lineage, read_off: list[Generation], approve: list[str]) -> None:
    """From gate to gate to the scores that are read off, and to no others, under the one approval."""
    for number in range(1, lineage.config.generations + 1):
        child = Generation(number)
        _snakemake(workspace, str(child.plan))
        if not (workspace / child.approval).exists():
            plan = json.loads(_run(workspace, "lamarck", "review", child.name, "--json"))
            _run(workspace, "lamarck", "approve", child.name, "--digest", plan["short"], *approve)
    _snakemake(workspace, *(str(generation.scores) for generation in read_off))


def _snakemake(workspace: Path, *targets: str) -> None:
    snakefile = Path("Snakefile").resolve()
    command = ("snakemake", "--snakefile", str(snakefile), "--cores", "1", *targets, "--configfile", str(CONFIG))
    _run(workspace, *command)


def _run(workspace: Path, program: str, *arguments: str) -> str:
    """Standard output of one of our programs in a workspace; both streams go to its log."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(PROGRAMS / program), *arguments],
        cwd=workspace,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    with (workspace / LOG).open("a", encoding="utf-8") as log:
        log.write(done.stdout + done.stderr)
    if done.returncode:
        raise LamarckError(f"{program} {' '.join(arguments[:2])} failed: {workspace / LOG} says why; then run it again")
    return done.stdout
