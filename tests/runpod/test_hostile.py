"""A pod that is the enemy's: whatever it sends, nothing here is overwritten, deleted, filled up or commanded by it."""

import sys
from pathlib import Path

import pytest
from snakemake_executor_plugin_runpod.job import JobFailed
from snakemake_executor_plugin_runpod.text import plain

from lamarck.visible import visible_text
from tests.runpod.fake import FakeRunPod
from tests.runpod.sessions import opened

# A program in the place of the pod's rsync: it does what it is told, but for what it changes before.
IMPOSTOR = """#!/bin/sh
{before}
exec {real} "$@"
"""


@pytest.fixture(autouse=True)
def here(runpod: FakeRunPod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def files(*but: str) -> dict[str, str]:
    """Everything of the user's here, and its content."""
    own = (path for path in Path().rglob("*") if path.is_file() and path.parts[0] not in (".snakemake", *but))
    return {str(path): path.read_text() for path in own}


SAYS = r"""ok\033]0;owned\007\033[2J\r10%%\r20%%\nT\303\266ne\342\200\256\n"""


def test_a_log_commands_no_terminal() -> None:
    """Escape sequences can rename a window, forge lines above, or paste into a shell; a line drawn over itself hides
    another one."""
    with opened() as it:
        command = f"printf '{SAYS}' > job.log; cp job.log job.tsv"
        it.run(command, log="job.log", extras=("job.log", "job.tsv"))
        with pytest.raises(JobFailed) as raised:
            it.run(r"printf 'why\033[2J\n'; exit 7")
    assert Path("job.log").read_text() == "ok\ufffd]0;owned\ufffd\ufffd[2J\n10%\n20%\nTöne\ufffd\n"
    assert Path("job.tsv").read_text() == Path("job.log").read_text()
    assert "why\ufffd[2J" in str(raised.value) and "\033" not in str(raised.value)


def test_what_a_pod_says_passes_the_filter_of_everything_else() -> None:
    """Two packages, one filter: they agree on every character, but that a carriage return ends a line of a log."""
    for number in range(sys.maxunicode + 1):
        if (character := chr(number)) != "\r":
            assert plain(character) == visible_text(character), hex(number)


def test_a_checkpoint_is_never_deleted_on_a_pods_word() -> None:
    """Neither while the job runs nor when it fails; when it is done it is moved aside."""
    Path("checkpoint").mkdir()
    Path("checkpoint/step").write_text("500")
    with opened() as it:
        with pytest.raises(JobFailed):
            it.run("rm -r checkpoint; sleep 1; exit 1", resume=("checkpoint",))
        assert Path("checkpoint/step").read_text() == "500"
        with pytest.raises(JobFailed, match="has not made result"):
            it.run("rm -r checkpoint", resume=("checkpoint",), outputs=("result",))
        assert Path("checkpoint/step").read_text() == "500", "a job that made nothing was believed"
        it.run("rm -rf checkpoint; echo 1 > result", resume=("checkpoint",), outputs=("result",))
    assert not Path("checkpoint").exists()
    assert Path(".snakemake/runpod/done/checkpoint/step").read_text() == "500"


@pytest.mark.parametrize("made", ["ln -s /etc/passwd out/link", "printf x > $'out/\\e[2J'", "printf x > $'out/a\\nb'"])
def test_what_comes_back_is_plain_files_of_plain_names(made: str) -> None:
    Path("mine").write_text("mine")
    with opened() as it, pytest.raises(JobFailed, match="run again"):
        it.run(f"mkdir out; echo 1 > out/a; echo 2 > mine; {made}", outputs=("out",))
    assert files() == {"mine": "mine", "ledger.jsonl": Path("ledger.jsonl").read_text()}


def test_nothing_comes_back_that_no_rule_has_named() -> None:
    Path("mine").write_text("mine")
    with opened() as it:
        it.run("mkdir out; echo 1 > out/a; echo 2 > mine; echo 3 > beside", outputs=("out/a",))
    assert Path("mine").read_text() == "mine"
    assert set(files()) == {"mine", "out/a", "ledger.jsonl"}


def test_more_than_was_to_be_expected_is_not_taken(runpod: FakeRunPod) -> None:
    """A pod that would fill this machine's disk: no more comes back than the pod's own disk can hold."""
    with opened() as it:
        with pytest.raises(JobFailed, match=r"larger than 1\.0 GB|more than 1\.0 GB"):
            it.run("mkdir out; truncate -s 3G out/large", outputs=("out",))
        assert sum(path.stat().st_size for path in Path(".snakemake").rglob("*") if path.is_file()) < 1.1e9
    assert not Path("out").exists()
    assert not runpod.running()


def test_what_is_not_an_exit_code() -> None:
    with opened() as it, pytest.raises(JobFailed, match="where an exit code belongs"):
        it.run("echo 'rm -rf /' > $(echo /tmp/jobs/job-*/)exit; sleep 5")


def test_an_impostor_in_rsyncs_place(runpod: FakeRunPod) -> None:
    """It sends a directory of its own, in which the names lead elsewhere."""
    Path("mine").write_text("mine")
    with opened() as it:
        it.run("true")
        (pod,) = runpod.running()
        workspace = pod.container.directory / "workspace"
        impostor = workspace / "bin/rsync"
        impostor.parent.mkdir()
        impostor.write_text(IMPOSTOR.format(before="cd /workspace/elsewhere", real="/usr/bin/rsync"))
        impostor.chmod(0o755)
        (workspace / "elsewhere").mkdir()
        (workspace / "elsewhere/mine").write_text("theirs")
        with pytest.raises(JobFailed):
            it.run(
                "echo 1 > result; cat > ~/.bashrc <<< 'PATH=/workspace/bin:$PATH'; mkdir -p evil; echo x > evil/result",
                outputs=("result", "../mine"),
            )
    assert Path("mine").read_text() == "mine"
