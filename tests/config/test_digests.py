"""Digests with a future: what may be added without making anything stale, and what may never change."""

import json
from pathlib import Path

import pytest
from pydantic import create_model

from lamarck.config import Budget, Recipe, load_config
from lamarck.config.engine import HFEngineConfig, ServerEngineConfig, VLLMEngineConfig
from lamarck.config.optimizer import AdamWSettings, ApolloMiniSettings, ApolloSettings, Group, Groups
from lamarck.config.own import Problems
from lamarck.config.prompts import Prompts
from lamarck.config.section import Section
from lamarck.config.strategy import Following, FurtherAnswers, Sampling, Share, Strategy, load_strategy
from lamarck.config.tiny import SkillShare, TinyFounder

ROOT = Path(__file__).parents[2]
DEFAULTS = Path(__file__).with_name("defaults.json")
SECTIONS: tuple[type[Section], ...] = (
    *(Recipe, HFEngineConfig, VLLMEngineConfig, ServerEngineConfig, TinyFounder, SkillShare),
    *(Strategy, Share, Problems, Following, Sampling, FurtherAnswers, Prompts),
    *(AdamWSettings, ApolloSettings, ApolloMiniSettings, Group, Groups),
)


def test_golden_digests() -> None:
    """Of the shipped default world. Another digest here makes every lineage of every user stale."""
    config = load_config(ROOT / "config/default.yaml")
    strategy = load_strategy(ROOT / "config/strategies/frontier.yaml")
    found = [section.digest()[:16] for section in (config.founder, config.recipe, config.engine, strategy)]
    assert found == json.loads(DEFAULTS.read_text())["digests of config/default.yaml"]


def test_no_default_has_changed() -> None:
    """A digest leaves out what is at its default, so a default that changes would change bytes and no digest."""
    now = {
        section.__name__: {
            name: json.loads(json.dumps(field.get_default(call_default_factory=True), default=str))
            for name, field in section.model_fields.items()
            if not field.is_required() and name not in section.circumstance
        }
        for section in SECTIONS
    }
    known = json.loads(DEFAULTS.read_text())["defaults"]
    changed = {
        f"{section}.{name}"
        for section, fields in known.items()
        for name, value in fields.items()
        if now[section].get(name) != value
    }
    assert changed == set(), "a default may never change; give the new behaviour a field of its own"
    new = {f"{section}.{name}" for section, fields in now.items() for name in fields if name not in known[section]}
    assert new == set(), f"add them to {DEFAULTS.name}: from now on these defaults are fixed"


def test_a_field_that_is_added_with_a_default_changes_no_digest() -> None:
    later = create_model("Recipe", __base__=Recipe, noise=(str, "none"))
    assert later().digest() == Recipe().digest()
    assert later(noise="pink").digest() != Recipe().digest()  # type: ignore[call-arg]


def test_an_optimizer_is_named_in_a_plan_only_where_it_is_another_than_the_default() -> None:
    """A plan lists every setting, and one that was approved before there was a choice must stay the same plan."""
    assert "optimizer" not in Recipe().decisive_settings()
    assert Recipe(optimizer=ApolloSettings(kind="apollo")).decisive_settings()["optimizer"]["rank"] == 256


def test_a_default_that_is_written_down_is_the_default() -> None:
    assert Recipe(steps=300).digest() == Recipe().digest()
    assert Recipe(steps=301).digest() != Recipe().digest()


@pytest.mark.parametrize(
    ("section", "changes"),
    [
        (Recipe(), {"checkpoint_every": 7}),
        (HFEngineConfig(), {"founder_threads": 7}),
        (VLLMEngineConfig(kind="vllm"), {"batch_size": 7, "memory_share": 0.5, "threads": 7}),
        (ServerEngineConfig(kind="server", url="http://127.0.0.1:1/v1", chat=True), {"timeout_seconds": 7}),
    ],
)
def test_what_cannot_change_bytes_is_in_no_digest(section: Section, changes: dict[str, object]) -> None:
    assert section.model_copy(update=changes).digest() == section.digest()
    assert not changes.keys() & section.decisive_settings().keys()


def test_what_can_change_bytes_is() -> None:
    """Threads decide the order of sums."""
    assert HFEngineConfig(threads=2).digest() != HFEngineConfig(threads=1).digest()
    assert Budget(device_seconds=1).digest() != Budget(device_seconds=2).digest()
