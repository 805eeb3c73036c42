"""`lamarck founder check`: whether a model directory can be raised, before anything is spent on it."""

import json
import os
from pathlib import Path

from lamarck.engine import prepare_libraries
from lamarck.founder.local import check_model_directory


def show_check(directory: Path, as_json: bool) -> None:
    """Print what was found. Errors: LamarckError with the first thing that is wrong."""
    check_model_directory(directory)  # before seconds of imports
    prepare_libraries(os.cpu_count() or 1)
    from lamarck.founder.check import check_founder, describe

    found = check_founder(directory)
    if as_json:
        print(json.dumps(found.model_dump(mode="json"), indent=2, sort_keys=True))
        return
    print(f"{directory}: {describe(found)}")
