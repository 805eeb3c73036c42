"""What was changed by hand is kept before it is made again."""

from pathlib import Path

import pytest

from lamarck.files import digest_file
from lamarck.lineage.artifacts import CURRICULUM
from lamarck.lineage.digest import source_digest
from lamarck.lineage.freshness import Artifact, keep_edits
from lamarck.lineage.generation import Generation

G1 = Generation(1)


def test_a_curriculum_edited_by_hand_is_kept_beside_the_one_that_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    G1.curriculum.parent.mkdir(parents=True)
    G1.curriculum.write_text("edited\n")
    found = digest_file(G1.curriculum)
    for state in ("whole", "outdated", "missing"):
        assert keep_edits([Artifact(CURRICULUM, G1, state, found=found)]) == []
    (sentence,) = keep_edits([Artifact(CURRICULUM, G1, "altered", found=found)])
    G1.curriculum.write_text("made again\n")
    kept = Path(f"results/g1/curriculum.edited-{found[:8]}.jsonl")
    assert kept.read_text() == "edited\n"
    assert str(kept) in sentence and "lamarck review g1 --edit" in sentence


def test_of_a_founders_directory_only_what_is_copied_counts(tmp_path: Path) -> None:
    """The fault: a README, or a cache that the hub's client leaves, had a whole lineage trained again."""
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    before = source_digest(tmp_path)
    (tmp_path / ".cache/huggingface").mkdir(parents=True)
    (tmp_path / ".cache/huggingface/config.json").write_text("{}")
    for name in ("README.md", "modeling.py", "pytorch_model.bin", ".gitattributes"):
        (tmp_path / name).write_text("more")
    assert source_digest(tmp_path) == before
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    assert source_digest(tmp_path) != before
