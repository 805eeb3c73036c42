"""Checkpoints as a chain: killed at any moment it can be read; with a hole, or a link of another chain, it says so."""

import multiprocessing
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lamarck.errors import LamarckError
from lamarck.models.delta import state_digest
from lamarck.train.chain import Chain, Checkpoint, read_chain
from lamarck.train.second_place import copy_to_second_place

FORK = multiprocessing.get_context("fork")
State = dict[str, torch.Tensor]


def state_of(step: int, size: int = 100) -> State:
    """Weights in 16 bits of which some move a little every step, and ten float32 numbers that all move."""
    weight = torch.randn(size, size, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16).view(torch.int16)
    for past in range(step):
        chosen = torch.rand(size, size, generator=torch.Generator().manual_seed(past)) < 0.02
        weight = weight + chosen.to(torch.int16)
    return {"weight": weight.view(torch.bfloat16), "moments": torch.full((10,), float(step))}


def write(directory: Path, steps: range) -> None:
    with Chain(directory) as chain:
        for step in steps:
            chain.write(step, state_of(step), lambda digest, step=step: {"tokens": 10 * step})


def is_step(found: Checkpoint | None, step: int) -> bool:
    assert found is not None
    assert found.step == step and found.notes == {"tokens": 10 * step}
    return state_digest(found.tensors) == found.digest == state_digest(state_of(step))


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.glob("*.safetensors"))


def test_a_chain_is_a_full_state_and_what_changed(tmp_path: Path) -> None:
    assert read_chain(tmp_path / "chain") is None
    write(tmp_path / "chain", range(1, 5))
    full, *deltas = sorted((tmp_path / "chain").glob("*.safetensors"))
    assert full.name == "0000000001.full.safetensors"
    assert [path.name for path in deltas] == [f"000000000{step}.delta.safetensors" for step in (2, 3, 4)]
    assert max(path.stat().st_size for path in deltas) < full.stat().st_size / 10
    assert is_step(read_chain(tmp_path / "chain"), 4)


def test_a_run_goes_on_where_it_was(tmp_path: Path) -> None:
    write(tmp_path, range(1, 3))
    with Chain(tmp_path) as chain:
        assert is_step(chain.latest, 2)
        assert chain.write(3, state_of(3), lambda digest: {"tokens": 30}).kind == "delta"
        with pytest.raises(LamarckError, match="already holds a state of step 3 or later"):
            chain.write(3, state_of(3), lambda digest: {})
    assert is_step(read_chain(tmp_path), 3)


def test_training_goes_on_in_the_tensors_that_were_written(tmp_path: Path) -> None:
    """They change in place: what was written must not change with them."""
    live = {"w": torch.zeros(100, dtype=torch.bfloat16)}
    with Chain(tmp_path) as chain:
        for step in range(1, 4):
            live["w"][step] = step
            chain.write(step, live, lambda digest: {})
    found = read_chain(tmp_path)
    assert found is not None and found.tensors["w"][:5].tolist() == [0, 1, 2, 3, 0]


def test_dense_changes_are_a_full_write_and_the_chain_before_goes(tmp_path: Path) -> None:
    write(tmp_path, range(1, 4))
    with Chain(tmp_path) as chain:
        other = {name: tensor + 1 for name, tensor in state_of(4).items()}
        assert chain.write(4, other, lambda digest: {}).kind == "full"
        assert names(tmp_path) == ["0000000004.full.safetensors"]
        assert chain.write(5, other, lambda digest: {}).kind == "delta"
    found = read_chain(tmp_path)
    assert found is not None and state_digest(found.tensors) == state_digest(other)


def test_a_chain_never_grows_beyond_twice_its_model(tmp_path: Path) -> None:
    size = sum(tensor.numel() * tensor.element_size() for tensor in state_of(1).values())
    kinds = []
    with Chain(tmp_path) as chain:
        for step in range(1, 41):
            kinds.append(chain.write(step, state_of(step), lambda digest: {}).kind)
            assert sum(path.stat().st_size for path in tmp_path.glob("*.safetensors")) < 2.2 * size
    assert kinds.count("full") == 2


