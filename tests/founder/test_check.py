"""What a founder must be: each fault is one sentence, before anything is spent."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers.processors import TemplateProcessing
from torch.nn.functional import cross_entropy
from transformers import AutoTokenizer
from typer.testing import CliRunner

from lamarck.cli import app
from lamarck.config import Recipe
from lamarck.errors import LamarckError
from lamarck.founder.check import check_founder
from lamarck.models.opening import open_model, open_tokenizer, with_pinned_date
from lamarck.models.tokens import prompt_tokens
from lamarck.train.data import IGNORED, Batches, Exercise, tokenize
from lamarck.train.loop import answer_loss
from lamarck.train.model import load_trainable
from tests.models.families import CHATML, save_model

CPU = torch.device("cpu")
# What stands between decoder and logits in each: a scale, a cap, a factor, a bias, a projection.
FAMILIES: dict[str, dict[str, Any]] = {
    "granite": {"logits_scaling": 8.0},
    "gemma2": {"head_dim": 8, "final_logit_softcapping": 5.0, "query_pre_attn_scalar": 8},
    "cohere": {"logit_scale": 0.25},
    "phi": {},
    "opt": {"word_embed_proj_dim": 16, "ffn_dim": 64},
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("llama"), "llama", settings={"tie_word_embeddings": False})


@pytest.fixture
def founder(saved: Path, tmp_path: Path) -> Path:
    """A sound one, to be spoiled."""
    shutil.copytree(saved, tmp_path / "model")
    return tmp_path / "model"


def edit(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not ...}))


def edit_tensors(directory: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(directory / "model.safetensors")
    change(tensors)
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("kind", FAMILIES)
def test_the_training_is_the_models_own(kind: str, tmp_path: Path) -> None:
    """The wrong implementation: the head called by itself, without what the model does to its logits."""
    save_model(tmp_path, kind, settings=FAMILIES[kind])
    tokenizer = open_tokenizer(tmp_path)
    exercises = [Exercise("Add 1 and 2.", "3"), Exercise("Name the longest of these words.", '{"word": "longest"}')]
    batch = Batches(tokenize(exercises, tokenizer, 128).examples, 2, 0, tokenizer.eos_token_id)
    inputs, labels = batch.at(0)
    made = load_trainable(tmp_path, None, Recipe(rank=2, alpha=2), CPU).eval()
    logits = open_model(tmp_path).eval()(input_ids=inputs).logits[:, :-1]
    own = cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED)
    assert answer_loss(made, inputs, labels).item() == pytest.approx(own.item(), rel=1e-5)
    found = check_founder(tmp_path)
    assert found.generated and found.ties == 0 and found.loss_difference < 1e-6


def test_what_our_engine_would_write_otherwise_is_refused(tmp_path: Path) -> None:
    """A state that runs over the padding: our batches would have other texts than the model's."""
    save_model(tmp_path, "mamba", settings={"state_size": 8, "use_mambapy": False})
    with pytest.raises(LamarckError, match=r"greedy text|does not say how long|cannot continue"):
        check_founder(tmp_path)


def no_head(directory: Path) -> None:
    edit_tensors(directory, lambda tensors: tensors.pop("lm_head.weight"))


def half_the_tensors(directory: Path) -> None:
    edit_tensors(directory, lambda tensors: [tensors.pop(name) for name in list(tensors) if ".1." in name])


def one_too_many(directory: Path) -> None:
    edit_tensors(directory, lambda tensors: tensors.update({"model.layers.9.bias": torch.ones(3)}))


def resized(directory: Path) -> None:
    wider = torch.ones(400, 32)
    edit_tensors(
        directory, lambda tensors: tensors.update({"model.embed_tokens.weight": wider, "lm_head.weight": wider.clone()})
    )


def said_to_be_tied(directory: Path) -> None:
    edit(directory / "config.json", tie_word_embeddings=True)


