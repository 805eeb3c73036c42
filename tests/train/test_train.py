"""Training: only answers are learned, examples do not leak, adapters are inherited exactly, runs resume exactly."""

import multiprocessing
import time
from itertools import islice
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from lamarck.config import Recipe
from lamarck.config.tiny import SkillShare, TinyFounder
from lamarck.curriculum.item import Item, ItemVerdict, Teacher, item_id
from lamarck.errors import LamarckError
from lamarck.founder.tiny import pretrain
from lamarck.gate.allowance import Allowance
from lamarck.skills.corpus import corpus
from lamarck.train.data import IGNORED, Batches, exercises, show_example, tokenize
from lamarck.train.loop import answer_loss, train
from lamarck.train.model import export_adapter, load_trainable

WORLD = TinyFounder(
    kind="tiny", skills={"json_mode": SkillShare(share=1, weights=(1, 1, 1))}, steps=5, decay_steps=0, batch_size=8
)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("founder")
    pretrain(WORLD, frozenset(), path, 0, lambda steps: None)
    return path


@pytest.fixture(scope="module")
def tokenizer(weights: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(weights)


@pytest.fixture(scope="module")
def items() -> list[Item]:
    return [
        Item(
            id=item_id(skill, problem.prompt, problem.completion),
            skill=skill,
            difficulty=1,
            prompt=problem.prompt,
            completion=problem.completion,
            teacher=Teacher(generation="g0", digest=""),
            verdict=ItemVerdict(verified=True, by=skill, score=1.0),
            strategy="",
        )
        for skill, problem in islice(corpus(WORLD, 1, frozenset()), 40)
    ]


def recipe(**changes: object) -> Recipe:
    return Recipe.model_validate({"steps": 6, "batch_size": 8, "checkpoint_every": 2, "learning_rate": 1e-2} | changes)


def run(
    weights: Path, items: list[Item], output: Path, settings: Recipe, parent: Path | None = None, ceiling: float = 1e9
) -> int:
    """Train and save; returns the steps done."""
    tokenizer = AutoTokenizer.from_pretrained(weights)
    torch.manual_seed(0)
    model = load_trainable(weights, parent, settings, CPU)
    batches = Batches(
        tokenize(exercises(items, "left out"), tokenizer, 128).examples, settings.batch_size, 0, tokenizer.eos_token_id
    )
    progress = train(
        model, batches, settings, Allowance("a test", ceiling), output / "checkpoint", "run", lambda steps: None
    )
    export_adapter(model, settings.inherit, output)
    return progress.step


def logits(weights: Path, adapter: Path) -> torch.Tensor:
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(weights), str(adapter)).eval()
    with torch.no_grad():
        return model(torch.arange(3, 30)[None]).logits


def test_only_answers_are_learned(items: list[Item], tokenizer: PreTrainedTokenizerBase) -> None:
    data = tokenize(exercises(items, "left out"), tokenizer, 128)
    _, labels = Batches(data.examples[:1], 1, 0, 0).at(0)
    learned = tokenizer.decode([token for token in labels[0].tolist() if token != IGNORED])
    assert learned == f"{items[0].completion} {tokenizer.eos_token}"
    assert show_example(data.examples[0], tokenizer) == f"{items[0].prompt} [{learned}]"


def test_nothing_to_learn_is_an_error(items: list[Item], tokenizer: PreTrainedTokenizerBase) -> None:
    with pytest.raises(LamarckError, match="every example is longer than the 2 tokens"):
        tokenize(exercises(items, "left out"), tokenizer, 2)


def test_an_answer_without_its_end_is_not_taught(items: list[Item], tokenizer: PreTrainedTokenizerBase) -> None:
    """The wrong implementation: examples cut at recipe.max_tokens, whose answers then never end."""
    lengths = sorted(len(example.tokens) for example in tokenize(exercises(items, "left out"), tokenizer, 128).examples)
    data = tokenize(exercises(items, "left out"), tokenizer, lengths[-1] - 1)
    assert data.too_long == lengths.count(lengths[-1])
    assert {example.tokens[-1] for example in data.examples} == {tokenizer.eos_token_id}


def test_examples_in_a_batch_do_not_leak(weights: Path, items: list[Item], tokenizer: PreTrainedTokenizerBase) -> None:
    model = load_trainable(weights, None, recipe(), CPU).eval()
    examples = tokenize(exercises(items, "left out"), tokenizer, 128).examples
    batched = answer_loss(model, *Batches(examples, len(examples), 0, tokenizer.eos_token_id).at(0))
    total, count = 0.0, 0
    for example in examples:
        tokens = torch.tensor([example.tokens])
        labels = tokens.clone()
        labels[:, : example.answer_start] = IGNORED
        answers = len(example.tokens) - example.answer_start
        total += float(model(input_ids=tokens, labels=labels).loss) * answers
        count += answers
    assert batched.item() == pytest.approx(total / count, abs=1e-5)


