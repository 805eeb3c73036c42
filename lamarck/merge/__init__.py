"""Merging models: one of several, by a method on the tensors of each name.

`run`, `check` and `plan` take a merge file (load.py says what that is). Light: they import what they need, so that
sources.py and document.py can be read without torch.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lamarck.merge.checked import Checked
    from lamarck.merge.estimate import MergePlan

Variables = Mapping[str, Any]


def check(
    file: Path, models: Path | None = None, variables: Variables | None = None, seed: int | None = None
) -> "Checked":
    """Everything that can be wrong with a merge file, found without reading a byte of weights.

    `models`: a directory of models, looked in first. Errors: LamarckError with one sentence.
    """
    from lamarck.merge.checked import check_merge
    from lamarck.merge.load import load_merge

    return check_merge(load_merge(file, variables, models, seed))


def plan(
    file: Path,
    models: Path | None = None,
    variables: Variables | None = None,
    seed: int | None = None,
    pin: bool = False,
) -> "MergePlan":
    """What the merge takes. With `pin`, also the sha256 of every file of the models: `run` then accepts no others."""
    from lamarck.merge.estimate import make_plan
    from lamarck.merge.perform import check_here, model_digests

    checked = check(file, models, variables, seed)
    if pin:
        check_here(checked)
    inputs = {name: model_digests(checked.models[name]) for name in sorted(checked.external)} if pin else None
    return make_plan(checked, inputs)


def run(
    file: Path,
    output: Path,
    models: Path | None = None,
    variables: Variables | None = None,
    seed: int | None = None,
    planned: "MergePlan | None" = None,
    shard_bytes: int | None = None,
    advance: Callable[[int], None] = lambda tensors: None,
) -> "Checked":
    """Merge into the directory `output`; the same command after an interruption goes on where it stopped.

    `advance` is told how many more tensors are made. Errors: LamarckError, and no `output`.
    """
    from lamarck.merge.perform import SHARD_BYTES, run_checked

    checked = check(file, models, variables, seed)
    run_checked(checked, output, planned, shard_bytes or SHARD_BYTES, advance)
    return checked
