"""The held-out problems of every suite there is, against which curricula are held."""

from pathlib import Path

from lamarck.curriculum.filter import Contamination
from lamarck.suites.suite import held_out_prompts, load_suite


def contaminations(suite: Path) -> dict[str, Contamination]:
    """Name -> held-out problems, of the suite in directory `suite` and of every one beside it."""
    files = sorted(suite.parent.glob("*/suite.yaml"))
    return {file.parent.name: Contamination(held_out_prompts(load_suite(file.parent))) for file in files}
