"""Is what lies on the hub what lies here? Decided by the digests of published.json, as everything else."""

from pathlib import Path

import pytest
import yaml

from lamarck.config import Config
from lamarck.config.section import check_section
from lamarck.errors import LamarckError
from lamarck.files import write_json
from lamarck.hub.check import check_lineage
from lamarck.hub.contents import make_manifest
from lamarck.lineage.freshness import survey
from lamarck.lineage.generation import Generation
from lamarck.lineage.records import Published
from tests.gate.project import flip_last_byte
from tests.report.page.conftest import lineage, made  # noqa: F401  two generations with control arms

G1 = Generation(1)
REPO = "owner/lineage"


def config(publish: dict[str, str] | None) -> Config:
    values = yaml.safe_load(Path("config/default.yaml").read_text()) | {"publish": publish}
    return check_section(values, Config, "test")


def publications(repo: str = REPO) -> dict[str, str | None]:
    artifacts = survey(config({"repo": repo}))
    return {artifact.name: artifact.stale for artifact in artifacts if "/published" in artifact.name}


@pytest.fixture
def published(lineage: Path) -> Path:  # noqa: F811
    """g1 and its scores are on the hub, as their records say; g2 is not."""
    manifest = make_manifest(lineage, G1, check_lineage(lineage, G1), set())
    for path in (G1.published, G1.published_scores):
        write_json(path, Published(repo=REPO, commit="c" * 40, files=manifest.of(G1)).model_dump())
    return lineage


def test_what_is_there_and_what_is_not(published: Path) -> None:
    assert publications() == {
        "g1/published.json": None,
        "g1/published.scores.json": None,
        "g2/published.json": "missing",
        "g2/published.scores.json": "missing",
    }


def test_nothing_is_asked_for_where_the_configuration_does_not(published: Path) -> None:
    assert not any("published" in artifact.name for artifact in survey(config(None)))


def test_another_repository(published: Path) -> None:
    assert publications("owner/other")["g1/published.json"] == f"published in {REPO}, not in owner/other"


@pytest.mark.parametrize(
    ("file", "stale"),
    [
        (G1.change / "adapter_model.safetensors", "g1/published.json"),
        (G1.control.change / "adapter_model.safetensors", "g1/published.json"),
        (G1.samples, "g1/published.scores.json"),
    ],
)
def test_what_changed_since(published: Path, file: Path, stale: str) -> None:
    flip_last_byte(file)()
    found = publications()
    assert found[stale] == f"changed since: {file}"
    assert sum(reason is None for name, reason in found.items() if name.startswith("g1/")) == 1


def test_a_record_that_cannot_be_read(published: Path) -> None:
    G1.published.write_text("{}")
    assert "cannot be read" in str(publications()["g1/published.json"])


@pytest.mark.parametrize("repo", ["name", "owner/name/more", "owner/na me", "https://example.org/owner/name"])
def test_what_is_not_a_repository(lineage: Path, repo: str) -> None:  # noqa: F811
    with pytest.raises(LamarckError, match=r"publish\.repo"):
        config({"repo": repo})
