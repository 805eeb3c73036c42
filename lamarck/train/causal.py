"""The causal model of transformers in what is trained, with or without an adapter on it."""

from typing import Any

import torch
from peft import PeftModel


def causal_of(model: torch.nn.Module) -> Any:
    return model.get_base_model() if isinstance(model, PeftModel) else model
