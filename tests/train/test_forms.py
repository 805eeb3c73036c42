"""Children of which all weights were trained: made, cut off and resumed, continued, opened, refused."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from lamarck.config import FORMS, Recipe
from lamarck.config.engine import HFEngineConfig
from lamarck.config.section import check_section
from lamarck.curriculum.item import Item
from lamarck.engine.hf import HFEngine
from lamarck.errors import LamarckError
from lamarck.gate.allowance import Allowance
from lamarck.models.change import DELTA, form_of, lay_out
from lamarck.models.delta import Facts, read_facts, state_digest, tensors_of, write_delta
from lamarck.train.chain import read_chain
from lamarck.train.context import freeze_contexts
from lamarck.train.data import Batches, exercises, tokenize
from lamarck.train.loop import train
from lamarck.train.model import export_adapter, export_weights, load_trainable

CPU = torch.device("cpu")
MINI = {"kind": "apollo-mini", "renew_every": 3}
APOLLO = {"kind": "apollo", "rank": 8, "renew_every": 3}


def recipe(**settings: Any) -> Recipe:
    return Recipe.model_validate({"steps": 7, "batch_size": 4, "checkpoint_every": 3, "form": "delta", **settings})


class Trainer:
    def __init__(self, weights: Path, items: list[Item], tokenizer: PreTrainedTokenizerFast, place: Path) -> None:
        self.weights, self.place = weights, place
        self.examples = tokenize(exercises(items, "left out"), tokenizer, 64).examples

    def child(self, name: str, of: Recipe, parent: Path | None = None, stop: int | None = None) -> Path:
        """The child that `of` makes. `stop`: first killed after so many steps, then begun anew."""
        checkpoint = self.place / f"{name}.checkpoint"
        if stop:
            with pytest.raises(KeyboardInterrupt):
                self._train(of, parent, checkpoint, stop)
        model = self._train(of, parent, checkpoint, None)
        output = self.place / name
        output.mkdir()
        if of.form == "adapter":
            export_adapter(model, of.inherit, output)
        else:
            export_weights(model, of.form, self.weights, output)
        return output

    def _train(self, of: Recipe, parent: Path | None, checkpoint: Path, stop: int | None) -> Any:
        torch.manual_seed(5)
        model = load_trainable(self.weights, parent, of, CPU)
        if of.loss == "context-frozen":
            freeze_contexts(model)
        taken = 0

        def on_step(steps: int) -> None:
            nonlocal taken
            taken += steps
            if taken == stop:
                raise KeyboardInterrupt

        batches = Batches(self.examples, of.batch_size, 0, 0)
        self.log = train(model, batches, of, Allowance("a test", 100.0), checkpoint, "run", on_step).log
        return model

    def state(self, change: Path | None) -> dict[str, torch.Tensor]:
        opened = lay_out(self.weights, change)
        return {name: tensor.clone() for name, tensor in tensors_of(opened.directory).items()}


@pytest.fixture
def trainer(
    tiny_weights: Path,
    tiny_items: list[Item],
    tiny_tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Trainer:
    monkeypatch.chdir(tmp_path)
    return Trainer(tiny_weights, tiny_items, tiny_tokenizer, tmp_path)


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": APOLLO},
        {"optimizer": MINI, "dtype": "bfloat16"},
        {"optimizer": APOLLO | {"sixteen_bit": "stochastic"}, "dtype": "bfloat16", "form": "weights"},
        {"optimizer": APOLLO, "form": "adapter", "dropout": 0.1},
    ],
    ids=["apollo", "mini with masters", "stochastic rounding", "an adapter by apollo"],
)
def test_a_run_that_was_cut_off_makes_the_same_child_bit_for_bit(trainer: Trainer, settings: dict[str, Any]) -> None:
    """Cut off behind the checkpoint of step 3: two steps are done again, and the projection is renewed meanwhile."""
    straight = trainer.child("straight", recipe(**settings))
    resumed = trainer.child("resumed", recipe(**settings), stop=5)
    files = {path.name for path in straight.iterdir()}
    assert files == {path.name for path in resumed.iterdir()}
    for name in files:
        assert (straight / name).read_bytes() == (resumed / name).read_bytes(), name


def test_a_checkpoint_is_due_after_minutes_too_and_copied_to_a_second_place(trainer: Trainer, tmp_path: Path) -> None:
    rarely = {"checkpoint_every": 1000, "optimizer": APOLLO}
    never = recipe(**rarely)
    for_ever = trainer.child("never", never, stop=5)
    assert not list((tmp_path / "never.checkpoint").glob("*.safetensors"))
    often = recipe(**rarely, checkpoint_minutes=1e-9, copy_to=f"{tmp_path}/a second place")
    assert often.digest() == never.digest()  # where and how often cannot change a byte
    child = trainer.child("often", often, stop=5)
    assert (child / DELTA).read_bytes() == (for_ever / DELTA).read_bytes()
    copy = tmp_path / "a second place/a test"
    assert [path.name for path in copy.iterdir()] == ["0000000007.full.safetensors"]
    kept, here = read_chain(copy), read_chain(tmp_path / "often.checkpoint")
    assert kept and here and kept.digest == here.digest and kept.step == 7


def test_a_copy_that_fails_ends_no_training(
    trainer: Trainer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a file").write_text("in the way")
    trainer.child("g1", recipe(copy_to=f"{tmp_path}/a file"))
    assert "warning: no copy of the checkpoint in" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["delta", "weights"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_child_opens_as_exactly_what_was_trained(trainer: Trainer, form: str, dtype: str) -> None:
    made = trainer.child("g1", recipe(form=form, dtype=dtype))
    assert form_of(made) == form
    trained = load_trainable(trainer.weights, made, recipe(dtype=dtype), CPU)
    state = trainer.state(made)
    assert {str(value.dtype) for value in state.values()} == {f"torch.{dtype}"}
    opened = lay_out(trainer.weights, made)
    assert (opened.directory / "tokenizer.json").exists()
    alone = AutoModelForCausalLM.from_pretrained(opened.directory, local_files_only=True)
    assert alone.dtype == getattr(torch, dtype)
    for name, value in alone.named_parameters():
        assert torch.equal(value, trained.get_parameter(name)), name
    founder = trainer.state(None)
    assert not any(torch.equal(value.float(), founder[name]) for name, value in state.items())


@pytest.mark.parametrize(("form", "dtype"), [("adapter", "float32"), ("adapter", "bfloat16"), ("delta", "float32")])
def test_frozen_prompts_leave_the_loss_and_change_what_is_learned(trainer: Trainer, form: str, dtype: str) -> None:
    """Of the first step; an adapter's other half is zero then, so that its gradient differs from the second on."""
    plain = trainer.child("plain", recipe(form=form, dtype=dtype))
    first = trainer.log[0].loss
    frozen = trainer.child("frozen", recipe(form=form, dtype=dtype, loss="context-frozen"))
    assert trainer.log[0].loss == pytest.approx(first, abs=1e-5 if dtype == "float32" else 2e-2)
    assert trainer.log[-1].loss < first
    [name] = [path.name for path in plain.glob("*.safetensors")]
    assert (plain / name).read_bytes() != (frozen / name).read_bytes()


