"""An untrained model of the tiny world's shape; the small suite is tests.suites.small's."""

from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lamarck.founder.tokenizer import build_tokenizer
from lamarck.skills import TAGGED

# On shared cores a second thread makes such small models slower, by a factor of ten beside another process.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a random Llama with the tiny world's tokenizer."""
    path = tmp_path_factory.mktemp("model")
    tokenizer = build_tokenizer(word for skill in TAGGED.values() for word in skill.vocabulary())
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=128,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path
