"""A checkpoint is loaded only if this checkout made it; and one that is damaged says so."""

from pathlib import Path

import pytest
import torch

from lamarck.config import Recipe
from lamarck.errors import LamarckError
from lamarck.seal import SECRET, key_of, seal
from lamarck.train.checkpoint import SEAL_BYTES, Progress, read_checkpoint, resume, save_checkpoint
from lamarck.train.model import load_trainable
from lamarck.train.team import alone

CPU = alone(torch.device("cpu"))


class Run:
    """A run that is about to train the tiny founder."""

    def __init__(self, weights: Path) -> None:
        self.model = load_trainable(weights, None, Recipe(), torch.device("cpu"))
        self.optimizer = torch.optim.AdamW([value for value in self.model.parameters() if value.requires_grad])

    def resume(self, path: Path) -> Progress:
        return resume(path, "run", self.model, self.optimizer, CPU)

    def save(self, path: Path) -> None:
        save_checkpoint(path, "run", self.model, self.optimizer, Progress(step=3), CPU)

    def trained(self) -> dict[str, torch.Tensor]:
        return {name: value.detach().clone() for name, value in self.model.named_parameters() if value.requires_grad}


@pytest.fixture
def run(tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    return Run(tiny_weights)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04" + b"0" * 500])
def test_a_damaged_checkpoint_is_one_sentence(run: Run, content: bytes) -> None:
    Path("state.pt").write_bytes(content)
    with pytest.raises(LamarckError, match="is damaged"):
        run.resume(Path("state.pt"))


def test_a_forged_checkpoint_does_not_become_the_child(run: Run, tmp_path: Path) -> None:
    own, forged = tmp_path / "own/state.pt", tmp_path / "checkpoint/state.pt"
    forged.parent.mkdir()
    run.save(own)
    state = read_checkpoint(own)
    state["trained"] = {name: torch.ones_like(value) for name, value in state["trained"].items()}
    torch.save(state, forged)
    content = forged.read_bytes()
    # Without the seal nothing would be wrong with it.
    assert torch.load(forged, weights_only=True)["run"] == "run"
    before = run.trained()
    elsewhere = seal(b"the key of another checkout", content).encode()
    for seals in (b"", b"0" * SEAL_BYTES, elsewhere, own.read_bytes()[:SEAL_BYTES]):
        forged.write_bytes(seals + content)
        with pytest.raises(LamarckError, match="was not made by this checkout"):
            run.resume(forged)
    assert all(torch.equal(value, before[name]) for name, value in run.trained().items())
    forged.write_bytes(seal(key_of(forged.parent), content).encode() + content)
    assert run.resume(forged).step == 3
    assert all(bool((value == 1).all()) for value in run.trained().values())


def test_what_another_checkout_made_is_refused(run: Run) -> None:
    run.save(Path("state.pt"))
    assert run.resume(Path("state.pt")).resumed == 1
    SECRET.unlink()
    with pytest.raises(LamarckError, match="was not made by this checkout"):
        run.resume(Path("state.pt"))
