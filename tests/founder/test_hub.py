"""A founder from the hub: pinned to a commit, every file's digest recorded, its licence kept."""

import os
import subprocess
import sys
from pathlib import Path
from textwrap import indent

import pytest
import yaml

from lamarck.config.engine import HFEngineConfig
from lamarck.engine.hf import HFEngine
from lamarck.files import digest_file, read_json, write_json
from lamarck.lineage.digest import weights_digest
from lamarck.lineage.generation import WEIGHTS_RECORD
from lamarck.models.parameters import count_parameters
from lamarck.models.shards import SHARDS
from tests.environment import in_default_environment
from tests.hub.fake import READER, FakeHub, Repository, fake_hub

ROOT = Path(__file__).parents[2]
REPO = "owner/base"
CARD = b"---\nlicense: mit\n---\n# A base\n"


def publish(hub: FakeHub, model: Path, **more: bytes) -> str:
    """A model directory as a private repository. Returns its commit."""
    repository = hub.repositories[REPO] = Repository(private=True)
    repository.lfs_paths.add("model.safetensors")
    return repository.commit({path.name: path.read_bytes() for path in model.iterdir()} | more)


def bring(hub: FakeHub, revision: str, root: Path, token: str | None = READER) -> subprocess.CompletedProcess[str]:
    """`python -m lamarck.founder`, as the rule calls it."""
    founder = {"kind": "hub", "repo": REPO, "revision": revision}
    config = yaml.safe_load((ROOT / "config/default.yaml").read_text()) | {"founder": founder}
    (root / "config.yaml").write_text(yaml.safe_dump(config))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return subprocess.run(
        [sys.executable, "-m", "lamarck.founder", "--config", "config.yaml", "--output", "weights"],
        cwd=root,
        env=kept | hub.environment(token) | {"HF_HOME": str(root / "hf-home")},
        capture_output=True,
        text=True,
    )


def use(hub: FakeHub, root: Path, token: str | None = READER) -> subprocess.CompletedProcess[str]:
    """Answer a prompt with the weights, as a stage would: on a machine that has asked the hub for nothing yet."""
    program = (
        "from pathlib import Path\n"
        "from lamarck.config.engine import HFEngineConfig\n"
        "from lamarck.engine import load_engine\n"
        "print(load_engine(HFEngineConfig(), Path('weights'), None).generate(['<a1> 1 + 2 =>'], max_new_tokens=8))\n"
    )
    kept = {name: value for name, value in in_default_environment().items() if not name.startswith("HF_")}
    return subprocess.run(
        [sys.executable, "-c", f"from lamarck.errors import exit_with_sentence\ndef main():\n{indent(program, ' ')}\n"
         "exit_with_sentence(main)"],
        cwd=root,
        env=kept | hub.environment(token) | {"HF_HOME": str(root / "another-home")},
        capture_output=True,
        text=True,
    )  # fmt: skip


def test_the_founder_is_named_and_its_small_files_come(tiny_model: Path, tmp_path: Path) -> None:
    with fake_hub() as hub:
        commit = publish(hub, tiny_model, **{"README.md": CARD, "modeling.py": b"x", "pytorch_model.bin": b"x"})
        done = bring(hub, commit, tmp_path)
    assert done.returncode == 0, done.stderr
    source = read_json(tmp_path / "weights" / WEIGHTS_RECORD)
    assert {key: source[key] for key in ("kind", "repo", "revision", "license")} == {
        "kind": "hub",
        "repo": REPO,
        "revision": commit,
        "license": "mit",
    }
    large = tiny_model / "model.safetensors"
    small = {path.name: digest_file(path) for path in tiny_model.iterdir() if path != large}
    assert source["files"] == small | {SHARDS: digest_file(tmp_path / "weights" / SHARDS)}
    assert source["record"]["digest"] == weights_digest(tmp_path / "weights")
    assert read_json(tmp_path / "weights" / SHARDS) == {
        "repo": REPO,
        "revision": commit,
        "parameters": count_parameters(tiny_model),
        "files": {large.name: {"sha256": digest_file(large), "bytes": large.stat().st_size}},
    }
    assert count_parameters(tmp_path / "weights") == count_parameters(tiny_model)


