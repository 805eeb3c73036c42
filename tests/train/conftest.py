"""A Llama of 64 hidden units with a word-level tokenizer, and items for it: enough to train on, built in a moment."""

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from lamarck.curriculum.item import Item, ItemVerdict, Teacher, item_id

WORDS = ["<pad>", "<eos>", "<user>", "<assistant>", *(f"w{number}" for number in range(44))]


@pytest.fixture(scope="session")
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>")


@pytest.fixture(scope="session")
def tiny_weights(tiny_tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "weights"
    torch.manual_seed(0)
    shape = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    LlamaForCausalLM(shape).save_pretrained(path)
    tiny_tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def tiny_items() -> list[Item]:
    """20 items, `w0 w1 ...` answered by a few further words, of unequal length."""
    made = []
    for number in range(20):
        prompt = " ".join(f"w{(number + place) % 44}" for place in range(2 + number % 5))
        completion = " ".join(f"w{(number * 3 + place) % 44}" for place in range(1 + number % 3))
        made.append(
            Item(
                id=item_id("words", prompt, completion),
                skill="words",
                difficulty=1,
                prompt=prompt,
                completion=completion,
                teacher=Teacher(generation="g0", digest=""),
                verdict=ItemVerdict(verified=True, by="words", score=1.0),
                strategy="",
            )
        )
    return made
