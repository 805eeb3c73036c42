"""Llama-shaped genomes become ordinary Llama directories; the others say what can serve them."""

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from lamarck.arch.model import build_model
from lamarck.arch.serving import export_llama, who_serves, why_not_llama
from lamarck.errors import LamarckError
from tests.arch.checks import distance, ids_for
from tests.arch.kinds import EVERY, FFN, HEADS, PLAIN, genome_of

LLAMAS: dict[str, dict[str, Any]] = {
    "GQA": PLAIN,
    "MHA": {"kind": "MHA", "rope": "standard", **HEADS},
    "MQA": {"kind": "MQA", "rope": "standard", "rope_theta": 500.0, **HEADS},
    "stretched": {**PLAIN, "rope": "linear", "rope_factor": 2.0},
    "heads wider than the stream": {"kind": "MHA", "rope": "standard", "heads": 4, "head_dim": 8},
}


@pytest.mark.parametrize("name", LLAMAS)
@pytest.mark.parametrize("tied", [True, False])
def test_a_llama_directory_has_the_same_logits(name: str, tied: bool, tmp_path: Path) -> None:
    genome = genome_of(*[{"attn": LLAMAS[name], "ffn": FFN}] * 2, head={"tie_embeddings": tied})
    model, ids = build_model(genome, 0), ids_for(genome)
    export_llama(model, tmp_path)
    llama = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert type(llama) is LlamaForCausalLM
    assert distance(llama(ids).logits, model(ids).logits) < 1e-5
    assert llama(ids, labels=ids).loss.item() == pytest.approx(model(ids, labels=ids).loss.item(), abs=1e-6)
    texts = [each.generate(ids[:, :4], max_new_tokens=6, do_sample=False, pad_token_id=0) for each in (llama, model)]
    assert texts[0].tolist() == texts[1].tolist()


def test_another_rotation_would_be_seen(tmp_path: Path) -> None:
    genome = genome_of({"attn": PLAIN, "ffn": FFN})
    model, ids = build_model(genome, 0), ids_for(genome)
    export_llama(model, tmp_path)
    other = genome_of({"attn": {**PLAIN, "rope_theta": 100.0}, "ffn": FFN})
    llama = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert distance(llama(ids).logits, build_model(other, 0)(ids).logits) > 1e-3


def test_every_other_kind_says_why_not() -> None:
    llamas = {"MHA", "GQA", "MQA", "swiglu", "linear rope", "untied"}
    for name, genome in EVERY.items():
        reasons = why_not_llama(genome)
        if name not in llamas:
            assert reasons, name
            assert who_serves(genome).startswith(f"Not a Llama ({reasons[0]}")
    assert who_serves(EVERY["untied"]).startswith("Llama-shaped: everything that serves Llama")


def test_what_is_not_a_llama_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(LamarckError, match="cannot become a Llama directory: block 1: sliding attention"):
        export_llama(build_model(EVERY["sliding"], 0), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(LamarckError, match="blocks of different shapes"):
        export_llama(
            build_model(genome_of({"attn": PLAIN, "ffn": FFN}, {"attn": PLAIN, "ffn": {**FFN, "hidden": 8}}), 0),
            tmp_path,
        )
    with pytest.raises(LamarckError, match="which 3 heads do not divide"):
        attn = {"kind": "MHA", "heads": 3, "head_dim": 4, "rope": "standard"}
        export_llama(build_model(genome_of({"attn": attn, "ffn": FFN}), 0), tmp_path)
