"""What a manifest from anywhere may name."""

import json
from pathlib import Path

import pytest

from lamarck.errors import LamarckError
from lamarck.hub.contents import read_manifest


def write(path: Path, **changes: object) -> Path:
    path.write_text(json.dumps({"format": 1, "generation": "g2", "files": {}} | changes))
    return path


def test_what_a_lineage_has(tmp_path: Path) -> None:
    names = [
        "results/g0/weights/model-00001-of-00030.safetensors",
        "results/g0/student/source.json",
        "results/control/g1/adapter/adapter_config.json",
        "results/g1/delta/delta.safetensors",
        "results/control/g2/weights/training.json",
        "results/g2/eval.record.json",
        "results/g2/curriculum.md",
        "approvals/g2.ok",
        "approvals/g2.ok.sig",
    ]
    manifest = read_manifest(write(tmp_path / "lamarck.json", files=dict.fromkeys(names, "0" * 64)))
    assert list(manifest.files) == names


@pytest.mark.parametrize(
    "name",
    [
        "../outside.json",
        "results/g1/adapter/../../../outside.json",
        "/etc/outside.json",
        "lamarck/cli.py",
        "results/g1/adapter/model.py",
        "results/g1/adapter/adapter_model.bin",
        "results/g0/weights/.hidden.json",
        "config/default.yaml",
        "approvals/g0.ok",
        "approvals/g3.ok",
        "results/g3/plan.json",
        "results/g1/plan.json\n",
    ],
)
def test_what_no_lineage_has(tmp_path: Path, name: str) -> None:
    with pytest.raises(LamarckError, match="names "):
        read_manifest(write(tmp_path / "lamarck.json", files={name: "0" * 64}))


@pytest.mark.parametrize("changes", [{"format": 2}, {"generation": "control/g1"}, {"files": 3}, {"more": 1}])
def test_what_is_not_a_manifest(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(LamarckError, match="is not one of a published lineage"):
        read_manifest(write(tmp_path / "lamarck.json", **changes))


def test_what_is_not_a_digest(tmp_path: Path) -> None:
    with pytest.raises(LamarckError, match=r"names .approvals/g1\.ok."):
        read_manifest(write(tmp_path / "lamarck.json", files={"approvals/g1.ok": "sha"}))
