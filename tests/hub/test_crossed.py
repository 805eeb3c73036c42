"""A child of two parents on the hub: everything that leads to it goes with it, and comes back, or nothing does."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from lamarck.errors import LamarckError
from lamarck.hub.check import check_lineage
from lamarck.hub.contents import Manifest, check_owned, make_manifest, members, read_manifest
from lamarck.lineage.generation import Generation, description_file
from tests.hub.conftest import REPO, Place
from tests.hub.fake import READER
from tests.hub.test_fetch import results
from tests.report.page.conftest import lineage, made  # noqa: F401  two generations with control arms
from tests.report.page.synthetic import write_cross

CHILD = Generation(3, "cross")
PARENTS = ("g2", "control/g2")
DESCRIPTION = "results/cross/lineage.yaml"


@pytest.fixture
def crossed(lineage: Path) -> Path:  # noqa: F811
    write_cross(CHILD, PARENTS, outcomes=10)
    return lineage


def test_it_is_published_with_both_lines_and_fetched(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place.root)
    write_cross(CHILD, PARENTS, outcomes=10)
    commit = place.publish(generation=CHILD.name)
    files = place.hub.repositories[REPO].files
    manifest = json.loads(files["lamarck.json"])["files"]
    for name in ("results/cross/g3/adapter/training.json", "results/cross/control/g3/eval.json", DESCRIPTION):
        assert name in manifest
    assert {"approvals/cross/g3.ok", "approvals/g2.ok", "results/control/g2/curriculum.jsonl"} <= manifest.keys()
    card = files["README.md"].decode()
    metadata = yaml.safe_load(card.split("---\n")[1])
    score = json.loads((place.root / "results/cross/g3/eval.json").read_text())["score"]
    metrics = {each["type"]: each["value"] for each in metadata["model-index"][0]["results"][0]["metrics"]}
    assert metrics["score"] == pytest.approx(score, abs=1e-3) and "merge" in metadata["tags"]
    assert "a child of g2 and control/g2" in card and card.count('["cross/g3: ') == 1
    row = next(line for line in card.splitlines() if line.startswith("| cross/g3 | ") and ";" in line)
    assert row.count("[") == 4  # its own interval, to each parent, and to g0

    elsewhere = Place(tmp_path / "elsewhere", place.hub)
    shutil.copytree(place.root / "config", elsewhere.root / "config")
    elsewhere.run("fetch", REPO, "--revision", commit, token=READER)
    here = results(elsewhere.root)
    assert {name: here[name] for name in manifest} == manifest
    # Of the lineage that publishes itself it is known where it lies; the child was published by hand.
    assert "results/g2/published.json" in here and "results/cross/g3/published.json" not in here


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        # Where weights are copied to, and who is asked, is for the project to say.
        ({"overlay": {"engine": {"kind": "hf"}}}, "changes `engine`"),
        ({"overlay": {"recipe": {"copy_to": "host:directory"}}}, "changes `recipe.copy_to`"),
        ({"founder": "other"}, "another founder than g0"),
        ({"parents": {3: ["g2", "campaigns/a/b/g2"]}}, "under the plan of a campaign"),
    ],
)
def test_what_a_description_from_elsewhere_may_not_say(crossed: Path, said: dict[str, object], sentence: str) -> None:
    Path(DESCRIPTION).write_text(yaml.safe_dump({"parents": {3: list(PARENTS)}} | said))
    with pytest.raises(LamarckError, match=sentence):
        members(Path(), CHILD)


def test_a_circle_of_descriptions_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, other in (("a", "b"), ("b", "a")):
        description_file(name).parent.mkdir(parents=True)
        description_file(name).write_text(f"parents: {{3: [{other}/g3]}}")
    with pytest.raises(LamarckError, match="makes b/g3 a parent of a/g3"):
        members(Path(), Generation(3, "a"))


@pytest.mark.parametrize("name", ["approvals/other/g2.ok", "results/other/lineage.yaml", "results/other/g1/plan.json"])
def test_what_does_not_lead_to_it_is_refused(crossed: Path, name: str) -> None:
    """A yes to what is not there would open a gate."""
    whole = make_manifest(Path(), CHILD, set(), set())
    check_owned(whole, members(Path(), CHILD))
    manifest = Manifest(generation=CHILD.name, files=whole.files | {name: "0" * 64})
    Path("lamarck.json").write_text(manifest.model_dump_json())
    with pytest.raises(LamarckError, match=f"names '{name}', which does not lead to cross/g3"):
        check_owned(read_manifest(Path("lamarck.json")), members(Path(), CHILD))


@pytest.mark.parametrize(
    "name", ["approvals/campaigns/a.all.ok", "results/search/a/g1/plan.json", "results/a/control/lineage.yaml"]
)
def test_what_a_persons_lineage_does_not_have(tmp_path: Path, name: str) -> None:
    file = tmp_path / "lamarck.json"
    file.write_text(json.dumps({"format": 1, "generation": CHILD.name, "files": {name: "0" * 64}}))
    with pytest.raises(LamarckError, match="which no lineage has"):
        read_manifest(file)


def test_a_parent_that_is_altered_or_missing_is_found(crossed: Path) -> None:
    assert check_lineage(Path(), CHILD) == set()
    adapter = Path("results/control/g2/adapter")
    (adapter / "adapter_model.safetensors").write_text("another")
    with pytest.raises(LamarckError, match="results/control/g2/adapter is not what its record says"):
        check_lineage(Path(), CHILD)
    shutil.rmtree(adapter)
    with pytest.raises(LamarckError, match="results/control/g2/adapter is missing: cross/g3 is made of it"):
        check_lineage(Path(), CHILD)
