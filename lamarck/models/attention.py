"""Where attention of our own takes the place of transformers', and for how long. Light."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

# Architectures whose layers are those of Llama, apart from biases and norms of heads: below a ten-thousandth.
LIKE_LLAMA = ("llama", "mistral", "qwen2", "qwen3")


def may_read_once(model: Any, device: "torch.device") -> bool:
    """Whether what texts of this causal model begin with alike is read once: in 16 bits on a CPU, where it gains, and
    where attention is nothing but a sum over all that stands before."""
    import torch

    config = model.config
    return (
        device.type == "cpu"
        and model.dtype == torch.bfloat16
        and config.model_type in LIKE_LLAMA
        and getattr(config, "sliding_window", None) is None
        and not config.attention_dropout
    )


@contextmanager
def attended_by(model: Any, name: str) -> Iterator[None]:
    """Within it, `model` attends by the function that transformers knows as `name`, and makes no masks for it."""
    config = model.config
    before = config._attn_implementation
    config._attn_implementation = name
    try:
        yield
    finally:
        config._attn_implementation = before
