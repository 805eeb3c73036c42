"""What a night kept, as a file that a configuration can name: a strategy, or the recipe of a tiny founder."""

import ast
import operator
from collections.abc import Mapping
from pathlib import Path

import yaml

from lamarck.config import load_config
from lamarck.errors import LamarckError
from lamarck.files import write_text
from lamarck.gate.night import read_ratchet_plan
from lamarck.lineage.configured import with_changes
from lamarck.ratchet.agents.mutation import constants
from lamarck.ratchet.file import load_ratchet
from lamarck.ratchet.night_files import NightFiles
from lamarck.ratchet.promotion import Promoted, kept_commit, promoted
from lamarck.ratchet.subject import repository_of
from lamarck.search.space import Value

OF = {ast.Mult: operator.mul, ast.Div: operator.truediv}
CHECKED_BESIDE = Path("config/default.yaml")  # whose other keys a founder's recipe is checked with


def adopt(files: NightFiles, to: Path | None) -> Path:
    """Write what was kept, with its evidence, to `to`, or to where configurations look for such a file. Returns that.

    Errors: LamarckError where the metric was printed, nothing was kept, what was kept was not tried on seeds that chose
    nothing, it is no file that a configuration can name, or there is such a file.
    """
    ratchet = load_ratchet(Path(read_ratchet_plan(files.plan).config))
    file = ratchet.file
    if file.trust == "printed":
        raise LamarckError(
            f"{ratchet.path} has `trust: printed`: what a subject says of itself is never adopted; let it hand over "
            "what an evaluator scores (`trust: scored`)"
        )
    commit = kept_commit(files)
    found = promoted(files)
    if found is None:
        raise LamarckError(
            f"what the night {files.tag} kept is still to be tried on seeds that chose nothing: "
            f"`lamarck ratchet promote {file.name}`"
        )
    names = list(file.mutable_files)
    content = repository_of(ratchet.directory).files(commit, names)[names[0]]
    if names[0].endswith(".py"):
        text = yaml.safe_dump(founder_of(file.founder, content, str(ratchet.path)), sort_keys=False)
    else:
        text = content.decode("utf-8")
    to = to or Path("config/strategies" if file.chain else "config/recipes") / f"{file.name}.yaml"
    if to.exists():
        raise LamarckError(f"{to} is there already: name another file with --to")
    write_text(to, _heading(files, commit, found) + text)
    return to


def _heading(files: NightFiles, commit: str, found: Promoted) -> str:
    return (
        f"# Kept by the ratchet {files.ratchet}, night {files.tag}, commit {commit[:7]}.\n"
        f"# On seeds that chose nothing, to what it began with: {found.sentence}.\n"
    )


def founder_of(keys: Mapping[str, str], content: bytes, source: str) -> dict[str, Value]:
    """Keys of a tiny founder, from constants of a Python file. Errors: LamarckError."""
    if not keys:
        raise LamarckError(
            f"{source} names no `founder`: say of which constants a founder's keys are made, such as "
            "`founder: {layers: DEPTH, intermediate_size: WIDTH * MLP_RATIO}`"
        )
    values = {
        key: _value(ast.parse(said, mode="eval").body, content, f"{source}: founder.{key}")
        for key, said in keys.items()
    }
    with_changes(load_config(CHECKED_BESIDE), {"founder": values}, f"{source}: founder")
    return values


def _value(said: ast.expr, content: bytes, source: str) -> Value:
    match said:
        case ast.Name(id=name):
            try:
                return constants(content, (name,))[name]
            except (KeyError, ValueError) as error:
                raise LamarckError(f"{source}: the file has no constant {name}") from error
        case ast.BinOp(left=left, op=ast.Mult() | ast.Div() as op, right=right):
            first, second = (_value(each, content, source) for each in (left, right))
            assert isinstance(first, int | float) and isinstance(second, int | float)
            made = OF[type(op)](first, second)
            return int(made) if float(made).is_integer() else made
    raise LamarckError(f"{source}: names of constants, their products and their quotients alone")
