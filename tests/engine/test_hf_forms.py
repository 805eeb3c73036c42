"""Forms enforced in the default engine: a model that has learned nothing writes them, and nothing else is forbidden."""

import random
import re
from pathlib import Path

import pytest
import regex
import torch

from lamarck.config.engine import HFEngineConfig
from lamarck.engine.forms import Forms
from lamarck.engine.hf import HFEngine
from lamarck.errors import LamarckError
from lamarck.founder.tokenizer import build_tokenizer
from lamarck.models.chat import BEFORE_ANSWER, END_OF_THINKING
from lamarck.skills import IN_ENGLISH
from lamarck.skills.forms import literal, span
from tests.models.families import bytes_tokenizer, save_model

SHORT = literal("Answer: ") + span(20)
PREFIXES = 1000


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("held"), "llama", settings={"max_position_embeddings": 4096})


@pytest.fixture(scope="module")
def engine(weights: Path) -> HFEngine:
    return HFEngine(HFEngineConfig(forms="enforced"), weights, None)


def has(form: str, text: str) -> bool:
    # Bytes that are no text (a surrogate on its own) pass for one character there, and are three of these here.
    return bool(re.fullmatch(form, text.lstrip("\n").replace("\ufffd" * 3, "?")))


def test_a_model_that_knows_nothing_writes_every_form(engine: HFEngine, weights: Path) -> None:
    """Texts end at different steps, and some have no form: each is held to its own."""
    record = literal('{"n": ') + r"[0-9]{1,30}" + literal("}")
    forms = [SHORT, record, SHORT + r"(\n[^\n]{1,9}){3,5}", None, SHORT]
    prompts = ["one", "two and more", "three", "four", "five, the longest of them"]
    held = engine.generate(prompts, max_new_tokens=250, temperature=1.0, forms=forms)
    assert [form is None or has(form, text) for form, text in zip(forms, held, strict=True)] == [True] * 5
    assert not has(SHORT, held[3])
    free = HFEngine(HFEngineConfig(), weights, None).generate(prompts, max_new_tokens=60, temperature=1.0, forms=forms)
    assert not any(form and has(form, text) for form, text in zip(forms, free, strict=True))


def test_every_skills_form_can_be_held(engine: HFEngine) -> None:
    held = Forms(engine.tokenizer, len(engine.tokenizer), engine.end)
    forms = [form for skill in IN_ENGLISH for difficulty in skill.difficulties if (form := skill.form(difficulty))]
    assert len(forms) > 10
    for form in forms:
        held._matcher(form)


def test_just_the_tokens_are_allowed_from_which_the_form_can_be_reached() -> None:
    """Against Python's own matching of beginnings, at a thousand places of texts in a real form."""
    tokenizer = bytes_tokenizer()
    form = literal('{"n": [') + r"[0-9]{1,3}(, [0-9]{1,3}){0,4}" + literal("]}") + r"( ok| no)?"
    held = Forms(tokenizer, len(tokenizer), [tokenizer.eos_token_id])
    pieces = {token: tokenizer.decode([token]) for token in range(3, len(tokenizer))}
    readable = [token for token, piece in pieces.items() if piece.isascii()]
    compiled = regex.compile(BEFORE_ANSWER + form)
    rng, seen = random.Random(0), 0
    while seen < PREFIXES:
        text = ""
        matcher = held._matcher(form)
        token = -1
        while token != tokenizer.eos_token_id and seen < PREFIXES:
            allowed = torch.isfinite(held._allowed(torch.zeros(1, len(tokenizer)), [(matcher, 0)])[0])
            expected = [token for token in readable if compiled.fullmatch(text + pieces[token], partial=True)]
            assert [token for token in readable if allowed[token]] == expected, text
            assert bool(allowed[tokenizer.eos_token_id]) == bool(compiled.fullmatch(text)), text
            seen += 1
            token = rng.choice(expected) if expected else tokenizer.eos_token_id
            if compiled.fullmatch(text) and rng.random() < 0.3:
                token = tokenizer.eos_token_id
            if not matcher.is_stopped():
                matcher.consume_token(token)
            text += pieces.get(token, "")


def test_reasoning_is_free_and_the_answer_is_not() -> None:
    tokenizer = bytes_tokenizer()
    tokenizer.add_tokens([END_OF_THINKING])
    ends = tokenizer.convert_tokens_to_ids(END_OF_THINKING)
    held = Forms(tokenizer, len(tokenizer), [tokenizer.eos_token_id])
    letter, answer = tokenizer.encode("z")[0], tokenizer.encode("A")[0]
    wished = iter([letter, ends, letter])

    def choose(logits: torch.Tensor, rows: torch.Tensor, step: int) -> torch.Tensor:
        wish = next(wished)
        return torch.tensor([wish if torch.isfinite(logits[0, wish]) else answer])

    allowed = held.hold([literal("A")], [[letter]], choose)
    logits, rows = torch.zeros(1, len(tokenizer)), torch.tensor([0])
    assert [int(allowed(logits, rows, step)) for step in (1, 2, 3)] == [letter, ends, answer]
    wished = iter([letter])
    assert int(held.hold([literal("A")], [[letter, ends]], choose)(logits, rows, 1)) == answer


def test_what_cannot_be_held_is_one_sentence(engine: HFEngine) -> None:
    with pytest.raises(LamarckError, match=r"the form '\(' cannot be held"):
        engine.generate(["one"], max_new_tokens=4, forms=["("])
    with pytest.raises(LamarckError, match=r"set engine\.forms to free"):
        Forms(build_tokenizer(["one", "two"]), 5, [1])
