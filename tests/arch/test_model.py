"""Every kind of block: no look into the future, a cache that changes nothing, padding that nobody sees."""

import math
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from lamarck.arch import memory
from lamarck.arch.context import Context
from lamarck.arch.model import GenomeForCausalLM, build_model, shifted_loss
from lamarck.arch.pattern import Pattern
from lamarck.errors import LamarckError
from lamarck.models.opening import open_genome_model
from tests.arch.checks import (
    NEAR,
    cache_error,
    check_short_life,
    check_whole_life,
    distance,
    exact,
    future_leak,
    ids_for,
    padding_error,
    train_step,
)
from tests.arch.kinds import EVERY, FFN, PLAIN, genome_of, plain
from tests.arch.soak import loud_genome


@pytest.mark.parametrize("kind", EVERY)
def test_every_kind_of_block(kind: str) -> None:
    model, ids = exact(EVERY[kind]), ids_for(EVERY[kind])
    assert future_leak(lambda each: model(each).logits, ids) < NEAR
    assert cache_error(model, ids) < NEAR
    assert padding_error(model, ids) < NEAR


@pytest.mark.parametrize("seed", range(20))
def test_random_genomes_live(seed: int, tmp_path: Path) -> None:
    check_whole_life(loud_genome(seed), tmp_path)


@pytest.mark.parametrize("first", range(20, 200, 20))
def test_random_genomes_live_shortly(first: int, tmp_path: Path) -> None:
    """With those above 200; `make soak` has as many more, whole."""
    for seed in range(first, first + 20):
        check_short_life(loud_genome(seed), tmp_path / str(seed))


def test_a_genome_whose_weights_are_not_all_loaded_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GenomeForCausalLM, "_keys_to_ignore_on_save", ["norm.weight"])
    with pytest.raises(AssertionError):
        check_short_life(loud_genome(0), tmp_path)


def test_a_pattern_that_sees_ahead_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    genome = EVERY["sliding"]
    monkeypatch.setattr(Pattern, "sees", lambda self, query, key: query - key < self.window, raising=False)
    model = exact(genome)
    assert future_leak(lambda each: model(each).logits, ids_for(genome)) > 1e-3


def test_a_mean_divided_by_the_whole_length_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sources' memory: its window was cut to the length of the text, which tells the past how long that will be."""

    def by_length(self: memory.RetroBranch, x: torch.Tensor, context: Context) -> torch.Tensor:
        return x.cumsum(1) / x.shape[1]

    genome = EVERY["retro mean"]
    monkeypatch.setattr(memory.RetroBranch, "forward", by_length)
    model = exact(genome)
    assert future_leak(lambda each: model(each).logits, ids_for(genome)) > 1e-3


def test_a_cache_that_forgets_too_soon_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    model, ids = exact(EVERY["sliding"]), ids_for(EVERY["sliding"])
    monkeypatch.setattr(Pattern, "keeps", lambda self, following, key: following - key < self.window - 1)
    assert cache_error(model, ids) > 1e-3


def test_copying_the_current_token_earns_nothing() -> None:
    """A perfect copy of what stands there predicts nothing of what comes: the loss is that of a wrong guess."""
    ids = ids_for(plain(), rows=8, tokens=64)
    copied = 20.0 * torch.nn.functional.one_hot(ids, 32)
    foreseen = torch.cat([copied[:, 1:], copied[:, :1]], dim=1)
    assert shifted_loss(copied, ids) > math.log(32)
    assert shifted_loss(foreseen, ids) < 1e-3
    unshifted = torch.nn.functional.cross_entropy(copied.flatten(0, 1), ids.flatten())
    assert unshifted < 1e-3  # The sources' loss until December 2025: it would have called the copy perfect.


def test_a_model_that_can_only_copy_earns_nothing() -> None:
    genome = plain(1)
    model, ids = exact(genome), ids_for(genome, rows=8, tokens=64)
    with torch.no_grad():
        for parameter in model.blocks.parameters():
            parameter.zero_()
        model.embed.weight.copy_(torch.nn.functional.normalize(model.embed.weight, dim=1) * 8)
        output = model(ids, labels=ids)
    assert (output.logits.argmax(-1) == ids).float().mean() > 0.9
    assert output.loss > math.log(32)


