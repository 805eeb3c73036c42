"""The model that is trained: the founder's frozen weights and one adapter, inherited as the recipe says."""

from pathlib import Path
from typing import Literal

import torch
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from lamarck.config import Recipe
from lamarck.errors import LamarckError
from lamarck.files import read_json, write_json

PARENT, CHILD = "parent", "default"


def load_trainable(weights: Path, parent_adapter: Path | None, recipe: Recipe, device: torch.device) -> PeftModel:
    """g0's weights with the adapter that this run trains; adapter weights are drawn from torch's global generator.

    Errors: LamarckError for a parent's adapter that does not fit the recipe, and when nothing would be trained.
    """
    base = _load_base(weights, recipe, device)
    fresh = _lora(recipe)
    if parent_adapter is None or recipe.inherit == "fresh":
        model = get_peft_model(base, fresh)
    elif recipe.inherit == "continue":
        model = PeftModel.from_pretrained(base, str(parent_adapter), is_trainable=True, local_files_only=True)
        _check_fits(model.peft_config[CHILD], recipe)
    else:
        model = PeftModel.from_pretrained(base, str(parent_adapter), adapter_name=PARENT, local_files_only=True)
        model.add_adapter(CHILD, fresh)
        # Both take part in every forward pass; only the child's is trained.
        model.base_model.set_adapter([PARENT, CHILD])
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(f".{CHILD}." in name)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise LamarckError("nothing would be trained: no parameter matches recipe.target_modules")
    return model


def export_adapter(model: PeftModel, inherit: Literal["continue", "stack", "fresh"], output: Path) -> None:
    """Save one self-contained adapter: alone, on g0's weights, it is the child."""
    if inherit == "stack" and PARENT in model.peft_config:
        # "cat" puts the two low-rank products side by side: rank r1 + r2, and exactly their sum.
        model.base_model.add_weighted_adapter([PARENT, CHILD], [1.0, 1.0], "sum", combination_type="cat")
        model.base_model.set_adapter("sum")
        model.delete_adapter(PARENT)
        model.delete_adapter(CHILD)
        model.save_pretrained(output, selected_adapters=["sum"])
        for path in (output / "sum").iterdir():
            path.rename(output / path.name)
        (output / "sum").rmdir()
    else:
        model.save_pretrained(output)
    (output / "README.md").unlink(missing_ok=True)  # peft's own model card speaks of this machine's paths
    settings = output / "adapter_config.json"
    content = read_json(settings)
    # peft holds the layers' names in a set, whose order differs from process to process.
    write_json(settings, content | {"target_modules": sorted(content["target_modules"])})


def _load_base(weights: Path, recipe: Recipe, device: torch.device) -> torch.nn.Module:
    settings = {"dtype": getattr(torch, recipe.dtype), "local_files_only": True, "use_safetensors": True}
    if recipe.quantize == "none":
        return AutoModelForCausalLM.from_pretrained(weights, trust_remote_code=False, **settings).to(device)
    try:
        import bitsandbytes  # noqa: F401  # seconds to import, and not in the default environment
    except ImportError as error:
        raise LamarckError("recipe.quantize: nf4 needs bitsandbytes: install envs/qlora.txt") from error
    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, recipe.dtype),
    )
    base = AutoModelForCausalLM.from_pretrained(
        weights, trust_remote_code=False, quantization_config=quantization, device_map={"": device}, **settings
    )
    return prepare_model_for_kbit_training(base, use_gradient_checkpointing=device.type == "cuda")


def _lora(recipe: Recipe) -> LoraConfig:
    targets = recipe.target_modules
    return LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        task_type="CAUSAL_LM",
    )


def _check_fits(parent: LoraConfig, recipe: Recipe) -> None:
    """`continue` trains the parent's own tensors: other settings in the recipe would be silently ignored."""
    if (parent.r, parent.lora_alpha) != (recipe.rank, recipe.alpha):
        raise LamarckError(
            f"the parent's adapter has rank {parent.r} and alpha {parent.lora_alpha}, the recipe {recipe.rank} and "
            f"{recipe.alpha}: with `inherit: continue` they must agree; `stack` or `fresh` allow another rank"
        )