def pointer(directory: Path) -> None:
    (directory / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")


def cut_short(directory: Path) -> None:
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def text_for_a_number(directory: Path) -> None:
    edit(directory / "config.json", hidden_size="32")


def a_list(directory: Path) -> None:
    (directory / "config.json").write_text("[1]")


def no_json(directory: Path) -> None:
    (directory / "config.json").write_text("{")


def own_code(directory: Path) -> None:
    edit(directory / "config.json", auto_map={"AutoModelForCausalLM": "modeling_x.X"})


def no_end(directory: Path) -> None:
    edit(directory / "tokenizer_config.json", eos_token=...)


def deaf_template(directory: Path) -> None:
    (directory / "chat_template.jinja").write_text("<|im_start|>assistant\n")


def foreign_tokenizer(directory: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(directory)
    tokenizer.add_tokens([f"word{number}" for number in range(100)])
    tokenizer.save_pretrained(directory)


def computed_date(directory: Path) -> None:
    (directory / "chat_template.jinja").write_text("{{ strftime_now(form) }}" + CHATML)


def ends_prompts(directory: Path) -> None:
    (directory / "chat_template.jinja").unlink()
    tokenizer = AutoTokenizer.from_pretrained(directory)
    end = (tokenizer.eos_token, tokenizer.eos_token_id)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=f"$A {end[0]}", special_tokens=[end])
    tokenizer.save_pretrained(directory)


FAULTS: dict[Callable[[Path], None], str] = {
    no_head: r"lacks lm_head\.weight.*tie_word_embeddings",
    half_the_tensors: r"lacks model\.layers\.1.* and \d more",
    one_too_many: r"holds model\.layers\.9\.bias",
    resized: r"has the shape \(400, 32\).*vocab_size",
    said_to_be_tied: r"ties the head to the embedding.*tie_word_embeddings to false",
    pointer: r"safetensors file is damaged.*git lfs pull",
    cut_short: r"safetensors file is damaged.*cut short",
    text_for_a_number: r"hidden_size.*expected int, got str",
    a_list: r"names no model_type",
    no_json: r"is not valid JSON",
    own_code: r"remote code is never run",
    no_end: r"names no token that ends a text",
    deaf_template: r"leaves out what the user says",
    foreign_tokenizer: r"ids up to \d+, its embedding \d+ rows",
    computed_date: r"prints today's date in a form that it computes",
    ends_prompts: r"puts the end of a text behind every prompt",
}


@pytest.mark.parametrize("spoil", FAULTS, ids=lambda fault: fault.__name__)
def test_each_fault_is_one_sentence(spoil: Callable[[Path], None], founder: Path) -> None:
    spoil(founder)
    done = CliRunner().invoke(app, ["founder", "check", str(founder)])
    with pytest.raises(LamarckError, match=FAULTS[spoil]) as refused:
        check_founder(founder)
    assert "\n" not in str(refused.value)
    assert isinstance(done.exception, LamarckError)


def test_a_founder_that_can_be_raised_says_so(founder: Path) -> None:
    found = json.loads(CliRunner().invoke(app, ["founder", "check", str(founder), "--json"]).stdout)
    assert (found["model_type"], found["ends"], found["tied"]) == ("llama", ["<|im_end|>"], False)
    assert found["chat_template"] and not found["date_pinned"]


def test_adapters_on_a_tied_head_are_refused(tmp_path: Path) -> None:
    """Merged for scoring, the head's adapter would move the embedding too: 0.035 trained, 1.036 scored."""
    save_model(tmp_path, "llama", settings={"tie_word_embeddings": True})
    with pytest.raises(LamarckError, match=r"names lm_head, but this model's head and embedding are one tensor"):
        check_founder(tmp_path, ("q_proj", "lm_head"))
    with pytest.raises(LamarckError, match=r"names model\.embed_tokens"):
        load_trainable(tmp_path, None, Recipe(target_modules=("embed_tokens",)), CPU)
    assert check_founder(tmp_path, ("q_proj",)).tied


def test_a_template_that_prints_the_day_is_always_asked_on_the_same(founder: Path) -> None:
    template = '{{- strftime_now("%d %b %Y") }} {{ strftime_now("%Y") }}\n' + CHATML
    (founder / "chat_template.jinja").write_text(template)
    tokenizer = open_tokenizer(founder)
    text = tokenizer.decode(prompt_tokens(["Hello"], tokenizer)[0])
    assert text.startswith("01 Jan 2026 2026\n<|im_start|>user\nHello")
    assert check_founder(founder).date_pinned
    assert with_pinned_date(CHATML, founder) == CHATML
