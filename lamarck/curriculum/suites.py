"""The held-out problems of every suite there is, which no curriculum may contain."""

from pathlib import Path

from lamarck.eval.suite import held_out_prompts, load_suite


def held_out_by_suite(suite: Path) -> dict[str, frozenset[str]]:
    """Name -> held-out problems, of the suite in directory `suite` and of every one beside it."""
    files = sorted(suite.parent.glob("*/suite.yaml"))
    return {file.parent.name: held_out_prompts(load_suite(file.parent)) for file in files}
