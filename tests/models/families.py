"""Small models of real architectures with random weights, each with a tokenizer, as directories of transformers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
         "intermediate_size": 64, "max_position_embeddings": 512, "eos_token_id": 1, "bos_token_id": None,
         "pad_token_id": None}  # fmt: skip


def bytes_tokenizer(template: str | None = CHATML) -> PreTrainedTokenizerFast:
    """Pieces of bytes, as most models have them, with ChatML's control tokens."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    controls = ["<|im_start|>", "<|im_end|>", "<|endoftext|>"]
    trainer = BpeTrainer(
        vocab_size=320,
        special_tokens=controls,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["the answer of the list is the name"] * 4, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", chat_template=template)


def save_model(
    directory: Path, kind: str, template: str | None = CHATML, settings: Mapping[str, Any] | None = None
) -> Path:
    """A model of the architecture `kind` in `directory`; `settings` are its own."""
    tokenizer = bytes_tokenizer(template)
    tokenizer.save_pretrained(directory)
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **(SMALL | {"vocab_size": len(tokenizer)} | dict(settings or {})))
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for value in model.parameters():
            value.mul_(4)  # logits that differ by more than rounding
    model.save_pretrained(directory)
    return directory
