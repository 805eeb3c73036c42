"""A small suite from the real skills, and an untrained model of the tiny world's shape."""

import shutil
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lamarck.eval.build import build_suite
from lamarck.eval.suite import Suite
from lamarck.g0.tokenizer import build_tokenizer
from lamarck.g0.world import SkillShare, TinyFounder
from lamarck.skills import TAGGED

WORLD = TinyFounder(kind="tiny", skills={name: SkillShare(share=1, weights=(3, 3, 2, 1)) for name in TAGGED})

# On shared cores a second thread makes such small models slower, by a factor of ten beside another process.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    skills = {"json_mode": range(1, 3), "arithmetic": range(2, 4), "list_ops": range(3, 5)}
    return build_suite(tmp_path_factory.mktemp("suites") / "small", 20260101, WORLD, skills)


@pytest.fixture
def suite_copy(suite: Suite, tmp_path: Path) -> Path:
    """The suite's directory, to be damaged."""
    return shutil.copytree(suite.path, tmp_path / "suite")


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