def test_uniform_logits_score_the_logarithm_of_the_vocabulary() -> None:
    ids = ids_for(plain())
    assert shifted_loss(torch.zeros(*ids.shape, 32), ids).item() == pytest.approx(math.log(32), abs=1e-6)
    with pytest.raises(LamarckError, match="two tokens"):
        shifted_loss(torch.zeros(1, 1, 32), ids[:1, :1])


def test_beam_search_is_the_same_with_and_without_a_cache() -> None:
    genome = EVERY["chunk_memory"]
    model, ids = exact(genome), ids_for(genome)
    settings = {"max_new_tokens": 6, "num_beams": 3, "do_sample": False, "pad_token_id": 0}
    cached, plainly = (model.generate(ids[:, :5], use_cache=use, **settings) for use in (True, False))
    assert torch.equal(cached, plainly)


def test_a_padded_batch_generates_what_each_text_would_alone() -> None:
    genome = EVERY["mamba2"]
    model, ids = exact(genome), ids_for(genome)
    mask = torch.ones_like(ids[:, :9])
    mask[0, :4] = 0
    settings = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
    together = model.generate(ids[:, :9], attention_mask=mask, **settings)
    assert torch.equal(together[0, 9:], model.generate(ids[:1, 4:9], **settings)[0, 5:])


def test_int8_rounds_and_a_window_forgets() -> None:
    """The policies are part of the function: with or without a cache, and in training."""
    full, ids = plain(), ids_for(plain())
    whole = exact(full)(ids).logits
    for policy in ({"quant": "int8"}, {"cache": "window", "window": 6}):
        limited = exact(plain(kv_policy=policy))(ids).logits
        assert 1e-6 < distance(limited, whole) < 10
    assert distance(exact(plain(kv_policy={"cache": "window", "window": 99}))(ids).logits, whole) == 0


def test_training_in_bfloat16_keeps_float32_weights() -> None:
    model = build_model(genome_of({"attn": PLAIN, "ffn": FFN}, train={"bf16": True}), 0)
    ids = ids_for(plain())
    assert model(ids).logits.dtype == torch.float32
    model.train()
    assert model(ids).logits.dtype == torch.bfloat16
    assert model(ids, labels=ids).loss.dtype == model.embed.weight.dtype == torch.float32


def test_the_routers_losses_are_for_training_alone() -> None:
    genome = EVERY["sigmoid moe"]
    model, ids = exact(genome), ids_for(genome)
    measured = model(ids, labels=ids)
    assert measured.loss == shifted_loss(measured.logits, ids)
    model.train()
    assert model(ids, labels=ids).loss > measured.loss


def test_training_learns() -> None:
    genome = EVERY["local_global"]
    model, ids = exact(genome), ids_for(genome)
    losses = [train_step(model, ids, 0.1) for _ in range(30)]
    assert losses[-1] < losses[0] - 1


def test_the_same_seed_gives_the_same_weights() -> None:
    first, same, other = (build_model(plain(), seed) for seed in (1, 1, 2))
    assert torch.equal(first.embed.weight, same.embed.weight)
    assert not torch.equal(first.embed.weight, other.embed.weight)


def test_a_checkpoint_of_another_genome_is_refused(tmp_path: Path) -> None:
    build_model(plain(), 0).save_pretrained(tmp_path / "model")
    assert open_genome_model(tmp_path / "model", plain()).genome == plain()
    with pytest.raises(LamarckError, match="weights of another genome"):
        open_genome_model(tmp_path / "model", plain(2))
    with pytest.raises(LamarckError, match="not a model directory"):
        open_genome_model(tmp_path / "nothing")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(LamarckError, match="does not open as a model: a safetensors file is damaged"):
        open_genome_model(tmp_path / "model")


def test_what_is_saved_has_no_code(tmp_path: Path) -> None:
    build_model(plain(), 0).save_pretrained(tmp_path)
    assert {each.suffix for each in tmp_path.iterdir()} == {".json", ".safetensors"}
    assert "auto_map" not in (tmp_path / "config.json").read_text()
    assert AutoModelForCausalLM.from_pretrained(tmp_path, trust_remote_code=False).genome == plain()
