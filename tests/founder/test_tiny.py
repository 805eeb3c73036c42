"""The founder: reproducible, an ordinary model directory, and blind to the suite."""

import json
from itertools import islice
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from lamarck.config.tiny import SkillShare, TinyFounder
from lamarck.errors import LamarckError
from lamarck.founder.local import check_model_directory, copy_founder
from lamarck.founder.tiny import pretrain
from lamarck.skills.corpus import corpus

WORLD = TinyFounder(
    kind="tiny",
    skills={"json_mode": SkillShare(share=1, weights=(1, 1)), "arithmetic": SkillShare(share=1, weights=(1,))},
    steps=5,
    decay_steps=2,
    batch_size=8,
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("founder")
    pretrain(WORLD, frozenset(), path, 3, lambda steps: None)
    return path


def test_the_same_seed_makes_the_same_bytes(weights: Path, tmp_path: Path) -> None:
    pretrain(WORLD, frozenset(), tmp_path / "same", 3, lambda steps: None)
    pretrain(WORLD, frozenset(), tmp_path / "other", 4, lambda steps: None)
    name = "model.safetensors"
    assert (tmp_path / "same" / name).read_bytes() == (weights / name).read_bytes()
    assert (tmp_path / "other" / name).read_bytes() != (weights / name).read_bytes()


def test_transformers_opens_it(weights: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(weights)
    tokenizer = AutoTokenizer.from_pretrained(weights)
    assert model.config.head_dim >= 32
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    _, problem = next(corpus(WORLD, 0, frozenset()))
    text = f"{problem.prompt} {problem.completion}"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_the_corpus_passes_over_what_is_held_out() -> None:
    drawn = {problem.prompt for _, problem in islice(corpus(WORLD, 0, frozenset()), 500)}
    held_out = frozenset(sorted(drawn)[::2])
    again = {problem.prompt for _, problem in islice(corpus(WORLD, 0, held_out), 500)}
    assert held_out.isdisjoint(again)


def test_a_resting_skill_is_rarely_drawn_and_comes_back() -> None:
    resting: set[str] = set()
    draws = corpus(WORLD, 0, frozenset(), resting)

    def share() -> float:
        return sum(skill == "json_mode" for skill, _ in islice(draws, 1000)) / 1000

    before = share()
    resting.add("json_mode")
    rested = share()
    resting.clear()
    assert 0.4 < before < 0.6
    assert 0.05 < rested < 0.15
    assert 0.4 < share() < 0.6


def test_the_rate_decays_once_every_skill_has_reached_its_target(tmp_path: Path) -> None:
    part = WORLD.skills["json_mode"]
    reached = part.model_copy(update={"target_loss": 100.0})
    never = part.model_copy(update={"target_loss": 0.0})
    for name, skills, steps in (
        ("all", {"json_mode": reached, "arithmetic": reached}, 3),
        ("one", {"json_mode": reached, "arithmetic": never}, 5),
    ):
        (tmp_path / name).mkdir()
        world = WORLD.model_copy(update={"skills": skills})
        assert pretrain(world, frozenset(), tmp_path / name, 3, lambda steps: None).steps == steps


def test_too_many_weights_are_refused() -> None:
    world = WORLD.model_copy(update={"skills": {"json_mode": SkillShare(share=1, weights=(1,) * 20)}})
    with pytest.raises(LamarckError, match=r"founder\.skills\.json_mode: 20 weights"):
        next(corpus(world, 0, frozenset()))


def test_a_local_founder_is_copied_without_code_or_pickles(weights: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "source", tmp_path / "output"
    source.mkdir()
    output.mkdir()
    for path in weights.iterdir():
        (source / path.name).write_bytes(path.read_bytes())
    (source / "modeling_x.py").write_text("raise SystemExit")
    (source / "pytorch_model.bin").write_bytes(b"pickle")
    copy_founder(source, output)
    assert {path.name for path in output.iterdir()} == {path.name for path in weights.iterdir()}


@pytest.mark.parametrize(
    ("removed", "sentence"),
    [
        ("config.json", "has no config.json"),
        ("model.safetensors", "no safetensors weights"),
        ("tokenizer.json", "has no tokenizer"),
    ],
)
def test_what_a_local_founder_lacks_is_named(weights: Path, tmp_path: Path, removed: str, sentence: str) -> None:
    for path in weights.iterdir():
        if path.name != removed:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(LamarckError, match=sentence):
        check_model_directory(tmp_path)


def test_remote_code_is_refused(weights: Path, tmp_path: Path) -> None:
    for path in weights.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((weights / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "modeling_x.X"}}))
    with pytest.raises(LamarckError, match="remote code is never run"):
        check_model_directory(tmp_path)
