"""Models and data of benchmarks/gpu.py: random, of the shapes that count, made where they are used."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.models.llama import modeling_llama

from lamarck.budget.shape import Shape
from lamarck.config import Recipe
from lamarck.train.data import Example


def free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


@contextmanager
def liger() -> Iterator[None]:
    """What Liger replaces for every Llama of the process is put back after."""
    names = ("apply_rotary_pos_emb", "LlamaRMSNorm", "LlamaMLP")
    before = {name: getattr(modeling_llama, name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(modeling_llama, name, value)


def config_of(shape: Shape) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_size,
        intermediate_size=shape.intermediate,
        max_position_embeddings=shape.context,
        tie_word_embeddings=shape.tied,
        pad_token_id=0,
        eos_token_id=0,
        bos_token_id=None,
    )


def build(device: torch.device, shape: Shape, quantised: bool) -> LlamaForCausalLM:
    """A Llama with random weights in bfloat16, made and quantised layer by layer where it will be used."""
    config = config_of(shape.model_copy(update={"layers": 1}))
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with device:
            model = LlamaForCausalLM(config)
            config.num_hidden_layers = shape.layers
            del model.model.layers[0]
            for place in range(shape.layers):
                layer = modeling_llama.LlamaDecoderLayer(config, place)
                model.model.layers.append(quantise(layer, device) if quantised else layer)
    finally:
        torch.set_default_dtype(before)
    model.is_loaded_in_4bit = quantised
    return model.requires_grad_(False)


def quantise(layer: torch.nn.Module, device: torch.device) -> torch.nn.Module:
    """Every linear layer in NF4 with double quantisation, as `lamarck.train` loads it."""
    from bitsandbytes.nn import Linear4bit, Params4bit

    for parent in list(layer.modules()):
        for name, linear in list(parent.named_children()):
            if type(linear) is torch.nn.Linear:
                own = Linear4bit(
                    linear.in_features,
                    linear.out_features,
                    bias=False,
                    compute_dtype=torch.bfloat16,
                    quant_type="nf4",
                    quant_storage=torch.bfloat16,
                    device="meta",
                )
                own.weight = Params4bit(
                    linear.weight.data, requires_grad=False, quant_type="nf4", quant_storage=torch.bfloat16, module=own
                )
                setattr(parent, name, own.to(device))
    return layer


def save(device: torch.device, shape: Shape, folder: Path) -> None:
    build(device, shape, False).save_pretrained(folder)
    tokenizer(shape.vocabulary).save_pretrained(folder)
    free()


def tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    """One word a token: w0, w1, ..."""
    words = {"<end>": 0} | {f"w{number}": number for number in range(1, vocabulary)}
    made = Tokenizer(models.WordLevel(words, unk_token="<end>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>", pad_token="<end>")


def examples(shape: Shape, recipe: Recipe) -> list[Example]:
    """Of equal length, of which all but one token is learned: more work than any curriculum."""
    numbers = torch.Generator().manual_seed(0)
    size = (recipe.batch_size, recipe.max_tokens)
    rows = torch.randint(1, shape.vocabulary, size, generator=numbers).tolist()
    return [Example(tuple(row), 1) for row in rows]
