"""Evaluate by the rules that a suite was frozen under: what everybody calls who wants a score."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lamarck.engine import Engine
from lamarck.eval import run
from lamarck.eval.work import judged_engine
from lamarck.suites.suite import Suite


def evaluate(
    suite: Suite, engine: Engine, student: Path, on_done: Callable[[int], None] = lambda finished: None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Scores and per-item outcomes of the model that `engine` serves, as `lamarck.eval.run.evaluate` has them."""
    return run.evaluate(suite, judged_engine(suite, engine), student, on_done)
