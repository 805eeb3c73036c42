"""Tiny Llamas that differ a little, as models of one family do."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from torch import Tensor

WORDS = ["<pad>", "<eos>", "<unk>", *(f"w{i}" for i in range(9))]
CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8, "intermediate_size": 12,
    "num_hidden_layers": 4, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4, "hidden_act": "silu",
    "max_position_embeddings": 64, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "tie_word_embeddings": False,
    "bos_token_id": None, "eos_token_id": 1, "pad_token_id": 0, "vocab_size": len(WORDS), "dtype": "float32",
}  # fmt: skip


def shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """The tensors of a Llama."""
    h, f, kv = config["hidden_size"], config["intermediate_size"], config["num_key_value_heads"] * config["head_dim"]
    layer = {
        "input_layernorm": (h,), "mlp.down_proj": (h, f), "mlp.gate_proj": (f, h), "mlp.up_proj": (f, h),
        "post_attention_layernorm": (h,), "self_attn.k_proj": (kv, h), "self_attn.o_proj": (h, h),
        "self_attn.q_proj": (h, h), "self_attn.v_proj": (kv, h),
    }  # fmt: skip
    found = {"model.embed_tokens.weight": (config["vocab_size"], h), "model.norm.weight": (h,)}
    if not config["tie_word_embeddings"]:
        found["lm_head.weight"] = (config["vocab_size"], h)
    for i in range(config["num_hidden_layers"]):
        found |= {f"model.layers.{i}.{name}.weight": shape for name, shape in layer.items()}
    return found


def make_model(directory: Path, seed: int, words: list[str] = WORDS, **changes: Any) -> Path:
    """A model directory: weights common to all, moved by a tenth of their size at random."""
    config = CONFIG | {"vocab_size": len(words)} | changes
    common, own = torch.Generator().manual_seed(99), torch.Generator().manual_seed(seed)
    kind = getattr(torch, config["dtype"])
    tensors = {}
    for name, shape in shapes(config).items():
        start = torch.ones(shape) if len(shape) == 1 else torch.randn(shape, generator=common) * 0.2
        tensors[name] = (start + torch.randn(shape, generator=own) * 0.02).to(kind)
    write_model(directory, tensors, config)
    write_words(directory, words)
    return directory


def write_model(directory: Path, tensors: dict[str, Tensor], config: dict[str, Any]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    (directory / "config.json").write_text(json.dumps(config))


def write_words(directory: Path, words: list[str]) -> None:
    """A word-level tokenizer whose ids are the places in `words`."""
    model = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    model.pre_tokenizer = WhitespaceSplit()
    special = {"unk_token": "<unk>", "eos_token": "<eos>", "pad_token": "<pad>"}
    model.add_special_tokens(list(special.values()))
    model.save(str(directory / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", **special}
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))


def tensors_of(directory: Path) -> dict[str, Tensor]:
    """Every tensor of a model directory."""
    return {
        name: tensor for file in sorted(directory.glob("*.safetensors")) for name, tensor in load_file(file).items()
    }
