"""The engine against transformers itself."""

import shutil
from itertools import islice
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from lamarck.config import HFEngineConfig
from lamarck.engine import Engine, load_engine
from lamarck.errors import LamarckError
from lamarck.g0.corpus import corpus
from lamarck.g0.tiny import pretrain
from lamarck.g0.world import SkillShare, TinyFounder

WORLD = TinyFounder(
    kind="tiny",
    skills={name: SkillShare(share=1, weights=(1, 1, 1)) for name in ("json_mode", "list_ops", "arithmetic")},
    steps=150,
    decay_steps=50,
)
PROMPTS = [problem.prompt for _, problem in islice(corpus(WORLD, 1, frozenset()), 60)]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("founder")
    pretrain(WORLD, frozenset(), path, 0, lambda steps: None)
    return path


@pytest.fixture(scope="module")
def engine(weights: Path) -> Engine:
    return load_engine(HFEngineConfig(batch_size=16), weights, None)


def test_greedy_output_is_that_of_transformers(engine: Engine, weights: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(weights).eval()
    tokenizer = AutoTokenizer.from_pretrained(weights)
    expected = []
    for prompt in PROMPTS:
        inputs = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
        output = model.generate(**inputs, max_new_tokens=40, do_sample=False)
        expected.append(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
    produced = engine.generate(PROMPTS, max_new_tokens=40)
    assert produced == expected
    assert len(set(produced)) > 10
    assert len({len(text) for text in produced}) > 5  # rows that end early are dropped on the way


def test_sampling_is_seeded(engine: Engine) -> None:
    first, again, other = (
        engine.generate(PROMPTS, max_new_tokens=20, temperature=1.0, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_a_small_nucleus_is_greedy(engine: Engine) -> None:
    greedy = engine.generate(PROMPTS, max_new_tokens=20)
    assert engine.generate(PROMPTS, max_new_tokens=20, temperature=1.0, top_p=1e-9, seed=3) == greedy


def test_loglikelihoods_are_those_of_transformers(engine: Engine, weights: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(weights).eval()
    tokenizer = AutoTokenizer.from_pretrained(weights)
    for text, value in zip(PROMPTS, engine.loglikelihoods(PROMPTS), strict=True):
        tokens = torch.tensor([[tokenizer.eos_token_id, *tokenizer(text)["input_ids"]]])
        with torch.no_grad():
            loss = model(tokens, labels=tokens).loss
        assert value == pytest.approx(-loss.item() * (tokens.shape[1] - 1), rel=1e-4)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LamarckError, match="does not open as a model"):
        load_engine(HFEngineConfig(), tmp_path, None)


def test_a_chat_model_is_asked_in_the_form_in_which_it_was_taught(weights: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(weights)
    tokenizer.chat_template = (
        "{% for message in messages %}reverse {{ message.content }} {% endfor %}"
        "{% if add_generation_prompt %}=> {% endif %}"
    )
    copy = shutil.copytree(weights, tmp_path / "chat")
    tokenizer.save_pretrained(copy)
    asked = load_engine(HFEngineConfig(), copy, None).generate(["1 2 3", "7 1"], max_new_tokens=20)
    assert asked == load_engine(HFEngineConfig(), weights, None).generate(
        ["reverse 1 2 3 => ", "reverse 7 1 => "], max_new_tokens=20
    )
    assert any(asked)