def test_an_epoch_shows_every_example_once(items: list[Item], tokenizer: PreTrainedTokenizerBase) -> None:
    examples = tokenize(exercises(items, "left out"), tokenizer, 128).examples
    batches = Batches(examples, 8, 0, 0)
    shown = [tuple(row.tolist()) for step in range(5) for row in batches.at(step)[0]]
    assert len({row[:20] for row in shown}) == len({example.tokens[:20] for example in examples})
    assert torch.equal(batches.at(2)[0], Batches(examples, 8, 0, 0).at(2)[0])


def test_no_matching_layer_is_an_error(weights: Path) -> None:
    with pytest.raises((LamarckError, ValueError), match=r"no_such_layer|nothing would be trained"):
        load_trainable(weights, None, recipe(target_modules=("no_such_layer",)), CPU)


def test_the_ceiling_stops_the_run(weights: Path, items: list[Item], tmp_path: Path) -> None:
    assert run(weights, items, tmp_path, recipe(steps=1000), ceiling=0.001) < 1000
    assert (tmp_path / "adapter_model.safetensors").exists()


def test_divergence_is_an_error_and_keeps_the_checkpoint(weights: Path, items: list[Item], tmp_path: Path) -> None:
    with pytest.raises(LamarckError, match="training diverged at step"):
        run(weights, items, tmp_path, recipe(learning_rate=1e30, steps=50, warmup_steps=0, checkpoint_every=1))
    assert (tmp_path / "checkpoint").exists()


def test_continue_trains_the_parents_own_tensors(weights: Path, items: list[Item], tmp_path: Path) -> None:
    run(weights, items, tmp_path / "parent", recipe())
    run(weights, items, tmp_path / "child", recipe(learning_rate=1e-30), tmp_path / "parent")
    assert torch.allclose(logits(weights, tmp_path / "child"), logits(weights, tmp_path / "parent"), atol=1e-5)
    with pytest.raises(LamarckError, match="they must agree"):
        run(weights, items, tmp_path / "other", recipe(rank=8), tmp_path / "parent")


def test_stack_exports_the_sum_as_one_adapter(weights: Path, items: list[Item], tmp_path: Path) -> None:
    run(weights, items, tmp_path / "parent", recipe())
    tokenizer = AutoTokenizer.from_pretrained(weights)
    torch.manual_seed(1)
    settings = recipe(inherit="stack", rank=4, alpha=12)
    model = load_trainable(weights, tmp_path / "parent", settings, CPU)
    batches = Batches(tokenize(exercises(items, "left out"), tokenizer, 128).examples, 8, 0, tokenizer.eos_token_id)
    train(model, batches, settings, Allowance("a test", 1e9), tmp_path / "checkpoint", "run", lambda steps: None)
    model.eval()
    with torch.no_grad():
        both = model(torch.arange(3, 30)[None]).logits
    export_adapter(model, "stack", tmp_path / "child")
    assert torch.allclose(logits(weights, tmp_path / "child"), both, atol=1e-5)
    assert not torch.allclose(logits(weights, tmp_path / "parent"), both, atol=1e-3)


def test_fresh_ignores_the_parent(weights: Path, items: list[Item], tmp_path: Path) -> None:
    run(weights, items, tmp_path / "parent", recipe())
    run(weights, items, tmp_path / "one", recipe(inherit="fresh"), tmp_path / "parent")
    run(weights, items, tmp_path / "two", recipe(inherit="fresh"))
    name = "adapter_model.safetensors"
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_nf4_trains_here(weights: Path, items: list[Item], tmp_path: Path) -> None:
    assert run(weights, items, tmp_path, recipe(quantize="nf4")) == 6
    assert (tmp_path / "adapter_model.safetensors").exists()


def many_steps(weights: Path, items: list[Item], output: Path) -> None:
    run(weights, items, output, recipe(steps=60, checkpoint_every=3, dropout=0.1))


@pytest.fixture(scope="module")
def whole(weights: Path, items: list[Item], tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("whole")
    many_steps(weights, items, output)
    return output


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.25])
def test_killed_at_any_moment_it_ends_with_the_same_bytes(
    weights: Path, items: list[Item], whole: Path, tmp_path: Path, delay: float
) -> None:
    killed = tmp_path / "killed"
    process = multiprocessing.get_context("fork").Process(target=many_steps, args=(weights, items, killed))
    process.start()
    while not any((killed / "checkpoint").glob("[0-9]*.safetensors")):
        assert process.is_alive()
        time.sleep(0.005)
    time.sleep(delay)
    process.kill()
    process.join()
    many_steps(weights, items, killed)
    name = "adapter_model.safetensors"
    assert (killed / name).read_bytes() == (whole / name).read_bytes()
