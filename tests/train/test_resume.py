"""A checkpoint that does not load says so."""

from pathlib import Path

import pytest
import torch

from lamarck.config import Recipe
from lamarck.errors import LamarckError
from lamarck.train.checkpoint import resume
from lamarck.train.model import load_trainable
from lamarck.train.team import alone


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04" + b"0" * 500])
def test_a_damaged_checkpoint_is_one_sentence(tiny_weights: Path, tmp_path: Path, content: bytes) -> None:
    checkpoint = tmp_path / "state.pt"
    checkpoint.write_bytes(content)
    model = load_trainable(tiny_weights, None, Recipe(), torch.device("cpu"))
    optimizer = torch.optim.AdamW([value for value in model.parameters() if value.requires_grad])
    with pytest.raises(LamarckError, match="is damaged"):
        resume(checkpoint, "run", model, optimizer, alone(torch.device("cpu")))
