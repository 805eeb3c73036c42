"""One ordinary model directory from the founder's weights and what was trained: nothing of LoRA is left to load."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from lamarck.arch.model import GenomeForCausalLM
from lamarck.arch.serving import export_llama, why_not_llama
from lamarck.errors import LamarckError
from lamarck.files import read_json
from lamarck.models.change import lay_out
from lamarck.models.opening import open_adapter, open_model, open_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

DTYPE = torch.bfloat16


def check_is_whole(weights: Path) -> None:
    """Errors: LamarckError where the founder's own weights are quantised: a merge with those would keep their loss."""
    if "quantization_config" in read_json(weights / "config.json"):
        raise LamarckError(
            f"{weights} is quantised already: an export merges with 16-bit weights, so the founder must be the model "
            "that it was quantised from"
        )


def merge(weights: Path, change: Path | None, output: Path) -> None:
    """Write the merged model in 16 bits to `output`, a transformers directory with safetensors and the tokenizer.

    Training in NF4 quantises only what the adapter stands on: the sum is made with the founder's weights as they are.
    The product of the two LoRA matrices is made in 32 bits and rounded once, by peft.
    Errors: LamarckError where the weights do not open, or the sum is not finite.
    """
    check_is_whole(weights)
    opened = lay_out(weights, change)
    try:
        model, tokenizer = open_model(opened.directory, dtype=DTYPE), open_tokenizer(weights)
        if opened.adapter is not None:
            model = open_adapter(model, opened.adapter).merge_and_unload(safe_merge=True)
    except (OSError, ValueError) as error:
        raise LamarckError(f"{weights} cannot be merged: {str(error).splitlines()[0]}") from error
    _save(model, output)
    tokenizer.save_pretrained(output)


def _save(model: "PreTrainedModel", output: Path) -> None:
    """What was bred in the shape of a Llama becomes one, which other programs serve; anything else stays what it is."""
    if isinstance(model, GenomeForCausalLM) and not why_not_llama(model.genome):
        export_llama(model, output)
    else:
        model.save_pretrained(output)
