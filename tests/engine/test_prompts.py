"""Texts that answer one prompt see it as if each had a copy of its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from lamarck.config.engine import HFEngineConfig
from lamarck.engine import prompts
from lamarck.engine.hf import SHARED, HFEngine

END, WORDS = 0, 64
PROMPTS = [list(range(2, 2 + SHARED + 5)), list(range(20, 20 + SHARED)), list(range(9, 9 + SHARED + 11))]
# Several to each, in no order of theirs; the last one's is asked once.
ASKED = [PROMPTS[place] for place in (1, 0, 0, 1, 0, 1, 1, 0, 1, 0, 0, 2)]
STEPS = 9
LIMITS = [STEPS, 2, STEPS, 2, STEPS, 3, STEPS, 2, 2, STEPS, 2, STEPS]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("grouped")
    words = {"<eos>": END} | {f"w{number}": number for number in range(1, WORDS)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<eos>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>").save_pretrained(path)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    made = LlamaForCausalLM(LlamaConfig(vocab_size=WORDS, bos_token_id=None, eos_token_id=END, **sizes, **heads))
    with torch.no_grad():
        for value in made.parameters():
            value.mul_(8)  # as it is drawn it would attend to all places alike
    made.save_pretrained(path)
    return path


def decoded(engine: HFEngine) -> Iterator[tuple[list[int], torch.Tensor]]:
    """Which rows go on, and their logits, step by step; rows end at limits of their own and are dropped on the way."""
    seen = []

    def choose(logits: torch.Tensor, rows: torch.Tensor, step: int) -> torch.Tensor:
        seen.append((rows.tolist(), logits.float().clone()))
        # The same for both ways, and another for every row: what they have written must not be alike.
        return 1 + (7 * rows + 11 * step) % (WORDS - 1)

    for _ in engine._decode(ASKED, LIMITS, choose):
        pass
    yield from seen


def test_each_row_sees_its_own_prompt_and_what_it_wrote(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In 32 bits, to rounding. Wrong implementations: rows that are dropped without their prompts, rows in the order of
    prompts, padding that is looked at."""
    engine = HFEngine(HFEngineConfig(batch_size=16), weights, None)
    assert not engine._one_copy
    expected = list(decoded(engine))
    divided = []
    seen = prompts.ReadPrompts.seen
    monkeypatch.setattr(prompts.ReadPrompts, "seen", lambda *given: (divided.append(len(given[2])), seen(*given))[1])
    engine._one_copy = True
    found = list(decoded(engine))
    assert divided[0] == len(ASKED) > divided[-1] and len(divided) == 2 * (STEPS - 1)
    assert len(found) == len(expected) == STEPS
    for (rows, logits), (other_rows, other) in zip(found, expected, strict=True):
        assert rows == other_rows
        assert torch.allclose(logits, other, atol=1e-3 * float(other.abs().max()))
    assert engine.model.config._attn_implementation == "sdpa"  # what it is for all else


def test_in_16_bits_it_is_taken_and_says_the_same(weights: Path, tmp_path: Path) -> None:
    """With an adapter beside the weights, as children have it."""
    torch.manual_seed(1)
    settings = LoraConfig(r=2, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
    get_peft_model(LlamaForCausalLM.from_pretrained(weights), settings).save_pretrained(tmp_path)
    engine = HFEngine(HFEngineConfig.model_validate({"batch_size": 16, "dtype": "bfloat16"}), weights, tmp_path)
    assert {value.dtype for value in engine.model.parameters()} == {torch.bfloat16}
    assert engine._one_copy
    found = list(decoded(engine))
    engine._one_copy = False
    for (rows, logits), (other_rows, other) in zip(found, decoded(engine), strict=True):
        assert rows == other_rows
        distance: Any = (logits - other).norm() / other.norm()
        assert float(distance) < 0.05
