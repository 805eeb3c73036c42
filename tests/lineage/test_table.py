"""The table of artifacts is the one place: a kind that is added to it alone appears wherever artifacts are shown."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lamarck.commands import verify as verifying
from lamarck.commands.status import status
from lamarck.config import load_config
from lamarck.errors import LamarckError
from lamarck.files import digest_file, write_json, write_text
from lamarck.hub.contents import allowed_paths, make_manifest
from lamarck.lineage import artifacts, dvc
from lamarck.lineage.artifacts import TABLE, kind_of
from lamarck.lineage.freshness import examine, survey
from lamarck.lineage.generation import Generation, described, description_files
from lamarck.lineage.kind import Kind, Piece
from lamarck.lineage.listing import described_lineages
from lamarck.lineage.records import read_record
from lamarck.lineage.times import ContentTimes, Made
from lamarck.report.page import members as page_members
from tests.report.page.conftest import lineage, made  # noqa: F401  two generations with control arms

CONFIG = Path("config/default.yaml")
G2 = Generation(2)
NOTES = Kind(
    "notes",
    {"notes": "notes.md", "record": "notes.record.json"},
    "child",
    (
        Piece(
            "curriculum",
            lambda config, child: {"curriculum": (child.curriculum,)},
            lambda files: digest_file(files["curriculum"][0]),
        ),
    ),
    lambda child: digest_file(child.directory / "notes.md"),
    "notes.record.json",
    dvc={"notes": "out"},
)


@pytest.fixture
def with_notes(lineage: Path, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: F811
    """The made-up lineage, every child with notes on its curriculum; the table knows them, nothing else does."""
    table = (*TABLE, NOTES)
    from lamarck.hub import check, contents

    for module in (artifacts, contents, check):
        monkeypatch.setattr(module, "TABLE", table)
    template = read_record(Generation(1).card)
    for child in (Generation(1), Generation(1, "control"), G2, Generation(2, "control")):
        write_text(child.directory / "notes.md", f"Notes on {child.name}.\n")
        record = template.model_copy(
            update={"digest": digest_file(child.directory / "notes.md"), "inputs": NOTES.piece_digests(None, child)}
        )
        write_json(NOTES.record_file(child), {"record": record.model_dump(mode="json")})
    return lineage


def test_a_kind_in_the_table_alone_appears_everywhere(with_notes: Path) -> None:
    config = load_config(CONFIG)
    assert {each.state for each in survey(config) if each.kind is NOTES} == {"whole"}
    listed = {row["generation"]: row["artifacts"] for row in status(config, survey(config))["generations"]}
    assert listed["control/g2"]["notes.md"] is None
    [member] = [each for each in page_members.find_members(config) if each.name == "g2"]
    assert [piece.state for piece in member.pieces if piece.kind == "notes"] == ["whole"]
    assert "results/g2/notes.md" in make_manifest(with_notes, G2, set(), set()).files
    assert allowed_paths(G2).fullmatch("results/control/g1/notes.md")
    assert "notes-control-g1" in dvc.pipeline(config, CONFIG)["stages"]


def test_a_changed_byte_of_it_is_found(with_notes: Path) -> None:
    (G2.directory / "notes.md").write_text("Other notes.\n")
    assert examine(NOTES, G2, None).state == "altered"
    with pytest.raises(LamarckError, match=r"results/g2/notes.md does not hold \(1 such in all\): its bytes differ"):
        verifying.show(CONFIG, as_json=False)
    write_text(Generation(1).curriculum, "{}\n")
    assert examine(NOTES, Generation(1), None).torn


def verify() -> str:
    """What `lamarck verify` says; it must fail. Only artifacts are looked at here: the made-up settings differ."""
    done = subprocess.run([Path(sys.executable).parent / "lamarck", "verify"], capture_output=True, text=True)
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("content", ["[]", "null", "", '{"record": ', "[" * 100_000, '{"record": 1' + "0" * 5000 + "}"])
def test_a_damaged_record_is_one_sentence(lineage: Path, content: str) -> None:  # noqa: F811
    (G2.change / "training.json").write_text(content)
    sentence = verify()
    assert "results/g2/adapter does not hold" in sentence
    assert "training.json" in sentence


def test_a_record_written_over_fails(lineage: Path) -> None:  # noqa: F811
    """A byte more in the adapter, and its record made to agree: what was made from it tells."""
    with (G2.parent.change / "adapter_model.safetensors").open("ab") as file:
        file.write(b"x")
    path = G2.parent.change / "training.json"
    training = json.loads(path.read_text())
    training["record"]["digest"] = kind_of("adapter").digest(G2.parent)  # type: ignore[misc]
    path.write_text(json.dumps(training))
    assert "results/g2/curriculum.jsonl does not hold" in verify() or "results/g1/eval.json does not hold" in verify()


def test_an_incomplete_pull_fails(lineage: Path) -> None:  # noqa: F811
    G2.samples.unlink()
    assert "results/g2/eval.json does not hold" in verify()


def test_a_missing_input_fails(lineage: Path) -> None:  # noqa: F811
    Generation(1).curriculum.unlink()
    assert "does not hold" in verify()


def test_a_lineage_of_its_own_founder_parents_and_settings(lineage: Path) -> None:  # noqa: F811
    write_text(
        Path("results/cross/lineage.yaml"),
        "founder: search/f1\nparents: {3: [g2, other/g2]}\noverlay: {seed: 7, recipe: {steps: 5}}\n",
    )
    child = Generation(3, "cross")
    assert [parent.name for parent in child.parents] == ["g2", "other/g2"]
    assert [each.name for each in Generation(2, "cross").line] == ["search/f1/g0", "cross/g1", "cross/g2"]
    assert child.control.parents == child.parents
    assert str(Generation(1, "cross").weights) == "results/search/f1/g0/weights"
    from lamarck.lineage.configured import config_of

    config = load_config(CONFIG)
    own = config_of(config, "cross/control")
    assert (own.seed, own.recipe.steps, own.recipe.rank) == (7, 5, config.recipe.rank)
    assert config_of(config, "") is config
    assert described("").founder == ""


def test_lineages_stand_behind_those_that_they_come_from(lineage: Path) -> None:  # noqa: F811
    """By name the child would come first, and count as older than its parents: it would be made again."""
    write_text(Path("results/cross/lineage.yaml"), "founder: zero\nparents: {3: [other/g2, third/control/g2]}\n")
    for name in ("other", "third", "zero"):
        write_text(Path(f"results/{name}/lineage.yaml"), "overlay: {seed: 5}\n")
    assert described_lineages() == ["zero", "other", "third", "cross"]
    child = Generation(3, "cross")
    assert [each.name for each in child.ancestors][-1] == "cross/g3"
    assert {"other/g1", "third/control/g1"} <= {each.name for each in child.ancestors}
    assert set(description_files(child)) == {
        Path(f"results/{name}/lineage.yaml") for name in ("cross", "other", "third")
    }


def test_a_founder_of_two_lineages_is_older_than_the_children_of_both(lineage: Path) -> None:  # noqa: F811
    """Every lineage's survey holds its founder: the second must not make it younger than the first one's children."""
    write_text(Path("results/other/lineage.yaml"), "overlay: {seed: 5}\n")
    config = load_config(CONFIG)
    times = ContentTimes(
        Made(each.files, False, (), lambda: True) for name in ("", "other") for each in survey(config, name)
    )
    assert times.of("results/g0/weights") < times.of("results/g1/curriculum.jsonl")


def test_a_kind_knows_when_a_setting_changed(lineage: Path) -> None:  # noqa: F811
    config = load_config(CONFIG)
    plan = kind_of("plan")
    before = plan.input_digests(config, G2)
    faster = config.model_copy(update={"recipe": config.recipe.model_copy(update={"checkpoint_every": 7})})
    assert plan.input_digests(faster, G2) == before
    longer = config.model_copy(update={"recipe": config.recipe.model_copy(update={"steps": 7})})
    assert {name for name, digest in plan.input_digests(longer, G2).items() if digest != before[name]} == {"recipe"}


def test_every_file_of_the_missions_chain_is_in_the_table() -> None:
    names = {str(path) for kind in TABLE for path in kind.paths(G2).values()}
    founder = {str(path) for kind in TABLE for path in kind.paths(Generation(0)).values()}
    assert "results/g0/weights" in founder
    assert {
        "results/g2/curriculum.jsonl",
        "results/g2/adapter",
        "results/g2/eval.json",
        "results/g2/plan.json",
    } <= names
