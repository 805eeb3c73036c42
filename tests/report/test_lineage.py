"""results/lineage.json: what it says of a lineage of which something was deleted, to be made again."""

from pathlib import Path

import pytest

from lamarck.config import load_config
from lamarck.lineage.generation import Generation
from lamarck.report.lineage import build_lineage, why_stale
from tests.report.page.conftest import lineage, made  # noqa: F401  two generations with control arms

G2 = Generation(2)
CONFIG = Path("config/default.yaml")


@pytest.mark.parametrize(
    "deleted", [G2.plan, G2.curriculum, G2.card, G2.scores, G2.scores_record, G2.change / "training.json"]
)
def test_a_generation_with_a_file_missing_is_left_out(lineage: Path, deleted: Path) -> None:  # noqa: F811
    config = load_config(CONFIG)
    assert [entry["generation"] for entry in build_lineage(config)["main"]] == ["g0", "g1", "g2"]
    deleted.unlink()
    assert [entry["generation"] for entry in build_lineage(config)["main"]] == ["g0", "g1"]
    assert why_stale(config) is not None