def test_the_machine_that_computes_fetches_the_weights_once(tiny_model: Path, tmp_path: Path) -> None:
    with fake_hub() as hub:
        commit = publish(hub, tiny_model)
        assert bring(hub, commit, tmp_path).returncode == 0
        before = sorted(path.name for path in (tmp_path / "weights").iterdir())
        oid = digest_file(tiny_model / "model.safetensors")
        hub.log.clear()
        first = use(hub, tmp_path)
        assert first.returncode == 0, first.stderr
        assert f"get /lfs/{oid}" in hub.log
        hub.log.clear()
        assert use(hub, tmp_path).stdout == first.stdout
        assert f"get /lfs/{oid}" not in hub.log
    said, answers = first.stdout.splitlines()
    assert said == f"{(tiny_model / 'model.safetensors').stat().st_size / 1e9:.2f} GB of {REPO}: " + (
        "what is not here yet comes from the hub"
    )
    expected = HFEngine(HFEngineConfig(), tiny_model, None).generate(["<a1> 1 + 2 =>"], max_new_tokens=8)
    assert answers == str(expected)
    assert sorted(path.name for path in (tmp_path / "weights").iterdir()) == before


@pytest.mark.parametrize("altered", ["config.json", SHARDS])
def test_weights_that_are_not_those_named_are_refused(tiny_model: Path, tmp_path: Path, altered: str) -> None:
    with fake_hub() as hub:
        assert bring(hub, publish(hub, tiny_model), tmp_path).returncode == 0
        path = tmp_path / "weights" / altered
        content = read_json(path)
        if altered == SHARDS:
            content["files"]["model.safetensors"]["sha256"] = "0" * 64
        write_json(path, content | ({} if altered == SHARDS else {"rope_theta": 1}))
        done = use(hub, tmp_path)
    assert done.returncode == 1
    name = "model.safetensors" if altered == SHARDS else altered
    assert done.stderr.startswith("error: ") and f"{name} is not what weights names" in done.stderr, done.stderr


def test_weights_that_cannot_be_had_are_a_sentence(tiny_model: Path, tmp_path: Path) -> None:
    with fake_hub() as hub:
        assert bring(hub, publish(hub, tiny_model), tmp_path).returncode == 0
        done = use(hub, tmp_path, token=None)
    assert done.returncode == 1
    assert done.stderr.startswith("error: owner/base is not there, or hidden: set HF_TOKEN"), done.stderr


def test_weights_without_a_digest_are_no_founder(tiny_model: Path, tmp_path: Path) -> None:
    with fake_hub() as hub:
        commit = publish(hub, tiny_model)
        hub.repositories[REPO].lfs_paths.clear()
        done = bring(hub, commit, tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the hub gives no sha256 of model.safetensors in owner/base"), done.stderr
    assert not (tmp_path / "weights").exists()


def test_a_repository_without_safetensors_is_not_a_founder(tiny_model: Path, tmp_path: Path) -> None:
    with fake_hub() as hub:
        repository = hub.repositories[REPO] = Repository(private=True)
        kept = {path.name: path.read_bytes() for path in tiny_model.iterdir() if path.suffix != ".safetensors"}
        done = bring(hub, repository.commit(kept | {"pytorch_model.bin": b"x"}), tmp_path)
    assert done.returncode == 1
    assert "owner/base has no safetensors weights at" in done.stderr


@pytest.mark.parametrize(
    ("revision", "token", "sentence"),
    [
        ("0" * 40, READER, "owner/base has no such revision"),
        (None, None, "owner/base is not there, or hidden: set HF_TOKEN"),
    ],
)
def test_what_cannot_be_had(
    tiny_model: Path, tmp_path: Path, revision: str | None, token: str | None, sentence: str
) -> None:
    with fake_hub() as hub:
        commit = publish(hub, tiny_model)
        done = bring(hub, revision or commit, tmp_path, token)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {sentence}"), done.stderr
    assert not (tmp_path / "weights").exists()
