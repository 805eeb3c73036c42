"""What a run says about itself, and what its ceiling leaves it after kills."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from lamarck.config import Recipe
from lamarck.curriculum.item import Item
from lamarck.errors import LamarckError
from lamarck.gate.allowance import Allowance
from lamarck.gate.journal import journal_of
from lamarck.train.checkpoint import Progress
from lamarck.train.data import Batches, exercises, tokenize
from lamarck.train.loop import answer_loss, train
from lamarck.train.model import load_trainable


def test_a_run_stopped_by_its_ceiling_reports_its_last_step(
    tiny_weights: Path, tiny_items: list[Item], tiny_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    recipe = Recipe(steps=100_000, batch_size=8, checkpoint_every=100_000)
    model = load_trainable(tiny_weights, None, recipe, torch.device("cpu"))
    batches = Batches(tokenize(exercises(tiny_items, "left out"), tiny_tokenizer, 64).examples, 8, 0, 0)
    progress = train(
        model, batches, recipe, Allowance("a test", 2.0), tmp_path / "checkpoint", "run", lambda steps: None
    )
    assert 1 < progress.step < recipe.steps
    assert progress.log[-1].step == progress.step - 1
    assert progress.tokens == sum(batches.tokens_at(step) for step in range(progress.step))


def test_the_parts_of_a_batch_have_the_gradient_of_the_whole(
    tiny_weights: Path, tiny_items: list[Item], tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    model = load_trainable(tiny_weights, None, Recipe(), torch.device("cpu"))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    batches = Batches(tokenize(exercises(tiny_items, "left out"), tiny_tokenizer, 64).examples, 8, 0, 0)
    whole = torch.autograd.grad(answer_loss(model, *batches.at(3)), trained)
    parts = [torch.autograd.grad(share * answer_loss(model, *part), trained) for *part, share in batches.parts(3)]
    assert len(parts) > 1
    for expected, *found in zip(whole, *parts, strict=True):
        assert torch.allclose(sum(found), expected, atol=1e-6)


CEILING = 3.0


def test_kills_do_not_renew_the_ceiling(
    tiny_weights: Path,
    tiny_items: list[Item],
    tiny_tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each attempt is killed before its first checkpoint, so that nothing but the journal knows of it."""
    monkeypatch.chdir(tmp_path)
    recipe = Recipe(steps=100_000, batch_size=8, checkpoint_every=100_000)
    batches = Batches(tokenize(exercises(tiny_items, "left out"), tiny_tokenizer, 64).examples, 8, 0, 0)
    allowance = Allowance("g1", CEILING, journal_of("g1", "a" * 64))
    assert allowance.journal

    def run(of: Allowance) -> Progress:
        model = load_trainable(tiny_weights, None, recipe, torch.device("cpu"))
        return train(model, batches, recipe, of, Path("results/g1/checkpoint"), "run", lambda steps: None)

    for attempt in (1, 2):
        worker = multiprocessing.get_context("fork").Process(target=run, args=(allowance,))
        worker.start()
        while allowance.journal.spent() < 1.1 * attempt and worker.is_alive():
            time.sleep(0.02)
        assert worker.pid
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
    killed = allowance.journal.spent()
    assert killed >= 2.2
    if killed < CEILING:  # else the kills came late, and nothing is left already
        progress = run(allowance)
        assert progress.attempts == 3
        assert progress.spent >= CEILING
        # This attempt stopped at what the others had left. With a ceiling that begins anew it has all of it.
        assert progress.spent - progress.device_seconds >= killed
        renewed = run(Allowance("g1", 0.5))
        assert renewed.spent - renewed.device_seconds < killed
    with pytest.raises(LamarckError, match=r"3 device-seconds approved for g1 are spent, by \d attempts that left no"):
        run(allowance)