def test_a_child_goes_on_from_its_parent_whatever_that_ones_form_is(trainer: Trainer) -> None:
    still = {"learning_rate": 1e-30}
    for form in FORMS:
        parent = trainer.child(f"parent-{form}", recipe(form=form))
        child = trainer.child(f"child-{form}", recipe(**still), parent)
        fresh = trainer.child(f"fresh-{form}", recipe(**still, inherit="fresh"), parent)
        before = HFEngine(HFEngineConfig(), trainer.weights, parent).model
        assert same(trainer.state(child), dict(before.named_parameters()))
        assert not same(trainer.state(child), trainer.state(None))
        assert same(trainer.state(fresh), trainer.state(None))
        # The difference is to the founder: it opens without the parent.
        assert read_facts(child / DELTA).base == state_digest(tensors_of(trainer.weights))


def test_an_adapter_is_never_laid_on_another_model_than_the_founder(trainer: Trainer) -> None:
    parent = trainer.child("parent", recipe())
    with pytest.raises(LamarckError, match=r"set recipe\.form to delta, or recipe\.inherit to fresh"):
        load_trainable(trainer.weights, parent, recipe(form="adapter"), CPU)
    load_trainable(trainer.weights, parent, recipe(form="adapter", inherit="fresh"), CPU)


def test_a_delta_of_another_founder_is_refused(trainer: Trainer, tmp_path: Path) -> None:
    made = trainer.child("g1", recipe())
    other = tmp_path / "other"
    shutil.copytree(trainer.weights, other)
    state = load_file(other / "model.safetensors")
    state["model.norm.weight"] += 1
    save_file(state, other / "model.safetensors", {"format": "pt"})
    with pytest.raises(LamarckError, match="is a difference to the weights"):
        lay_out(other, made)


def test_a_delta_that_leads_elsewhere_is_refused(trainer: Trainer, tmp_path: Path) -> None:
    base = tensors_of(trainer.weights)
    (tmp_path / "forged").mkdir()
    facts = Facts(kind="delta", base=state_digest(base), result="0" * 64)
    write_delta(tmp_path / "forged" / DELTA, base, {name: base[name] + 1 for name in base}, facts)
    with pytest.raises(LamarckError, match="does not lead to the weights that it names"):
        lay_out(trainer.weights, tmp_path / "forged")
    with pytest.raises(LamarckError, match="restore it with `dvc pull`"):
        lay_out(trainer.weights, tmp_path)


def test_what_was_made_to_open_a_delta_goes_with_it(trainer: Trainer) -> None:
    opened = lay_out(trainer.weights, trainer.child("g1", recipe()))
    directory = opened.directory
    assert directory.exists()
    del opened
    assert not directory.exists()


@pytest.mark.parametrize("settings", [{"inherit": "stack"}, {"quantize": "nf4"}, {"dropout": 0.1}])
def test_what_only_an_adapter_has_is_refused_with_whole_weights(settings: dict[str, Any]) -> None:
    with pytest.raises(LamarckError, match=r"is LoRA's, and `form: weights` trains the weights"):
        check_section({"form": "weights", **settings}, Recipe, "a test")


def test_query_projections_alone_are_trained(trainer: Trainer) -> None:
    child = trainer.child("queries", recipe(steps=2, form="weights", trained="queries", loss="context-frozen"))
    before, after = tensors_of(trainer.weights), tensors_of(child)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if ".q_proj." in name} != set()
    with pytest.raises(LamarckError, match=r"name target_modules: \[q_proj\]"):
        check_section({"trained": "queries"}, Recipe, "a test")
