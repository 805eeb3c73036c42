"""`lamarck cross A B --to C`: describe a child of two parents, so that rules can plan it and a human can be asked."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

import yaml

from lamarck.commands.named_values import named_values
from lamarck.config.crossing import Crossing
from lamarck.config.section import check_section
from lamarck.errors import LamarckError, nearest
from lamarck.files import write_text
from lamarck.gate.crossing import ParentFiles, check_parents, propose_cross
from lamarck.gate.plan import CrossPlan
from lamarck.gate.review import run_lines
from lamarck.gate.standing import DEFAULT_CONFIG, command
from lamarck.lineage.artifacts import SCORES, found_kind
from lamarck.lineage.configured import load_config_of
from lamarck.lineage.contents import read_scores
from lamarck.lineage.freshness import examine
from lamarck.lineage.generation import (
    CAMPAIGNS,
    CONTROL,
    RESULTS,
    Generation,
    described,
    description_file,
    parse_generation,
)


def cross(
    first: str,
    second: str,
    to: str,
    method: str,
    weights: Sequence[float],
    rank: int | None,
    parameters: Sequence[str],
    config_path: Path,
    as_json: bool,
) -> None:
    """Write results/LINEAGE/lineage.yaml, once everything that its plan checks holds.

    Errors: LamarckError, and nothing written, where a parent is not there or not finished, both do not go together,
    there is no such way to cross them, or the lineage is there already.
    """
    parents = [find_generation(name) for name in (first, second)]
    child = parse_generation(to)
    given = {"method": method, "weights": list(weights), "rank": rank, "parameters": named_values(parameters)}
    crossing = check_section(given, Crossing, "--method, --weight, --rank, --set")
    _check_free(child)
    founder = described(parents[0].planned_by.lineage).founder
    description = {
        **({"founder": founder} if founder else {}),
        "parents": {child.number: [parent.name for parent in parents]},
        "crossings": {child.number: crossing.model_dump(mode="json", exclude_defaults=True)},
        "overlay": {"generations": child.number},
    }
    path = description_file(child.lineage)
    write_text(path, yaml.safe_dump(description, sort_keys=False))
    try:
        # First what can be told without reading a byte of a model.
        check_parents(child)
        for parent in parents:
            check_finished(parent)
        plan = propose_cross(load_config_of(config_path, child), child, (_files(parents[0]), _files(parents[1])))
    except BaseException:
        path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
        raise
    steps = _steps(child, plan.control is not None, config_path)
    if as_json:
        print(json.dumps({"lineage": str(path), "plan": plan.model_dump(mode="json"), "next": steps}, indent=2))
        return
    print("\n".join(_said(path, child, plan, steps)))


def find_generation(name: str) -> Generation:
    """Errors: LamarckError, with the nearest name, where nothing of it lies here."""
    known = sorted(
        path.relative_to(RESULTS).as_posix()
        for path in RESULTS.glob("**/g*")
        if path.is_dir() and path.name[1:].isdigit()
    )
    if name not in known:
        raise LamarckError(f"there is no generation {name!r}: {nearest(name, known)}")
    return parse_generation(name)


def check_finished(parent: Generation) -> None:
    """A parent is trained, is what its record says, and has a whole score: it is what its child is measured against.

    Errors: LamarckError that says what it lacks.
    """
    trained = examine(found_kind(parent), parent, None)
    if trained.state in ("absent", "missing"):
        raise LamarckError(f"{parent.name} is not trained yet: raise it to the end, then cross it")
    if trained.state != "whole":
        raise LamarckError(
            f"{parent.name} is not what its record says ({trained.reason}): restore it with `dvc checkout`"
        )
    scores = examine(SCORES, parent, None)
    if scores.state != "whole" or read_scores(parent.scores).partial:
        reason = scores.reason or "it was evaluated only in part"
        raise LamarckError(
            f"{parent.name} has no scores that hold ({reason}): its child is measured against it; run "
            f"`{command('snakemake')} {parent.scores}` first"
        )


def _check_free(child: Generation) -> None:
    """Errors: LamarckError where the child's lineage cannot be described anew."""
    if not child.lineage or child.is_control or child.lineage.partition("/")[0] == CAMPAIGNS:
        raise LamarckError(
            f"{child.name} belongs to a lineage with rules of its own: give the child a lineage, as in cross/g3"
        )
    if CONTROL in child.lineage.split("/"):
        raise LamarckError(f"{child.name} would be taken for a control arm: name another lineage than `{CONTROL}`")
    directory = RESULTS / child.lineage
    if description_file(child.lineage).exists() or any(directory.glob("g*")):
        raise LamarckError(f"{directory} is there already: name another lineage for the child, or delete that one")


def _files(parent: Generation) -> ParentFiles:
    return ParentFiles(parent.weights, parent.change, parent.plan)


def _steps(child: Generation, control: bool, config_path: Path) -> list[str]:
    option = "" if str(config_path) == DEFAULT_CONFIG else f" --configfile {shlex.quote(str(config_path))}"
    snakemake, lamarck = command("snakemake"), command("lamarck")
    scores = " ".join(str(arm.scores) for arm in ([child, child.control] if control else [child]))
    return [
        f"{snakemake} {child.plan}{option}",
        f"{lamarck} review {child.name}",
        f"{lamarck} approve {child.name}",
        f"{snakemake} {scores}{option}",
    ]


def _said(path: Path, child: Generation, plan: CrossPlan, steps: list[str]) -> list[str]:
    compare = [f"{command('lamarck')} compare {child.name} {each.generation}" for each in plan.parents]
    return [
        *run_lines(plan),
        "",
        f"{path}: {child.name} is described; nothing is made before a human has approved it:",
        *(f"  {step}" for step in [*steps, *compare]),
    ]
