"""How long a child is trained: so many steps, or as many as its curriculum takes."""

from typing import Any

import pytest

from lamarck.config import Recipe
from lamarck.config.section import check_section
from lamarck.errors import LamarckError
from lamarck.train.learning_rate import share_of_rate


@pytest.mark.parametrize(("epochs", "items", "steps"), [(1, 640, 10), (1, 641, 11), (0.5, 640, 5), (3, 1, 1)])
def test_epochs_count_whole_batches(epochs: float, items: int, steps: int) -> None:
    recipe = Recipe(epochs=epochs, batch_size=64)
    assert recipe.steps is None
    assert recipe.steps_over(items) == recipe.taking(steps).steps_over(1_000_000) == steps
    assert Recipe(steps=7).steps_over(items) == 7


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 300, "epochs": 1},
        {"steps": None},
        {"steps": None, "epochs": None},
        {"epochs": 0},
        {"epochs": -1},
        {"epochs": float("inf")},
        {"epochs": "many"},
    ],
)
def test_both_or_neither_or_no_passes_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(LamarckError, match=r"steps|epochs"):
        check_section(settings, Recipe, "recipe")


def test_what_was_written_before_there_were_epochs_means_the_same() -> None:
    assert "epochs" not in Recipe().model_dump(mode="json")
    by_items = Recipe(epochs=2)
    written = by_items.model_dump(mode="json")
    assert (written["steps"], written["epochs"]) == (None, 2)
    assert Recipe.model_validate(written) == by_items
    assert len({Recipe().digest(), by_items.digest(), Recipe(epochs=3).digest()}) == 3


def test_the_rate_decays_over_the_steps_that_were_counted() -> None:
    recipe = Recipe(epochs=1, warmup_steps=0)
    assert [share_of_rate(step, 4, recipe) for step in range(4)] == [1, 0.75, 0.5, 0.25]
