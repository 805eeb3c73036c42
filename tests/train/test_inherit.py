"""No setting of the recipe is silently ignored, and a model or parent that does not fit is one clear sentence."""

from pathlib import Path

import pytest
import torch

from lamarck.config import Recipe
from lamarck.errors import LamarckError
from lamarck.train.model import export_adapter, load_trainable

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def parent(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("parent")
    export_adapter(load_trainable(tiny_weights, None, Recipe(dropout=0.1), CPU), "continue", path)
    return path


def dropouts(weights: Path, parent: Path, recipe: Recipe) -> dict[str, float]:
    model = load_trainable(weights, parent, recipe, CPU)
    return {name: getattr(layer, "p", 0.0) for name, layer in model.named_modules() if ".q_proj.lora_dropout." in name}


def test_continue_refuses_other_layers(tiny_weights: Path, parent: Path) -> None:
    with pytest.raises(LamarckError, match=r"on other layers than recipe\.target_modules"):
        load_trainable(tiny_weights, parent, Recipe(target_modules=("q_proj",)), CPU)


def test_continue_accepts_the_same_layers_by_other_names(tiny_weights: Path, parent: Path) -> None:
    names = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    load_trainable(tiny_weights, parent, Recipe(target_modules=names), CPU)


def test_continue_takes_dropout_from_the_recipe(tiny_weights: Path, parent: Path) -> None:
    assert set(dropouts(tiny_weights, parent, Recipe(dropout=0.3)).values()) == {0.3}


def test_a_stacked_child_adds_to_a_parent_without_noise(tiny_weights: Path, parent: Path) -> None:
    found = dropouts(tiny_weights, parent, Recipe(inherit="stack", dropout=0.3))
    assert {value for name, value in found.items() if name.endswith(".parent")} == {0.0}
    assert {value for name, value in found.items() if name.endswith(".default")} == {0.3}


def test_a_layer_that_does_not_exist_is_one_sentence(tiny_weights: Path) -> None:
    with pytest.raises(LamarckError, match="no layer is called no_such_layer"):
        load_trainable(tiny_weights, None, Recipe(target_modules=("no_such_layer",)), CPU)


def test_weights_that_do_not_open_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(LamarckError, match="does not open as a model"):
        load_trainable(tmp_path, None, Recipe(), CPU)
