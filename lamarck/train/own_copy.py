"""What the gate hashes is what is loaded: a copy of what a parent was trained to, which nobody else can write."""

import shutil
from pathlib import Path

from lamarck.errors import LamarckError


def copy_change(change: Path, place: Path) -> Path:
    """A copy of the directory `change` in the directory `place`. Errors: LamarckError where it cannot be read."""
    copy = place / change.name
    try:
        shutil.copytree(change, copy)
    except (OSError, shutil.Error) as error:
        raise LamarckError(f"{change} cannot be read: restore it with `dvc pull`") from error
    return copy
