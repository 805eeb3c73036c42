"""A merge that is killed, runs out of disk, or finds other models than were planned; and the memory that it takes."""

import multiprocessing
import os
import resource
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from lamarck import merge
from lamarck.errors import LamarckError
from lamarck.files import file_digests
from tests.merge.models import make_model

DOCUMENT = {
    "merge_method": "della",
    "base_model": "base",
    "parameters": {"density": 0.5, "epsilon": 0.2},
    "models": [{"model": name, "parameters": {"weight": 0.5}} for name in "ab"],
}
SHARD = 800  # bytes: a model of these tests fills a dozen files


@dataclass(frozen=True)
class Ended:
    code: int | None
    said: str


def start(file: Path, out: Path, models: Path, kill_after: int = 0, most_bytes: int = 0, shard: int = SHARD) -> Ended:
    """Merge in a process of its own, which is killed after so many tensors, or may write no larger file."""
    said = file.with_name("said")
    process = multiprocessing.get_context("fork").Process(
        target=merge_until, args=(file, out, models, kill_after, most_bytes, shard, said)
    )
    process.start()
    process.join()
    return Ended(process.exitcode, said.read_text())


def merge_until(file: Path, out: Path, models: Path, kill_after: int, most_bytes: int, shard: int, said: Path) -> None:
    made = 0

    def advance(tensors: int) -> None:
        nonlocal made
        made += tensors
        if made == kill_after:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.stderr = said.open("w")
    os.dup2(sys.stderr.fileno(), 2)
    if most_bytes:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    try:
        merge.run(file, out, models=models, shard_bytes=shard, advance=advance)
    except LamarckError as error:
        sys.exit(f"error: {error}")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "merge.yaml"
    path.write_text(yaml.safe_dump(DOCUMENT))
    return path


def test_after_sigkill_the_same_command_goes_on_and_ends_in_the_same_bytes(file: Path, models: Path) -> None:
    out, whole = file.with_name("out"), file.with_name("whole")
    assert start(file, out, models, kill_after=17).code == -signal.SIGKILL
    assert not out.exists()
    finished = {path.name: path.stat().st_ino for path in file.parent.glob(".out.merging/*/model-*.safetensors")}
    assert len(finished) > 2
    made: list[int] = []
    merge.run(file, out, models=models, shard_bytes=SHARD, advance=made.append)
    assert {name: (out / name).stat().st_ino for name in finished} == finished  # not written again
    merge.run(file, whole, models=models, shard_bytes=SHARD)
    assert file_digests(out) == file_digests(whole)
    assert not list(file.parent.glob(".*merging"))


def test_a_chain_of_merges_goes_on_after_a_kill_in_its_last(models: Path, tmp_path: Path) -> None:
    # The first document's weights are deleted by then: the second alone reads them.
    chain = [DOCUMENT | {"name": f"d{i}", "base_model": "base" if i == 0 else f"d{i - 1}"} for i in range(3)]
    file, out, whole = tmp_path / "merge.yaml", tmp_path / "out", tmp_path / "whole"
    file.write_text(yaml.safe_dump_all(chain))
    assert start(file, out, models, kill_after=39 * 2 + 17).code == -signal.SIGKILL
    left = {path.parent.name for path in tmp_path.glob(".out.merging/*/*.safetensors")}
    assert left == {"d1", "d2"}
    merge.run(file, out, models=models, shard_bytes=SHARD)
    merge.run(file, whole, models=models, shard_bytes=SHARD)
    assert file_digests(out) == file_digests(whole)


def test_an_unfinished_merge_of_something_else_is_not_gone_on_with(file: Path, models: Path) -> None:
    out, whole = file.with_name("out"), file.with_name("whole")
    start(file, out, models, kill_after=17)
    file.write_text(yaml.safe_dump(DOCUMENT | {"parameters": {"density": 0.6, "epsilon": 0.2}}))
    merge.run(file, out, models=models, shard_bytes=SHARD)
    merge.run(file, whole, models=models, shard_bytes=SHARD)
    assert file_digests(out) == file_digests(whole)


def test_a_disk_that_is_full_at_nine_tenths_is_a_sentence_and_what_is_finished_stays(file: Path, models: Path) -> None:
    out = file.with_name("out")
    size = (models / "a" / "model.safetensors").stat().st_size
    ended = start(file, out, models, most_bytes=size * 9 // 10, shard=10**9)
    assert ended.code == 1
    assert ended.said.count("\n") == 1 and "make room and run the same command again" in ended.said
    assert not out.exists() and not list(file.parent.rglob("*.partial"))
    merge.run(file, out, models=models)
    assert (out / "model.safetensors").stat().st_size >= size * 9 // 10


def test_a_parent_that_changed_since_the_plan_is_refused(file: Path, tmp_path: Path) -> None:
    for seed, name in enumerate(("base", "a", "b")):
        make_model(tmp_path / "models" / name, seed)
    plan = merge.plan(file, tmp_path / "models", pin=True)
    make_model(tmp_path / "models" / "b", 99)
    with pytest.raises(LamarckError, match=r"b changed since the plan \(model.safetensors\)"):
        merge.run(file, tmp_path / "out", models=tmp_path / "models", planned=plan)
    file.write_text(yaml.safe_dump(DOCUMENT | {"dtype": "bfloat16"}))
    with pytest.raises(LamarckError, match="is not what was planned"):
        merge.run(file, tmp_path / "out", models=tmp_path / "models", planned=plan)


def test_memory_is_that_of_the_models_and_two_more_tensors(models: Path, tmp_path: Path) -> None:
    # The largest tensor has 8 MB, a whole model 80: to hold even one of them would be found out.
    words = [f"w{i}" for i in range(16)]
    for seed, name in enumerate(("base", "a", "b")):
        make_model(
            tmp_path / "models" / name, seed, words, hidden_size=512, intermediate_size=4096, num_hidden_layers=3
        )
    for method in ("ties", "della"):
        file = tmp_path / f"{method}.yaml"
        file.write_text(yaml.safe_dump(DOCUMENT | {"merge_method": method, "parameters": {"density": 0.5}}))
        peak = memory(file, tmp_path / method, tmp_path / "models", models)
        assert peak <= (3 + 2) * 8 * 2**20, method


def memory(file: Path, out: Path, models: Path, tiny: Path) -> int:
    """Bytes that a merge takes beyond what its process holds after the same merge of tiny models."""
    program = (
        "import sys, torch; from pathlib import Path; from lamarck import merge; import lamarck.merge.perform\n"
        "status = Path('/proc/self/status')\n"
        "def peak(): return 1024 * int(status.read_text().split('VmHWM:')[1].split()[0])\n"
        "file, out, models, tiny = map(Path, sys.argv[1:])\n"
        "merge.run(file, out.with_name(out.name + '-tiny'), models=tiny); before = peak()\n"
        "merge.run(file, out, models=models); print(peak() - before)"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", program, str(file), str(out), str(models), str(tiny)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return int(done.stdout.split()[-1])
