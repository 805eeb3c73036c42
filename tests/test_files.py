"""Writes are atomic: whatever happens, a reader finds the old file or the new one."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy
import pytest
from safetensors.numpy import save_file

from lamarck.errors import LamarckError
from lamarck.files import (
    atomic_directory,
    cached_digest,
    digest_directory,
    every_byte_read,
    read_jsonl,
    write_text,
    write_together,
)

FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from lamarck.errors import exit_with_sentence
from lamarck.files import write_text
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
exit_with_sentence(lambda: write_text(Path(sys.argv[1]), "new" * 1000))
"""
ENDLESS = """
import sys
from pathlib import Path
from lamarck.files import write_text
while True:
    write_text(Path(sys.argv[1]), "a" * 300_000)
    write_text(Path(sys.argv[1]), "b" * 300_000)
"""


def test_a_full_disk_leaves_the_old_file_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "old")
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"error: cannot write {path}" in done.stderr
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["file"]


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process grows beyond a thousand bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_library_that_writes_for_us_says_the_same(tmp_path: Path) -> None:
    """safetensors has an exception of its own for what the system says."""
    path = tmp_path / "adapter"
    path.mkdir()
    refused = pytest.raises(LamarckError, match=r"^cannot write .*adapter: File too large$")
    with full_disk(), refused, atomic_directory(path) as directory:
        save_file({"weights": numpy.zeros(1000)}, directory / "adapter_model.safetensors")
    assert [found.name for found in tmp_path.iterdir()] == ["adapter"]


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_files_that_speak_of_each_other_change_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores and the samples behind them: on a full disk the old ones stay, all of them."""
    samples, scores = tmp_path / "samples.jsonl", tmp_path / "eval.json"
    write_together({samples: "old", scores: "old"})
    for texts in ({samples: "new", scores: "new" * 1000}, {samples: "new" * 1000, scores: "new"}):
        with full_disk(), pytest.raises(LamarckError, match="nothing was changed"):
            write_together(texts)
        assert (samples.read_text(), scores.read_text()) == ("old", "old")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", interrupted)
        write_together({samples: "new", scores: "new"})
    assert not scores.exists()  # old scores beside new samples would be taken for theirs
    write_together({samples: "new", scores: "new"})
    assert (samples.read_text(), scores.read_text()) == ("new", "new")
    assert len(list(tmp_path.iterdir())) == 2


def test_a_killed_writer_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    writer = subprocess.Popen([sys.executable, "-c", ENDLESS, str(path)])
    while not path.exists():
        time.sleep(0.01)
    time.sleep(0.2)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert path.read_text() in ("a" * 300_000, "b" * 300_000)


def test_a_directory_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    final = tmp_path / "final"
    with pytest.raises(RuntimeError), atomic_directory(final) as directory:
        (directory / "half").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with atomic_directory(final) as directory:
        (directory / "whole").write_text("x")
    assert [path.name for path in final.iterdir()] == ["whole"]


@pytest.mark.parametrize("directory", [False, True])
def test_a_restarted_container_goes_on(tmp_path: Path, directory: bool) -> None:
    """Its processes have the ids of those that were killed: what those left is swept, and in nobody's way."""
    final = tmp_path / "final"
    code = f"""
import os, signal
from pathlib import Path
from lamarck import files
made = files._in_place_of(Path({str(final)!r}), "{{}}", {directory})
made.__enter__()
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    [leftover] = tmp_path.iterdir()
    leftover.rename(tmp_path / f".final.{os.getpid()}.partial")
    if directory:
        with atomic_directory(final) as made:
            (made / "whole").write_text("x")
    else:
        write_text(final, "x")
    assert [path.name for path in tmp_path.iterdir()] == ["final"]


def test_what_another_writer_is_at_stays(tmp_path: Path) -> None:
    final = tmp_path / "final"
    with atomic_directory(final) as first:
        (first / "a").write_text("1")
        with atomic_directory(final) as second:
            (second / "b").write_text("2")
        assert (first / "a").exists()
    assert [path.name for path in final.iterdir()] == ["a"]


def test_files_have_the_mode_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_text(tmp_path / "written", "x")
    with atomic_directory(tmp_path / "directory"):
        pass
    (tmp_path / "new").mkdir()
    assert (tmp_path / "written").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert (tmp_path / "directory").stat().st_mode == (tmp_path / "new").stat().st_mode


def test_a_digest_from_memory_or_from_every_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`status` may remember; `verify` reads, so a file that looks untouched is found out."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "large"
    path.write_bytes(b"x" * (65 * 2**20))
    before = cached_digest(path)
    [memory] = (tmp_path / ".snakemake").rglob("*/digests/*")
    memory.write_text("remembered")
    assert cached_digest(path) == "remembered"
    with every_byte_read():
        assert cached_digest(path) == before


def test_a_directorys_digest_is_of_its_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    before = digest_directory(tmp_path)
    (tmp_path / ".snakemake_timestamp").touch()
    (tmp_path / "record.json").touch()
    assert digest_directory(tmp_path, skip=["record.json"]) == before
    (tmp_path / "a").write_text("2")
    assert digest_directory(tmp_path, skip=["record.json"]) != before
    with pytest.raises(LamarckError, match="does not exist"):
        digest_directory(tmp_path / "none")


def test_a_line_separator_inside_a_string_ends_no_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a\u2028b"}\n{"text": 2}\n')
    assert [row["text"] for _, row in read_jsonl(path)] == ["a\u2028b", 2]
    path.write_text('{"text": 1}\n{"text": \n')
    with pytest.raises(LamarckError, match="line 2"):
        list(read_jsonl(path))
