"""The configuration: what is written is what is meant, or it is refused by name."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from lamarck.config import Budget, load_config
from lamarck.curriculum.strategy import load_strategy
from lamarck.errors import LamarckError

ROOT = Path(__file__).parents[1]
DEFAULT = yaml.safe_load((ROOT / "config/default.yaml").read_text())


def refused(tmp_path: Path, values: Any) -> str:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(LamarckError) as error:
        load_config(path)
    return str(error.value)


@pytest.mark.parametrize("name", ["default.yaml", "70b.yaml"])
def test_shipped_configurations_parse(name: str) -> None:
    assert load_config(ROOT / "config" / name).generations >= 1


def test_the_default_file_shows_every_key() -> None:
    config = load_config(ROOT / "config/default.yaml").model_dump(mode="json")
    for section, keys in {"recipe": config["recipe"], "engine": config["engine"], "founder": config["founder"]}.items():
        assert set(DEFAULT[section]) == set(keys)


@pytest.mark.parametrize("path", sorted((ROOT / "config/strategies").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_strategies_parse(path: Path) -> None:
    assert load_strategy(path).description


@pytest.mark.parametrize(
    ("section", "key", "near"),
    [
        (None, "genrations", "generations"),
        ("recipe", "learning_rte", "learning_rate"),
        ("founder", "hiden_size", "hidden"),
    ],
)
def test_a_misspelt_key_is_refused_with_the_nearest(tmp_path: Path, section: str | None, key: str, near: str) -> None:
    values = DEFAULT | ({key: 1} if section is None else {section: DEFAULT[section] | {key: 1}})
    sentence = refused(tmp_path, values)
    assert key in sentence
    assert f"did you mean '{near}" in sentence


def test_a_misspelt_required_key_is_not_just_missing(tmp_path: Path) -> None:
    values = {key: value for key, value in DEFAULT.items() if key != "strategy"} | {"stratgy": "x"}
    assert "did you mean 'strategy'" in refused(tmp_path, values)


def test_other_mistakes_are_named(tmp_path: Path) -> None:
    assert "generations" in refused(tmp_path, DEFAULT | {"generations": "many"})
    assert "revision" in refused(tmp_path, DEFAULT | {"founder": {"kind": "hub", "repo": "a/b", "revision": "main"}})
    with pytest.raises(LamarckError, match="does not exist"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "broken.yaml").write_text("a: [")
    with pytest.raises(LamarckError, match="not valid YAML"):
        load_config(tmp_path / "broken.yaml")


def test_a_strategy_may_only_ask_for_what_exists(tmp_path: Path) -> None:
    strategy = yaml.safe_load((ROOT / "config/strategies/frontier.yaml").read_text())
    path = tmp_path / "strategy.yaml"
    path.write_text(yaml.safe_dump(strategy | {"skills": {"jsn_mode": [1]}}))
    with pytest.raises(LamarckError, match="no skill 'jsn_mode'"):
        load_strategy(path)
    path.write_text(yaml.safe_dump(strategy | {"skills": {"json_mode": [99]}}))
    with pytest.raises(LamarckError, match="99"):
        load_strategy(path)


def test_a_lower_budget_holds_for_all_that_follow() -> None:
    budget = Budget(device_seconds=100, overrides={3: 50})
    assert [budget.of(generation) for generation in (1, 2, 3, 4)] == [100, 100, 50, 50]
