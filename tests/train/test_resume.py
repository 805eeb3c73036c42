"""A checkpoint is loaded only if this checkout made it; and one that is damaged says so."""

import shutil
from contextlib import closing
from pathlib import Path

import pytest
import torch

from lamarck.config import Recipe
from lamarck.errors import LamarckError
from lamarck.seal import SECRET
from lamarck.train.chain import Chain, read_chain
from lamarck.train.checkpoint import Checkpoints, Progress, sealed_notes
from lamarck.train.model import load_trainable
from lamarck.train.optimizer import build_optimizer, grouped
from lamarck.train.team import alone

CPU = alone(torch.device("cpu"))
OWN, FORGED = Path("own/checkpoint"), Path("checkpoint")


class Run:
    """A run that is about to train the tiny founder."""

    def __init__(self, weights: Path) -> None:
        recipe = Recipe()
        self.model = load_trainable(weights, None, recipe, torch.device("cpu"))
        self.optimizer = build_optimizer(grouped(self.model), recipe.optimizer, 1e-3, 0.98, 0.0, 0)

    def resume(self, path: Path, run: str = "run") -> Progress:
        with closing(Checkpoints(path, run, CPU)) as checkpoints:
            return checkpoints.resume(self.model, self.optimizer)

    def save(self, path: Path) -> None:
        with closing(Checkpoints(path, "run", CPU)) as checkpoints:
            checkpoints.save(self.model, self.optimizer, Progress(step=3))

    def trained(self) -> dict[str, torch.Tensor]:
        return {name: value.detach().clone() for name, value in self.model.named_parameters() if value.requires_grad}


@pytest.fixture
def run(tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    return Run(tiny_weights)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04" + b"0" * 500])
def test_a_damaged_checkpoint_is_one_sentence(run: Run, content: bytes) -> None:
    run.save(OWN)
    [file] = OWN.glob("*.safetensors")
    file.write_bytes(content)
    with pytest.raises(LamarckError, match="is damaged"):
        run.resume(OWN)


def test_a_forged_checkpoint_does_not_become_the_child(run: Run) -> None:
    """Neither without a seal, nor with that of another state or another place; sealed for its own it would."""
    run.save(OWN)
    own = read_chain(OWN)
    assert own
    said = {name: value for name, value in own.notes.items() if name != "seal"}
    ones = {name: torch.ones_like(value) if "trained" in name else value for name, value in own.tensors.items()}
    before = run.trained()
    of_another_state = sealed_notes(FORGED, own.digest, said)
    other_progress = {**own.notes, "progress": {**own.notes["progress"], "spent": 1e9}}
    for notes in (said, said | {"seal": "0" * 64}, own.notes, of_another_state, other_progress):
        with Chain(FORGED) as chain:
            chain.write(3, ones, lambda digest, notes=notes: notes)  # type: ignore[misc]
        with pytest.raises(LamarckError, match="was not made by this checkout"):
            run.resume(FORGED)
        shutil.rmtree(FORGED)
    shutil.copytree(OWN, FORGED)
    with pytest.raises(LamarckError, match="was not made by this checkout"):
        run.resume(FORGED)
    shutil.rmtree(FORGED)
    assert all(torch.equal(value, before[name]) for name, value in run.trained().items())
    with Chain(FORGED) as chain:
        chain.write(3, ones, lambda digest: sealed_notes(FORGED, digest, said))
    assert run.resume(FORGED).step == 3
    assert all(bool((value == 1).all()) for value in run.trained().values())


def test_what_another_checkout_made_is_refused(run: Run) -> None:
    run.save(OWN)
    assert run.resume(OWN).resumed == 1
    SECRET.unlink()
    with pytest.raises(LamarckError, match="was not made by this checkout"):
        run.resume(OWN)


def test_what_another_run_left_is_deleted(run: Run) -> None:
    run.save(OWN)
    assert run.resume(OWN, "another").step == 0
    assert not list(OWN.glob("*.safetensors"))
