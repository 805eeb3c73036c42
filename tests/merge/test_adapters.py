"""Two LoRA adapters as one: exactly by concatenation, or by a method on the products."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from lamarck.errors import LamarckError
from lamarck.files import read_json, write_json
from lamarck.merge.adapters import A, B, concatenate, merge_products, read_adapter

MODULE = "base_model.model.model.layers.{}.self_attn.{}"
SIZES = {"q_proj": (8, 8), "v_proj": (4, 8)}  # outputs, inputs
PLAIN = {"peft_type": "LORA", "bias": "none", "task_type": "CAUSAL_LM", "base_model_name_or_path": "base"}


def make_adapter(
    directory: Path, seed: int, rank: int, names: tuple[str, ...] = ("q_proj", "v_proj"), **changes: object
) -> Path:
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for layer in range(4):
        for name in names:
            outputs, inputs = SIZES[name]
            module = MODULE.format(layer, name)
            tensors[module + A] = torch.randn((rank, inputs), generator=generator)
            tensors[module + B] = torch.randn((outputs, rank), generator=generator)
    directory.mkdir()
    save_file(tensors, directory / "adapter_model.safetensors")
    write_json(directory / "adapter_config.json", {**PLAIN, "r": rank, "lora_alpha": 6, "target_modules": list(names), **changes})  # fmt: skip  # noqa: E501
    return directory


def added(directory: Path) -> dict[str, Tensor]:
    """What an adapter adds to each weight."""
    return {module: factors.b @ factors.a for module, factors in read_adapter(directory).modules.items()}


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    """Of different ranks, scales and modules."""
    return [
        make_adapter(tmp_path / "one", 1, 3),
        make_adapter(
            tmp_path / "two", 2, 2, ("q_proj",), use_rslora=True, alpha_pattern={"layers.1.self_attn.q_proj": 10}
        ),
    ]


def test_a_concatenation_adds_exactly_what_both_add(two: list[Path], tmp_path: Path) -> None:
    assert concatenate(two, tmp_path / "sum", [1.0, -0.5]) == 5
    first, second, both = added(two[0]), added(two[1]), added(tmp_path / "sum")
    assert both.keys() == first.keys()
    for module, total in both.items():
        expected = first[module] - 0.5 * second.get(module, torch.zeros_like(total))
        assert torch.allclose(total, expected, atol=1e-5)


def test_peft_loads_a_concatenation_and_computes_what_both_add(models: Path, two: list[Path], tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    concatenate(two, tmp_path / "sum")
    base = AutoModelForCausalLM.from_pretrained(models / "base")
    weights = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    merged = PeftModel.from_pretrained(base, str(tmp_path / "sum")).merge_and_unload().state_dict()
    parts = [added(path) for path in two]
    for layer in range(4):
        module = MODULE.format(layer, "q_proj")
        name = module.removeprefix("base_model.model.") + ".weight"
        assert torch.allclose(merged[name] - weights[name], parts[0][module] + parts[1][module], atol=1e-5)


def test_products_at_full_rank_are_the_methods_own_result(two: list[Path], tmp_path: Path) -> None:
    own = [{"weight": 0.5}, {"weight": 0.25}]
    residual = merge_products(two, tmp_path / "out", "task_arithmetic", 5, own)
    assert residual.total < 1e-5
    first, second, both = added(two[0]), added(two[1]), added(tmp_path / "out")
    for module, total in both.items():
        expected = 0.5 * first[module] + 0.25 * second.get(module, torch.zeros_like(total))
        assert torch.allclose(total, expected, atol=1e-4)


def test_a_lower_rank_says_what_it_lost(two: list[Path], tmp_path: Path) -> None:
    own = [{"weight": 1.0, "density": 0.5}] * 2
    residual = merge_products(two, tmp_path / "out", "ties", 2, own)
    whole = merge_products(two, tmp_path / "whole", "ties", 8, own)
    assert whole.total < 1e-5 < 0.05 < residual.total < 1
    module = MODULE.format(2, "q_proj")
    low, full = added(tmp_path / "out")[module], added(tmp_path / "whole")[module]
    assert residual.modules[module] == pytest.approx(float((full - low).norm() / full.norm()), rel=1e-3)
    assert float(torch.linalg.svdvals(full)[2:].norm() / full.norm()) == pytest.approx(
        residual.modules[module], rel=1e-3
    )
    assert read_json(tmp_path / "out" / "adapter_config.json")["r"] == 2


def test_random_methods_are_the_same_twice(two: list[Path], tmp_path: Path) -> None:
    own = [{"weight": 1.0, "density": 0.5}] * 2
    for name in ("one-more", "again"):
        merge_products(two, tmp_path / name, "dare_ties", 8, own, seed=3)
    merge_products(two, tmp_path / "other", "dare_ties", 8, own, seed=4)
    files = [(tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("one-more", "again", "other")]
    assert files[0] == files[1] != files[2]


def test_adapters_that_cannot_be_merged(two: list[Path], tmp_path: Path) -> None:
    for name, changes, sentence in (
        ("dora", {"use_dora": True}, "is not a plain LoRA adapter"),
        ("bias", {"bias": "all"}, "is not a plain LoRA adapter"),
        ("ia3", {"peft_type": "IA3"}, "is not a plain LoRA adapter"),
    ):
        with pytest.raises(LamarckError, match=sentence):
            concatenate([two[0], make_adapter(tmp_path / name, 5, 2, **changes)], tmp_path / "out")  # type: ignore[arg-type]
    with pytest.raises(LamarckError, match="does not act on differences to a base"):
        merge_products(two, tmp_path / "out", "linear", 2, [{"weight": 1.0}] * 2)
    with pytest.raises(LamarckError, match="has no parameter 'wieght' here: did you mean 'weight'"):
        merge_products(two, tmp_path / "out", "ties", 2, [{"wieght": 1.0}] * 2)
    with pytest.raises(LamarckError, match="does not exist"):
        concatenate([tmp_path / "none"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
