"""The configuration: what is written is what is meant, or it is refused by name."""

import random
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from lamarck.config import Budget, load_config
from lamarck.config.prompts import load_prompts
from lamarck.config.strategy import load_strategy
from lamarck.curriculum.cell import checked_strategy
from lamarck.errors import LamarckError

ROOT = Path(__file__).parents[2]
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
    config = load_config(ROOT / "config/default.yaml")
    for name, section in {"recipe": config.recipe, "engine": config.engine, "founder": config.founder}.items():
        assert set(DEFAULT[name]) == set(type(section).model_fields)


@pytest.mark.parametrize("path", sorted((ROOT / "config/strategies").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_strategies_parse(path: Path) -> None:
    assert checked_strategy(path).description


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


def test_processes_that_cannot_share_a_batch_evenly_are_refused(tmp_path: Path) -> None:
    machines = {"train": {"gpu": "here", "count": 3}}
    sentence = refused(tmp_path, DEFAULT | {"machines": machines})
    assert "recipe.batch_size is 64, which 3 GPUs (machines.train.count) cannot share evenly" in sentence


@pytest.mark.parametrize("number", [0, 0.99, -2, "two"])
def test_the_longest_are_chosen_of_as_many_or_more(tmp_path: Path, number: object) -> None:
    values = yaml.safe_load((ROOT / "config/strategies/frontier.yaml").read_text())
    path = tmp_path / "strategy.yaml"
    path.write_text(yaml.safe_dump(values | {"longest_of": number}))
    with pytest.raises(LamarckError, match="longest_of"):
        load_strategy(path)
    path.write_text(yaml.safe_dump(values | {"longest_of": 1}))
    assert load_strategy(path).digest() == load_strategy(ROOT / "config/strategies/frontier.yaml").digest()


def test_a_strategy_may_only_ask_for_what_exists(tmp_path: Path) -> None:
    strategy = yaml.safe_load((ROOT / "config/strategies/frontier.yaml").read_text())
    path = tmp_path / "strategy.yaml"
    for changes, sentence in (
        ({"skills": {"jsn_mode": {"share": 1, "difficulties": [1]}}}, "no skill 'jsn_mode'"),
        ({"skills": {"json_mode": {"share": 1, "difficulties": [99]}}}, "99"),
        ({"skills": {"json_mode": {"share": 1, "difficulties": []}}}, "skills.json_mode.difficulties"),
        ({"skills": {"json_mode": {"share": 0.7, "difficulties": [1]}}}, "add up to 0.7, not 1"),
        ({"skills": {}}, "skills"),
        ({"difficulty": {"kind": "following", "band": [0.8, 0.2]}}, "from a lower to a higher pass rate"),
        ({"difficulty": {"kind": "following", "band": [0.5, 1.5]}}, "within 0..1"),
        ({"difficulty": {"kind": "rising"}}, "difficulty"),
        ({"answers": {"choose": "longest"}}, "answers.choose"),
        ({"prompts": "config/prompts/none.yaml"}, "config/prompts/none.yaml does not exist"),
        ({"siz": 3}, "did you mean 'size'"),
    ):
        path.write_text(yaml.safe_dump(strategy | changes))
        with pytest.raises(LamarckError, match=re.escape(sentence)):
            checked_strategy(path)


@pytest.mark.parametrize("path", sorted((ROOT / "config/prompts").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_prompts_keep_what_the_skill_asks(path: Path) -> None:
    prompts = load_prompts(path)
    asked = {prompts.to_write("Write {this} problem.", random.Random(seed)) for seed in range(200)}
    assert len(asked) == len(prompts.topics)
    assert all("Write {this} problem." in each for each in asked)
    assert "What is {x}?" in prompts.to_solve("What is {x}?")


@pytest.mark.parametrize("write", ["ask something", "{request} {who}", "{request} {"])
def test_a_template_without_its_place_is_refused(tmp_path: Path, write: str) -> None:
    (tmp_path / "prompts.yaml").write_text(yaml.safe_dump({"write": write}))
    with pytest.raises(LamarckError, match="write"):
        load_prompts(tmp_path / "prompts.yaml")


def test_a_generation_may_have_a_strategy_of_its_own() -> None:
    config = load_config(ROOT / "config/default.yaml").model_copy(update={"strategies": {2: "b", 4: "d"}})
    default = config.strategy
    assert [str(config.strategy_of(number)) for number in range(1, 6)] == [default, "b", "b", "d", "d"]


def test_a_lower_budget_holds_for_all_that_follow() -> None:
    budget = Budget(device_seconds=100, overrides={3: 50})
    assert [budget.of(generation) for generation in (1, 2, 3, 4)] == [100, 100, 50, 50]


def test_a_tiny_founders_recipe_is_a_file_whose_keys_are_its_own(tmp_path: Path) -> None:
    """By value: the digest is that of a founder whose keys stand in the configuration."""
    recipe, path = tmp_path / "recipe.yaml", tmp_path / "config.yaml"
    recipe.write_text("learning_rate: 0.004\nlayers: 3\nsteps: 77\n")
    skills = {"kind": "tiny", "skills": DEFAULT["founder"]["skills"]}
    path.write_text(yaml.safe_dump(DEFAULT | {"founder": skills | {"recipe": str(recipe), "steps": 99}}))
    found = load_config(path).founder
    path.write_text(yaml.safe_dump(DEFAULT | {"founder": skills | {"learning_rate": 0.004, "layers": 3, "steps": 99}}))
    assert found == load_config(path).founder and found.digest() == load_config(path).founder.digest()


@pytest.mark.parametrize("text", ["learning_rat: 1", "kind: local", "- a list", ""])
def test_a_recipe_of_anything_else_is_refused(tmp_path: Path, text: str) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text)
    founder = DEFAULT["founder"] | {"recipe": str(recipe)}
    assert "has keys of these alone: batch_size, context" in refused(tmp_path, DEFAULT | {"founder": founder})


def test_a_recipe_belongs_to_tiny_founders_and_is_the_name_of_a_file(tmp_path: Path) -> None:
    assert "name a file" in refused(tmp_path, DEFAULT | {"founder": DEFAULT["founder"] | {"recipe": 3}})
    assert "unknown key" in refused(tmp_path, DEFAULT | {"founder": {"kind": "local", "path": "x", "recipe": "y"}})
