"""A merge is the adapter on its base, in 16 bits, as any library loads it."""

import json
import shutil
from pathlib import Path
from typing import Literal

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from lamarck.arch.model import build_model
from lamarck.config.engine import HFEngineConfig
from lamarck.engine.hf import HFEngine
from lamarck.errors import LamarckError
from lamarck.export.merge import merge
from lamarck.train.model import export_weights
from tests.arch.checks import distance, ids_for
from tests.arch.kinds import FFN, PLAIN, genome_of
from tests.merge.models import WORDS, write_words
from tests.tiny import PROMPTS


def open_model(weights: Path) -> torch.nn.Module:
    return AutoModelForCausalLM.from_pretrained(weights, dtype=torch.float32)


@pytest.fixture(scope="module")
def adapter(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both of its matrices are drawn: a fresh adapter's second one is zero, and would change nothing."""
    torch.manual_seed(0)
    settings = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights=False)
    output = tmp_path_factory.mktemp("adapter")
    get_peft_model(open_model(tiny_model), settings).save_pretrained(output)
    return output


@pytest.fixture(scope="module")
def merged(tiny_model: Path, adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("merged")
    merge(tiny_model, adapter, output)
    return output


def test_it_is_the_sum_in_16_bits(tiny_model: Path, adapter: Path, merged: Path) -> None:
    expected = PeftModel.from_pretrained(open_model(tiny_model), str(adapter)).merge_and_unload().state_dict()
    base = open_model(tiny_model).state_dict()
    changed = 0
    for name, tensor in load_file(merged / "model.safetensors").items():
        assert tensor.dtype == torch.bfloat16
        # bfloat16 keeps 8 bits: the base, the update and their sum are each rounded by at most 2**-9 of themselves.
        bound = 2**-8 * (base[name].abs() + (expected[name] - base[name]).abs() + expected[name].abs())
        assert bool(((tensor.float() - expected[name]).abs() <= bound + 1e-6).all())
        changed += not torch.equal(tensor, base[name].bfloat16())
    assert changed == 14  # seven linear layers in each of two blocks


@pytest.mark.parametrize("form", ["delta", "weights"])
def test_weights_that_were_all_trained_are_exported_as_they_are(
    form: Literal["delta", "weights"], tiny_model: Path, tmp_path: Path
) -> None:
    """Wrong: the founder's weights, on which no adapter lies."""
    trained = open_model(tiny_model)
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in trained.parameters():
            weight.add_(torch.randn_like(weight))
    change = tmp_path / form
    change.mkdir()
    export_weights(trained, form, tiny_model, change)
    merge(tiny_model, change, tmp_path / "merged")
    found, expected = load_file(tmp_path / "merged/model.safetensors"), trained.state_dict()
    assert len(found) > 14 and all(torch.equal(tensor, expected[name].bfloat16()) for name, tensor in found.items())


def test_it_answers_like_the_adapter(tiny_model: Path, adapter: Path, merged: Path) -> None:
    ours, theirs = (
        HFEngine(HFEngineConfig(), *files).loglikelihoods(PROMPTS) for files in ((merged, None), (tiny_model, adapter))
    )
    without = HFEngine(HFEngineConfig(), tiny_model, None).loglikelihoods(PROMPTS)
    lost = sum(abs(a - b) for a, b in zip(ours, theirs, strict=True))
    moved = sum(abs(a - b) for a, b in zip(without, theirs, strict=True))
    assert lost < 0.1 * moved


@pytest.mark.parametrize(("activation", "kind"), [("swiglu", "llama"), ("relu", "lamarck_genome")])
def test_what_was_bred_as_a_llama_becomes_one(activation: str, kind: str, tmp_path: Path) -> None:
    genome = genome_of({"attn": PLAIN, "ffn": {**FFN, "activation": activation}})
    model = build_model(genome, 0)
    model.save_pretrained(tmp_path / "bred")
    write_words(tmp_path / "bred", WORDS)
    torch.manual_seed(0)
    settings = LoraConfig(r=2, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    tuned = get_peft_model(model, settings)
    tuned.save_pretrained(tmp_path / "adapter")
    merge(tmp_path / "bred", tmp_path / "adapter", tmp_path / "merged")
    found, ids = open_model(tmp_path / "merged"), ids_for(genome)
    assert found.config.model_type == kind
    with torch.no_grad():
        wanted, plain = tuned(ids).logits, tuned.disable_adapter
        assert distance(found(ids).logits, wanted) < 0.05 * wanted.abs().max()
        with plain():
            assert distance(tuned(ids).logits, wanted) > 0.2 * wanted.abs().max()


def test_quantised_weights_are_not_merged_with(tiny_model: Path, adapter: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    shutil.copytree(tiny_model, weights)
    config = json.loads((weights / "config.json").read_text())
    quantised = config | {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}
    (weights / "config.json").write_text(json.dumps(quantised))
    with pytest.raises(LamarckError, match="is quantised already"):
        merge(weights, adapter, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
