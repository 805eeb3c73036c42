"""A founder that is merged: what its record says of its parents, what makes it again, what is refused."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lamarck.config import Config, load_config
from lamarck.config.founder import MergeFounder
from lamarck.errors import LamarckError
from lamarck.files import file_digests, write_json
from lamarck.founder.licence import common_licence, forbids, licence_of
from lamarck.founder.merge import check_merge_file, merge_founder
from lamarck.lineage.artifacts import WEIGHTS
from lamarck.lineage.digest import source_digest
from lamarck.lineage.generation import Generation
from lamarck.lineage.records import make_record
from lamarck.merge.sources import sources_of
from tests.merge.models import make_model

DOCUMENT = {
    "merge_method": "ties",
    "base_model": "base",
    "parameters": {"density": 0.5},
    "models": [{"model": "first", "parameters": {"weight": 0.5}}, {"model": "second", "parameters": {"weight": 0.5}}],
}
NAMES = ("base", "first", "second")


def write_merge(root: Path, **changes: object) -> Path:
    """A merge file of three models that lie in root/models."""
    (root / "merge.yaml").write_text(
        yaml.safe_dump({"documents": ["ties.yaml"], "models": {name: f"models/{name}" for name in NAMES}} | changes)
    )
    (root / "ties.yaml").write_text(yaml.safe_dump(DOCUMENT))
    return root / "merge.yaml"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    for seed, name in enumerate(NAMES):
        make_model(tmp_path / "models" / name, seed)
    return write_merge(tmp_path)


def config_for(file: Path) -> Config:
    config = load_config(Path("config/default.yaml"))
    return config.model_copy(update={"founder": MergeFounder(kind="merge", file=str(file))})


def test_every_parent_is_named_with_digest_and_licence(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "models/first/README.md").write_text("---\nlicense: cc-by-nc-nd-4.0\n---\n\n# First\n")
    record = make_record("0", {}, 0, "cpu", 0, 0).model_dump(mode="json")
    write_json(tmp_path / "models/second/source.json", {"kind": "tiny", "files": {}, "record": record})
    made = tmp_path / "made"
    made.mkdir()
    said = merge_founder(file, made, tmp_path / "merged")
    parents = {each["name"]: each for each in said["parents"]}  # type: ignore[attr-defined]
    assert {name: each["license"] for name, each in parents.items()} == {
        "base": None, "first": "cc-by-nc-nd-4.0", "second": "apache-2.0",
    }  # fmt: skip
    assert all(each["digest"] == source_digest(tmp_path / "models" / name) for name, each in parents.items())
    assert said["license"] is None
    assert said["said"] == [
        "first is under cc-by-nc-nd-4.0, which forbids derivatives: nothing that is made of it may be passed on"
    ]
    assert "forbids derivatives" in capsys.readouterr().out
    assert {"model.safetensors", "config.json", "tokenizer.json", "merge.json", "README.md"} <= file_digests(
        made
    ).keys()
    assert not (tmp_path / "merged").exists()


def test_the_same_bytes_twice(file: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        merge_founder(file, tmp_path / name, tmp_path / "merged")
    assert file_digests(tmp_path / "one") == file_digests(tmp_path / "two")


@pytest.mark.parametrize("changed", ["models/second/config.json", "ties.yaml", "merge.yaml"])
def test_what_makes_it_again(file: Path, tmp_path: Path, changed: str) -> None:
    """A parent, a document, the file: but not what a merge does not read."""
    config, founder = config_for(file), Generation(0)
    before = WEIGHTS.input_digests(config, founder)
    (tmp_path / "models/second/notes.txt").write_text("of no account")
    assert WEIGHTS.input_digests(config, founder) == before
    path = tmp_path / changed
    path.write_text(path.read_text() + "\n")
    after = WEIGHTS.input_digests(config, founder)
    assert {name for name in before if before[name] != after[name]} == {"merge"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"models": {}}, "does not say where its models lie"),
        (
            {"models": {"base": "models/base", "first": "models/frist"}},
            "models/frist, where .* first lies, is not a directory",
        ),
        ({"documents": ["teis.yaml"]}, "teis.yaml, a document of .*, does not exist"),
        ({"dokuments": ["ties.yaml"]}, "unknown key 'dokuments': did you mean 'documents'"),
        ({"documents": []}, "documents"),
    ],
)
def test_a_file_that_cannot_be_watched_is_refused(file: Path, tmp_path: Path, changes: dict, sentence: str) -> None:
    write_merge(tmp_path, **changes)
    with pytest.raises(LamarckError, match=sentence):
        sources_of(file)


def test_documents_alone_are_no_founder(file: Path, tmp_path: Path) -> None:
    with pytest.raises(LamarckError, match="is not a merge file: name the YAML files"):
        sources_of(tmp_path / "ties.yaml")


def test_a_model_that_nobody_watches_is_refused(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A merge would find it by its path; the founder would not be made again when it changes."""
    monkeypatch.chdir(tmp_path / "models")
    write_merge(tmp_path, models={"base": "models/base", "first": "models/first"})
    with pytest.raises(LamarckError, match="says under `models` nothing of second"):
        check_merge_file(file)


def test_a_parent_that_changes_meanwhile_is_refused(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lamarck import merge

    run = merge.run

    def run_while_it_changes(*arguments: object, **settings: object) -> object:
        found = run(*arguments, **settings)  # type: ignore[arg-type]
        make_model(tmp_path / "models/second", 9)
        return found

    monkeypatch.setattr(merge, "run", run_while_it_changes)
    (tmp_path / "made").mkdir()
    with pytest.raises(LamarckError, match=r"second in .* changed while it was merged"):
        merge_founder(file, tmp_path / "made", tmp_path / "merged")


def test_licences(tmp_path: Path) -> None:
    assert common_licence(["mit", "mit"]) == "mit" and common_licence(["mit", None]) is None
    assert forbids("a", "cc-by-nc-4.0") == (
        "a is under cc-by-nc-4.0: neither it nor what is made of it may be used commercially"
    )
    assert forbids("a", "apache-2.0") is None and forbids("a", None) is None
    for text in ("# no front matter", "---\nlicense: [mit\n---\n", "---\nlicense: 3\n---\n", "---\nnever closed"):
        (tmp_path / "README.md").write_text(text)
        assert licence_of(tmp_path) is None
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    assert licence_of(tmp_path) == "mit"


@pytest.mark.parametrize("text", ["[]", "null", "{", '{"kind": "tiny"}', "[" * 100_000, '{"license": 3}'])
def test_a_damaged_record_names_no_licence(tmp_path: Path, text: str) -> None:
    """Whose licence is not known any more is not merged as if it had none."""
    (tmp_path / "source.json").write_text(text)
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    with pytest.raises(LamarckError, match=r"source\.json is not "):
        licence_of(tmp_path)


def test_the_inputs_of_a_merge_are_found_without_torch(file: Path) -> None:
    """`lamarck status` asks for them."""
    program = (
        "import sys, json; from pathlib import Path; from lamarck.merge.sources import sources_of; "
        f"sources_of(Path({str(file)!r})); print(json.dumps('torch' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) is False
