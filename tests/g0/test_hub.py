"""A founder from the hub: pinned to a commit, every file's digest recorded, its licence kept."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lamarck.files import digest_file, read_json
from lamarck.lineage import WEIGHTS_RECORD, weights_digest
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
    """`python -m lamarck.g0`, as the rule calls it."""
    founder = {"kind": "hub", "repo": REPO, "revision": revision}
    config = yaml.safe_load((ROOT / "config/default.yaml").read_text()) | {"founder": founder}
    (root / "config.yaml").write_text(yaml.safe_dump(config))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return subprocess.run(
        [sys.executable, "-m", "lamarck.g0", "--config", "config.yaml", "--output", "weights"],
        cwd=root,
        env=kept | hub.environment(token) | {"HF_HOME": str(root / "hf-home")},
        capture_output=True,
        text=True,
    )


def test_what_comes_is_recorded_file_by_file(tiny_model: Path, tmp_path: Path) -> None:
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
    assert source["files"] == {path.name: digest_file(path) for path in tiny_model.iterdir()}
    assert source["record"]["digest"] == weights_digest(tmp_path / "weights")


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
