"""Tiny models in place of those that a merge file names: to try a merge that would take 30 GB a model."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamarck.files import atomic_directory, digest_value, read_json, write_json
from lamarck.merge.document import Document
from lamarck.merge.load import Merge
from lamarck.merge.shards import plan_shards, write_shards
from lamarck.merge.weights import Header, planned_model
from lamarck.seeds import seed_for

if TYPE_CHECKING:
    from torch import Tensor

END, PAD = "<|endoftext|>", "<|pad|>"
SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16}
PADDING = 8  # rows of the embedding beyond the tokenizer's, as real models have
DEFAULT: dict[str, Any] = {
    "model_type": "llama",
    "num_hidden_layers": 4,
    "tie_word_embeddings": False,
    "dtype": "bfloat16",
}


def make_stand_ins(merge: Merge, directory: Path, seed: int = 0) -> list[Path]:
    """A tiny model for every model that `merge` names, as DIRECTORY/owner/name; those that exist already stay.

    Architecture and number of layers are those of the file's `shapes`, else a Llama with the layers that the documents
    ask for. The weights of all are near each other, as those of fine-tuned models are. Returns their directories.
    """
    made = {document.name for document in merge.documents}
    names = dict.fromkeys(name for document in merge.documents for name in document.references if name not in made)
    known: dict[str, dict[str, Header]] = {}  # digest of a configuration -> its tensors
    for name in names:
        if not (directory / name).exists():
            with atomic_directory(directory / name) as output:
                config = _reduced(merge, name)
                write_json(output / "config.json", config)
                digest = digest_value(config)
                if digest not in known:
                    known[digest] = planned_model(name, output / "config.json").tensors
                _fill(name, known[digest], output, seed)
    return [directory / name for name in names]


def _reduced(merge: Merge, name: str) -> dict[str, Any]:
    config = read_json(merge.shapes[name]) if name in merge.shapes else DEFAULT
    layers = max([config["num_hidden_layers"], *map(_layers_asked_for, merge.documents)])
    sizes = {"vocab_size": len(_tokens()) + PADDING, "num_hidden_layers": layers, "max_position_embeddings": 512}
    special = {"eos_token_id": 0, "bos_token_id": None, "pad_token_id": 1}
    kept = {key: value for key, value in config.items() if key != "layer_types"}
    return {**kept, **SIZES, **sizes, **special}


def _layers_asked_for(document: Document) -> int:
    return max((source.layer_range[1] for part in document.module.slices or () for source in part.sources), default=0)


def _fill(name: str, headers: dict[str, Header], output: Path, seed: int) -> None:
    shards = plan_shards(headers, most_bytes=10**9)
    write_shards(output, shards, partial(_tensor, headers, name, seed), lambda tensors: None)
    _write_tokenizer(output)


def _tensor(headers: dict[str, Header], model: str, seed: int, tensor: str) -> "Tensor":
    """What all stand-ins have in common, and a tenth of it that is the model's own."""
    import torch

    header = headers[tensor]
    shared = torch.Generator().manual_seed(seed_for(seed, "stand-ins", tensor))
    own = torch.Generator().manual_seed(seed_for(seed, "stand-ins", model, tensor))
    is_norm = "norm" in tensor
    start = torch.ones(header.shape) if is_norm else torch.randn(header.shape, generator=shared) * 0.1
    return (start + torch.randn(header.shape, generator=own) * 0.01).to(getattr(torch, header.dtype))


def _tokens() -> list[str]:
    from tokenizers.pre_tokenizers import ByteLevel

    return [END, PAD, *sorted(ByteLevel.alphabet())]


def _write_tokenizer(output: Path) -> None:
    """One token a byte."""
    from tokenizers import AddedToken, Tokenizer
    from tokenizers.decoders import ByteLevel as Decoder
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel

    tokenizer = Tokenizer(BPE({token: number for number, token in enumerate(_tokens())}, []))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = Decoder()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in (END, PAD)])
    tokenizer.save(str(output / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END, "pad_token": PAD}
    write_json(output / "tokenizer_config.json", settings)
