"""What a run writes down of its steps, and shows in TensorBoard: each step once, however often the run was cut off."""

import sys
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import PreTrainedTokenizerFast

from lamarck.config import Recipe
from lamarck.curriculum.item import Item
from lamarck.errors import LamarckError
from lamarck.gate.allowance import Allowance
from lamarck.train.checkpoint import Progress
from lamarck.train.data import Batches, exercises, tokenize
from lamarck.train.log import StepRow, metrics_shown
from lamarck.train.loop import train
from lamarck.train.model import load_trainable

RECIPE = Recipe(steps=30, batch_size=8, checkpoint_every=10)
NAMES = ["learning_rate", "loss", "memory_bytes", "tokens_per_second"]


class Killed(Exception):
    pass


def run(weights: Path, items: list[Item], tokenizer: PreTrainedTokenizerFast, root: Path, killed_at: int) -> Progress:
    """Train, and die in step `killed_at`; the events that TensorBoard's thread still held are lost with the process."""
    model = load_trainable(weights, None, RECIPE, torch.device("cpu"))
    batches = Batches(tokenize(exercises(items, "left out"), tokenizer, 64).examples, 8, 0, 0)
    with metrics_shown("tensorboard", root / "metrics") as on_row:

        def on_row_until_killed(row: StepRow) -> None:
            if row.step == killed_at:
                raise Killed
            on_row(row)

        return train(
            model,
            batches,
            RECIPE,
            Allowance("a test", 1e9),
            root / "checkpoint",
            "run",
            lambda steps: None,
            on_row=on_row_until_killed,
        )


def shown(directory: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(directory), {"scalars": 0}).Reload()
    return {name: [(each.step, each.value) for each in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_tensorboard_shows_every_row_of_the_log_once(
    tiny_weights: Path, tiny_items: list[Item], tiny_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        run(tiny_weights, tiny_items, tiny_tokenizer, tmp_path, killed_at=17)
    cut_off = shown(tmp_path / "metrics")
    assert [step for step, _ in cut_off["loss"]] == list(range(17))
    progress = run(tiny_weights, tiny_items, tiny_tokenizer, tmp_path, killed_at=-1)
    found = shown(tmp_path / "metrics")
    assert sorted(found) == NAMES
    for name, values in found.items():
        expected = [(row.step, pytest.approx(getattr(row, name), rel=1e-6)) for row in progress.log]
        assert values == expected, name
    assert [row.step for row in progress.log] == list(range(30))
    # The first ten steps are the first process's own: they were not done again.
    assert [row.tokens_per_second for row in progress.log[:10]] == [
        pytest.approx(value, rel=1e-6) for _, value in cut_off["tokens_per_second"][:10]
    ]
    assert all(row.memory_bytes > 10**8 for row in progress.log)  # torch alone takes more


def test_the_rows_speeds_make_up_the_runs(
    tiny_weights: Path, tiny_items: list[Item], tiny_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    progress = run(tiny_weights, tiny_items, tiny_tokenizer, tmp_path, killed_at=-1)
    batches = Batches(tokenize(exercises(tiny_items, "left out"), tiny_tokenizer, 64).examples, 8, 0, 0)
    seconds = sum(batches.tokens_at(row.step) / row.tokens_per_second for row in progress.log)
    assert seconds == pytest.approx(progress.device_seconds, rel=1e-3)


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with (
        pytest.raises(LamarckError, match=r"pip install -r envs/tensorboard\.txt"),
        metrics_shown("tensorboard", tmp_path / "metrics"),
    ):
        pass


def test_off_it_writes_nothing(tmp_path: Path) -> None:
    with metrics_shown("none", tmp_path / "metrics") as on_row:
        on_row(StepRow(0, 1.0, 1e-3, 100.0, 10))
    assert list(tmp_path.iterdir()) == []
