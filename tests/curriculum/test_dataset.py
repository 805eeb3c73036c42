"""A curriculum among other people's tools: Hugging Face's `datasets` opens it, and its hub reads the card."""

import random
from pathlib import Path
from typing import Any

import datasets
import pytest
import yaml
from huggingface_hub import DatasetCard

from lamarck.config import load_config
from lamarck.config.founder import Founder, HubFounder
from lamarck.curriculum.dataset_card import dataset_card
from lamarck.curriculum.item import Item, read_curriculum
from lamarck.files import write_jsonl
from lamarck.lineage.contents import Card
from tests.curriculum.lines import card, item, items, typed_card

ROOT = Path(__file__).parents[2]
TINY: Founder = load_config(ROOT / "config/default.yaml").founder
WRITTEN = items({("json_mode", 1): 3, ("json_mode", 2): 2}, seed=1)


def load(path: Path) -> Any:
    return datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=str(path.parent / "cache"))


def test_a_field_that_only_late_lines_fill_is_read(tmp_path: Path) -> None:
    """`datasets` takes the types from the first ten megabytes: what is missing there would be an error later."""
    rng = random.Random(1)
    plain = item("json_mode", 2, rng).model_dump(mode="json")
    late = item("json_mode", 3, rng, reasoning="first the keys", edited_from="e" * 64).model_dump(mode="json")
    path = tmp_path / "curriculum.jsonl"
    lines = 11 * 2**20 // len(str(plain)) + 1
    write_jsonl(path, [plain] * lines + [late])
    assert path.stat().st_size > 10 * 2**20
    found = load(path)
    assert len(found) == lines + 1
    assert found[0] == plain
    assert found[-1] == late


def test_what_was_read_is_the_items_again(tmp_path: Path) -> None:
    path = tmp_path / "curriculum.jsonl"
    write_jsonl(path, [each.model_dump(mode="json") for each in WRITTEN])
    assert [Item.model_validate(row) for row in load(path)] == WRITTEN == list(read_curriculum(path))


def test_the_hub_reads_the_card() -> None:
    read = DatasetCard(dataset_card(typed_card(WRITTEN, "g2", "g1", replayed=995), TINY))
    front = read.data.to_dict()
    assert front["license"] == "apache-2.0"
    assert front["size_categories"] == ["1K<n<10K"]
    assert front["task_categories"] == ["text-generation"]
    assert front["configs"] == [{"config_name": "default", "data_files": "curriculum.jsonl"}]
    assert "1000 items, 5 problems with answers of g1's own, 995 replayed" in read.text
    assert "| json_mode | 2 | 4 | 0.5 | 2 | 2 |" in read.text
    assert "| vendi | 12.5 |" in read.text
    assert "could not fill json_mode 9" in read.text
    assert f"| digest of the strategy | {'5' * 64} |" in read.text
    assert all(f"| `{name}` | " in read.text for name in Item.model_fields)


def test_the_load_instruction_of_the_card_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_jsonl(tmp_path / "curriculum.jsonl", [each.model_dump(mode="json") for each in WRITTEN])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    code = dataset_card(typed_card(WRITTEN, "g1", "g0"), TINY).split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(code, names)
    assert len(names["curriculum"]) == 5


def test_the_same_curriculum_made_elsewhere_has_the_same_card() -> None:
    here = card(WRITTEN, "g1", "g0")
    there = card(WRITTEN, "g1", "g0")
    there["record"] |= {"wall_seconds": 99.0, "device_seconds": 98.0, "device": "another", "versions": {"python": "4"}}
    there["record"]["code"] = {"commit": None, "dirty": None}
    assert dataset_card(Card.model_validate(here), TINY) == dataset_card(Card.model_validate(there), TINY)


@pytest.mark.parametrize(("items", "size"), [(999, "n<1K"), (1000, "1K<n<10K"), (10**6, "1M<n<10M"), (10**8, "n>10M")])
def test_size(items: int, size: str) -> None:
    text = dataset_card(typed_card(WRITTEN, "g1", "g0", items=items), TINY)
    assert yaml.safe_load(text.split("---")[1])["size_categories"] == [size]


def test_a_founder_from_elsewhere_brings_its_own_terms() -> None:
    text = dataset_card(typed_card(WRITTEN, "g1", "g0"), HubFounder(kind="hub", repo="owner/name", revision="a" * 40))
    assert DatasetCard(text).data.license == "unknown"
    assert f"owner/name, revision {'a' * 40}" in text


def test_the_control_arms_card_says_that_nothing_was_verified() -> None:
    content = card(WRITTEN, "control/g1", "g0")
    content["record"]["inputs"]["like"] = "1" * 64
    assert "None: this is a control arm" in dataset_card(Card.model_validate(content), TINY)
