"""The model that is trained, as the recipe inherits: an adapter on the founder's frozen weights, or all weights."""

import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import BitsAndBytesConfig
from transformers.pytorch_utils import Conv1D

from lamarck.config import Recipe
from lamarck.errors import LamarckError
from lamarck.files import read_json, write_json
from lamarck.models.adapters import fuse_adapters
from lamarck.models.change import DELTA, form_of, lay_out, write_model
from lamarck.models.delta import Facts, state_digest, tensors_of, write_delta
from lamarck.models.opening import adapter_settings, check_not_tied, open_adapter, open_model
from lamarck.models.shards import model_directory
from lamarck.train.context import train_queries_only
from lamarck.train.liger import with_liger

PARENT, CHILD = "parent", "default"


def load_trainable(weights: Path, parent: Path | None, recipe: Recipe, device: torch.device) -> torch.nn.Module:
    """What this run trains: g0's `weights` with an adapter, or the model that `parent` makes of them with all weights.

    `parent`: what was trained of the parent, if it is not the founder. Errors: LamarckError where they do not open, for
    an adapter on a parent that has none, and as `with_adapter`.
    """
    if recipe.inherit == "fresh":
        parent = None
    if recipe.form != "adapter":
        return _load_whole(weights, parent, recipe, device)
    if parent is not None and form_of(parent) != "adapter":
        raise LamarckError(
            "the parent's own weights were trained, and an adapter on those would not be one on the founder's: set "
            f"recipe.form to {form_of(parent)}, or recipe.inherit to fresh"
        )
    return with_adapter(_load_base(weights, recipe, device), parent, recipe)


def _load_whole(weights: Path, parent: Path | None, recipe: Recipe, device: torch.device) -> torch.nn.Module:
    opened = lay_out(weights, parent)
    model = open_model(opened.directory, dtype=getattr(torch, recipe.dtype)).to(device)
    if opened.adapter is not None:
        model = open_adapter(model, opened.adapter).merge_and_unload(safe_merge=True)
    model.requires_grad_(True)
    if recipe.trained == "queries":
        train_queries_only(model)
    return with_liger(model, recipe, device)


def with_adapter(base: torch.nn.Module, parent_adapter: Path | None, recipe: Recipe) -> PeftModel:
    """A frozen model with the adapter that is trained on it, whose weights are drawn from torch's global generator.

    Errors: LamarckError for a parent's adapter that does not fit the recipe, for adapters on a tied embedding, and when
    nothing would be trained.
    """
    check_not_tied(base, recipe.target_modules)
    fresh = _lora(recipe)
    layers = _layers(base, recipe.target_modules)
    if not layers:
        raise LamarckError(f"nothing would be trained: no layer is called {' or '.join(recipe.target_modules)}")
    if parent_adapter is None or recipe.inherit == "fresh":
        model = get_peft_model(base, fresh)
    elif recipe.inherit == "continue":
        parent = adapter_settings(parent_adapter)
        _check_fits(parent, recipe, _layers(base, parent.target_modules) == layers)
        # Dropout belongs to this run, not to the parent's tensors: here the recipe wins.
        parent.lora_dropout = recipe.dropout
        model = open_adapter(base, parent_adapter, config=parent, is_trainable=True)
    else:
        parent = adapter_settings(parent_adapter)
        parent.lora_dropout = 0.0  # the frozen parent is the model that the child adds to: no noise on it
        model = open_adapter(base, parent_adapter, config=parent, adapter_name=PARENT)
        model.add_adapter(CHILD, fresh)
        # Both take part in every forward pass; only the child's is trained.
        model.base_model.set_adapter([PARENT, CHILD])
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(f".{CHILD}." in name)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise LamarckError("nothing would be trained: no parameter matches recipe.target_modules")
    if recipe.dtype == "bfloat16":
        fuse_adapters(model)
    return model


def export_weights(model: Any, form: Literal["delta", "weights"], weights: Path, output: Path) -> None:
    """Save a model of which all weights were trained, from those of the founder `weights`, to the directory `output`.

    Lossless: the tensors as they would be saved to a model directory, in their own type.
    """
    founder = model_directory(weights)
    with tempfile.TemporaryDirectory(dir=output) as directory:
        saved = Path(directory)
        model.save_pretrained(saved)
        trained = tensors_of(saved)
        if form == "weights":
            write_model(founder, trained, output)
            return
        base = tensors_of(founder)
        facts = Facts(kind="delta", base=state_digest(base), result=state_digest(trained))
        write_delta(output / DELTA, base, trained, facts)


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
    settings: dict[str, Any] = {"dtype": getattr(torch, recipe.dtype)}
    if recipe.quantize == "none":
        return with_liger(open_model(model_directory(weights), **settings).to(device), recipe, device)
    try:
        import bitsandbytes  # noqa: F401  # seconds to import, and not in the default environment
    except ImportError as error:
        raise LamarckError("recipe.quantize: nf4 needs bitsandbytes: install envs/qlora.txt") from error
    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, recipe.dtype),
        bnb_4bit_quant_storage=getattr(torch, recipe.dtype),  # four or eight weights a number: what FSDP2 can split
    )
    # What is not quantised (embedding, head, norms) stays in recipe.dtype: it is what flows between the layers.
    settings |= {"quantization_config": quantization, "device_map": {"": device}}
    return with_liger(open_model(model_directory(weights), **settings), recipe, device)


def _lora(recipe: Recipe) -> LoraConfig:
    targets = recipe.target_modules
    return LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        task_type="CAUSAL_LM",
    )


def _layers(base: torch.nn.Module, targets: Collection[str] | str) -> set[str]:
    """Names of the layers that peft would adapt for `targets`: the ends of names, or all-linear (all but the head)."""
    if targets == "all-linear":
        head = base.get_output_embeddings()
        linear = (torch.nn.Linear, Conv1D)
        return {name for name, layer in base.named_modules() if isinstance(layer, linear) and layer is not head}
    names = [name for name, _ in base.named_modules()]
    return {name for name in names if any(f".{name}".endswith(f".{target}") for target in targets)}


def _check_fits(parent: LoraConfig, recipe: Recipe, same_layers: bool) -> None:
    """`continue` trains the parent's own tensors: other settings in the recipe would be silently ignored."""
    if (parent.r, parent.lora_alpha) != (recipe.rank, recipe.alpha):
        raise LamarckError(
            f"the parent's adapter has rank {parent.r} and alpha {parent.lora_alpha}, the recipe {recipe.rank} and "
            f"{recipe.alpha}: with `inherit: continue` they must agree; `stack` or `fresh` allow another rank"
        )
    if not same_layers:
        raise LamarckError(
            "the parent's adapter is on other layers than recipe.target_modules names: with `inherit: continue` they "
            "must agree; `stack` or `fresh` allow others"
        )