def killed_at(directory: Path, moment: int) -> bool:
    """Write three more states, one of them full, and be killed at the `moment`-th thing that touches a file.

    Whether it was killed: False when it got to its end first."""

    def work() -> None:
        left = moment
        watched = ("open", "os.rename", "os.remove", "fcntl.flock")

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            if event in watched:
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        with Chain(directory) as chain:
            chain.write(3, state_of(3), lambda digest: {"tokens": 30})
            chain.write(4, {name: -tensor for name, tensor in state_of(4).items()}, lambda digest: {"tokens": 40})
            chain.write(5, state_of(5), lambda digest: {"tokens": 50})
        os._exit(0)

    process = FORK.Process(target=work)
    process.start()
    process.join()
    return process.exitcode == -signal.SIGKILL


def test_killed_at_any_moment_it_leaves_a_chain_that_can_be_read(tmp_path: Path) -> None:
    write(tmp_path / "before", range(1, 3))
    seen = []
    moment = 0
    while True:
        directory = tmp_path / str(moment)
        shutil.copytree(tmp_path / "before", directory)
        killed = killed_at(directory, moment)
        found = read_chain(directory)
        assert found is not None and found.notes == {"tokens": 10 * found.step}
        expected = state_of(found.step)
        if found.step == 4:
            expected = {name: -tensor for name, tensor in expected.items()}
        assert state_digest(found.tensors) == state_digest(expected), moment
        seen.append(found.step)
        # And the next run goes on from there, with nothing left lying about.
        with Chain(directory) as chain:
            chain.write(9, state_of(9), lambda digest: {"tokens": 90})
        assert is_step(read_chain(directory), 9)
        assert {path.name for path in directory.iterdir()} == {".lock", *names(directory)}
        shutil.rmtree(directory)
        if not killed:
            break
        moment += 1
    assert seen == sorted(seen) and set(seen) == {2, 3, 4, 5} and len(seen) > 10


@pytest.mark.parametrize("pause", [0, 1, 2, 4, 8, 16])
def test_killed_while_bytes_are_on_their_way(pause: int, tmp_path: Path) -> None:
    """Large files, so that a kill after some milliseconds falls into the writing of one, or wherever it falls."""
    large = {"w": torch.zeros(4_000_000, dtype=torch.bfloat16)}
    with Chain(tmp_path) as chain:
        chain.write(1, large, lambda digest: {"value": 0})
    reader, writer = FORK.Pipe(duplex=False)

    def work() -> None:
        with Chain(tmp_path) as chain:
            writer.send("begins")
            for step in range(2, 1000):
                value = step % 128
                chain.write(
                    step, {"w": torch.full_like(large["w"], value)}, lambda digest, value=value: {"value": value}
                )

    process = FORK.Process(target=work)
    process.start()
    reader.recv()
    process.join(pause / 100)
    process.kill()
    process.join()
    found = read_chain(tmp_path)
    assert found is not None
    Chain(tmp_path).close()
    assert {path.name for path in tmp_path.iterdir()} == {".lock", *(path.name for path in found.files)}
    assert found.tensors["w"].unique().tolist() == [found.notes["value"]]


def test_half_a_file_in_its_place_would_be_seen(tmp_path: Path) -> None:
    """What a trainer that wrote in place would leave behind."""
    write(tmp_path, range(1, 4))
    last = tmp_path / "0000000003.delta.safetensors"
    last.write_bytes(last.read_bytes()[:-20])
    with pytest.raises(LamarckError, match=r"0000000003\.delta\.safetensors is damaged"):
        read_chain(tmp_path)


def refused(directory: Path, change: Callable[[Path], None], sentence: str) -> None:
    write(directory, range(1, 6))
    change(directory)
    for read in (read_chain, Chain):
        with pytest.raises(LamarckError, match=sentence):
            read(directory)


