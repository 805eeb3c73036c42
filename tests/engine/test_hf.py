"""The engine against transformers itself."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from lamarck.config.engine import HFEngineConfig
from lamarck.engine import Engine, load_engine
from lamarck.engine.hf import SHARED, HFEngine
from lamarck.engine.sampling import Continuation, own_luck
from lamarck.errors import LamarckError
from tests.tiny import PROMPTS


@pytest.fixture(scope="module")
def engine(tiny_model: Path) -> HFEngine:
    return HFEngine(HFEngineConfig(batch_size=16), tiny_model, None)


def test_greedy_output_is_that_of_transformers(engine: Engine, tiny_model: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    expected = []
    for prompt in PROMPTS:
        inputs = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
        output = model.generate(**inputs, max_new_tokens=40, do_sample=False)
        expected.append(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
    produced = engine.generate(PROMPTS, max_new_tokens=40)
    assert produced == expected
    assert len(set(produced)) > 10
    assert len({len(text) for text in produced}) > 5  # rows that end early are dropped on the way


def test_what_several_are_asked_alike_is_read_once(engine: HFEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    long = [" ".join(PROMPTS[place : place + 4]) for place in (0, 4)]
    alone = [engine.generate([prompt], max_new_tokens=12)[0] for prompt in long]
    read: list[tuple[int, int]] = []
    forward = engine.model.forward

    def counted(input_ids: torch.Tensor, **settings: Any) -> Any:
        read.append(tuple(input_ids.shape))
        return forward(input_ids=input_ids, **settings)

    monkeypatch.setattr(engine.model, "forward", counted)
    assert engine.generate([long[0]] * 5 + [long[1]] * 3, max_new_tokens=12) == [alone[0]] * 5 + [alone[1]] * 3
    assert read[0][0] == 2 and read[0][1] >= SHARED and read[1] == (8, 1)
    sampled = engine.generate([long[0]] * 8, max_new_tokens=12, temperature=1.0, seed=1)
    assert len(set(sampled)) > 1, "each row has a draw of its own"


def test_sampling_is_seeded(engine: Engine) -> None:
    first, again, other = (
        engine.generate(PROMPTS, max_new_tokens=20, temperature=1.0, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_no_number_chooses_no_token(tiny_model: Path, dtype: str, temperature: float) -> None:
    """The fault: greedily, and by one draw a token, NaN came to tokens without a word."""
    broken = HFEngine(HFEngineConfig(batch_size=16, dtype=dtype), tiny_model, None)
    with torch.no_grad():
        broken.model.get_output_embeddings().weight[7, 0] = torch.nan
    with pytest.raises(LamarckError, match="logits are not numbers"):
        broken.generate(PROMPTS, max_new_tokens=3, temperature=temperature)


def test_a_small_nucleus_is_greedy(engine: Engine) -> None:
    greedy = engine.generate(PROMPTS, max_new_tokens=20)
    assert engine.generate(PROMPTS, max_new_tokens=20, temperature=1.0, top_p=1e-9, seed=3) == greedy


def test_loglikelihoods_are_those_of_transformers(engine: Engine, tiny_model: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    for text, value in zip(PROMPTS, engine.loglikelihoods(PROMPTS), strict=True):
        tokens = torch.tensor([[tokenizer.eos_token_id, *tokenizer(text)["input_ids"]]])
        with torch.no_grad():
            loss = model(tokens, labels=tokens).loss
        assert value == pytest.approx(-loss.item() * (tokens.shape[1] - 1), rel=1e-4)


def test_what_is_not_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LamarckError, match="does not open as a model"):
        load_engine(HFEngineConfig(), tmp_path, None)


def test_a_row_of_a_stream_does_not_depend_on_its_neighbours(engine: HFEngine) -> None:
    tokens = engine.tokenizer(PROMPTS[:12])["input_ids"]
    requests = [
        Continuation(row, max_new_tokens=5 + place, temperature=(place % 3) / 2, top_p=0.9, seed=place)
        for place, row in enumerate(tokens)
    ]
    together = streamed(engine, requests)
    assert together == [streamed(engine, [request])[0] for request in requests]
    assert [len(row) for row in together] != [5 + place for place in range(12)]  # some ended by themselves
    other = streamed(engine, [replace(request, seed=99) for request in requests])
    assert [a == b for a, b in zip(together, other, strict=True)].count(True) < 12
    assert together[::3] == other[::3]  # greedy ones have no luck to change


def test_a_greedy_stream_is_what_generate_gives(engine: HFEngine) -> None:
    requests = [Continuation(row, 40) for row in engine.tokenizer(PROMPTS[:16])["input_ids"]]
    texts = engine.tokenizer.batch_decode(streamed(engine, requests), skip_special_tokens=True)
    assert texts == engine.generate(PROMPTS[:16], max_new_tokens=40)


def test_draws_follow_the_distribution() -> None:
    """A chi-squared test of 4,000 draws from a nucleus: 4 of 6 tokens, each in proportion."""
    logits = torch.tensor([0.5, 0.25, 0.125, 0.08, 0.04, 0.005]).log().repeat(4000, 1)
    requests = [Continuation([0], 1, temperature=1.0, top_p=0.95, seed=seed) for seed in range(4000)]
    drawn = own_luck(requests, torch.device("cpu"))(logits, torch.arange(4000), 1)
    expected = torch.tensor([0.5, 0.25, 0.125, 0.08]) / 0.955 * 4000
    counts = torch.bincount(drawn, minlength=6)
    assert counts[4:].tolist() == [0, 0]
    assert float(((counts[:4] - expected) ** 2 / expected).sum()) < 16.3  # p = 0.001 at three degrees of freedom


def streamed(engine: HFEngine, requests: list[Continuation]) -> list[list[int]]:
    rows: list[list[int]] = [[] for _ in requests]
    for step in engine.stream(requests):
        for place, token in step:
            rows[place].append(token)
    return rows


def test_a_chat_model_is_asked_in_the_form_in_which_it_was_taught(tiny_model: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = (
        "{% for message in messages %}reverse {{ message.content }} {% endfor %}"
        "{% if add_generation_prompt %}=> {% endif %}"
    )
    copy = shutil.copytree(tiny_model, tmp_path / "chat")
    tokenizer.save_pretrained(copy)
    asked = load_engine(HFEngineConfig(), copy, None).generate(["1 2 3", "7 1"], max_new_tokens=20)
    assert asked == load_engine(HFEngineConfig(), tiny_model, None).generate(
        ["reverse 1 2 3 => ", "reverse 7 1 => "], max_new_tokens=20
    )
    assert any(asked)
