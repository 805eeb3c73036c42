"""A checkout in which g1 can be planned."""

import shutil
from pathlib import Path

from lamarck.curriculum.item import Item
from lamarck.files import write_jsonl
from lamarck.lineage.generation import Generation

ROOT = Path(__file__).parents[2]
G1 = Generation(1)


def lay_out(weights: Path, items: list[Item]) -> None:
    """In the working directory: the configurations, a suite in name, a founder, and g1's curriculum."""
    shutil.copytree(ROOT / "config", "config", ignore=shutil.ignore_patterns("suites"))
    Path("suite").mkdir()
    Path("suite/suite.yaml").write_text("name: suite\n")
    shutil.copytree(weights, G1.weights)
    write_jsonl(G1.curriculum, [item.model_dump(mode="json", exclude_none=True) for item in items])