def test_a_hole_is_named(tmp_path: Path) -> None:
    refused(
        tmp_path,
        lambda chain: (chain / "0000000003.delta.safetensors").unlink(),
        r"has a hole: 0000000004\.delta\.safetensors follows 0000000003\.delta\.safetensors, which is missing; .* "
        r"to go on from step 2$",
    )
    # What the sentence advises:
    for step in (4, 5):
        (tmp_path / f"000000000{step}.delta.safetensors").unlink()
    assert is_step(read_chain(tmp_path), 2)


def test_without_its_full_state_a_chain_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, lambda chain: (chain / "0000000001.full.safetensors").unlink(), "no full state that they start")


def test_a_link_of_another_chain_is_refused(tmp_path: Path) -> None:
    with Chain(tmp_path / "other") as chain:
        for step in range(1, 5):
            moved = state_of(step)
            moved["weight"][0, 0] = 5
            chain.write(step, moved, lambda digest: {})

    def swap(chain: Path) -> None:
        name = "0000000004.delta.safetensors"
        shutil.copy(tmp_path / "other" / name, chain / name)

    refused(tmp_path / "chain", swap, r"0000000004.* is a difference to another state than that of 0000000003")


def test_a_flipped_bit_in_the_full_state_is_seen(tmp_path: Path) -> None:
    def flip(chain: Path) -> None:
        path = chain / "0000000001.full.safetensors"
        data = bytearray(path.read_bytes())
        data[-100] ^= 1
        path.write_bytes(data)

    refused(tmp_path, flip, "is damaged: what its files lead to is not what was written at step 5")


def test_a_full_disk_leaves_the_chain_as_it_was(tmp_path: Path) -> None:
    write(tmp_path, range(1, 3))
    before = {path: path.read_bytes() for path in tmp_path.glob("*.safetensors")}
    reader, writer = FORK.Pipe(duplex=False)

    def work() -> None:
        with Chain(tmp_path) as chain:
            resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))  # the next file grows to this and no further
            for state in (state_of(3), {name: -tensor for name, tensor in state_of(3).items()}):
                try:
                    chain.write(3, state, lambda digest: {})
                    writer.send("written")
                except LamarckError as error:
                    writer.send(str(error))

    process = FORK.Process(target=work)
    process.start()
    for kind in ("delta", "full"):
        assert reader.recv().startswith(f"cannot write {tmp_path}/0000000003.{kind}.safetensors: ")
    process.join()
    assert process.exitcode == 0
    assert {path: path.read_bytes() for path in tmp_path.glob("*.safetensors")} == before
    assert {path.name for path in tmp_path.iterdir()} == {".lock", *names(tmp_path)}
    write(tmp_path, range(3, 4))
    assert is_step(read_chain(tmp_path), 3)


def test_a_copy_that_is_cut_off_leaves_the_one_before(tmp_path: Path) -> None:
    """The disk of the second place is full. Wrong: to delete what is old first, or to write in place."""
    here, there = tmp_path / "here", tmp_path / "there"
    write(here, range(1, 4))
    copy_to_second_place(here, str(there))
    with Chain(here) as chain:
        chain.write(4, {name: -tensor for name, tensor in state_of(4).items()}, lambda digest: {"tokens": 40})
    assert names(here) == ["0000000004.full.safetensors"]

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
        copy_to_second_place(here, str(there))

    process = FORK.Process(target=work)
    process.start()
    process.join()
    assert process.exitcode == 0 and is_step(read_chain(there), 3)
    copy_to_second_place(here, str(there))
    found = read_chain(there)
    assert found is not None and found.step == 4 and names(there) == names(here)


def test_two_trainers_on_one_chain_are_one_too_many(tmp_path: Path) -> None:
    with Chain(tmp_path):
        with pytest.raises(LamarckError, match="another training is writing its checkpoints"):
            Chain(tmp_path)
        assert read_chain(tmp_path) is None  # reading is free
    Chain(tmp_path).close()
