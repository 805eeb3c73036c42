"""What a run says about itself."""

from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast

from lamarck.config import Recipe
from lamarck.curriculum.item import Item
from lamarck.train.data import Batches, exercises, tokenize
from lamarck.train.loop import answer_loss, train
from lamarck.train.model import load_trainable


def test_a_run_stopped_by_its_ceiling_reports_its_last_step(
    tiny_weights: Path, tiny_items: list[Item], tiny_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    recipe = Recipe(steps=100_000, batch_size=8, checkpoint_every=100_000)
    model = load_trainable(tiny_weights, None, recipe, torch.device("cpu"))
    batches = Batches(tokenize(exercises(tiny_items, "left out"), tiny_tokenizer, 64).examples, 8, 0, 0)
    progress = train(model, batches, recipe, 2.0, tmp_path / "checkpoint", "run", lambda steps: None)
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
