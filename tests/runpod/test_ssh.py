"""Files between here and a pod, without Snakemake."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from snakemake_executor_plugin_runpod.api import SshEndpoint, client_from_environment
from snakemake_executor_plugin_runpod.errors import RunPodError
from snakemake_executor_plugin_runpod.ssh import Failed, OutOfTime, Remote, TooMuch, make_keys

from tests.runpod.fake import FakeRunPod
from tests.runpod.project import wait_until


def later() -> float:
    """When the pod's time is over."""
    return time.time() + 600


@pytest.fixture
def remote(runpod: FakeRunPod) -> Iterator[Remote]:
    keys = make_keys()
    body = {"name": "a", "image": "an/image", "gpu": {"id": "NVIDIA RTX A4000"}, "args": "bash -c /start.sh"}
    pod = client_from_environment().create(body | {"env": {"PUBLIC_KEY": keys.public}})
    container = runpod.pods[pod.id].container
    wait_until(lambda: any("listening" in line for line in container.lines))
    key = (container.directory / "etc-ssh/ssh_host_ed25519_key.pub").read_text()
    assert pod.ssh.direct
    endpoint = SshEndpoint(host="127.0.0.1", port=container.port, username=pod.ssh.direct.username)
    remote = Remote(endpoint, " ".join(key.split()[:2]), keys, "/workspace/project")
    yield remote
    remote.close()
    keys.remove()


def test_files_go_and_come_back(remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("folder/with space").write_text("text")
    remote.send(["folder/with space"], print, later)
    remote.fetch(["folder", "missing"], Path("back"), print, later, 1e9)
    assert Path("back/folder/with space").read_text() == "text"
    with pytest.raises(Failed, match="exit 3"):
        remote.run("exit 3")


def test_a_link_on_the_pod_is_not_followed_here(remote: Remote, tmp_path: Path) -> None:
    remote.run("mkdir folder; echo text > there; ln -s ../there folder/link; ln -s /nowhere/at/all folder/broken")
    with pytest.raises(Failed):
        remote.fetch(["folder"], tmp_path, print, later, 1e9)
    remote.run("rm folder/broken")
    remote.fetch(["folder"], tmp_path, print, later, 1e9)
    assert (tmp_path / "folder/link").read_text() == "text\n"
    assert not (tmp_path / "folder/link").is_symlink()


def test_files_may_come_and_go_while_they_are_fetched(remote: Remote, tmp_path: Path) -> None:
    """As in a directory where a running job replaces its checkpoint."""
    body = "for name in a b c d e; do echo x > folder/$name.new; mv folder/$name.new folder/$name; done"
    remote.run(f"mkdir folder; (while true; do {body}; done) > /dev/null 2>&1 &")
    for _ in range(30):
        remote.fetch(["folder"], tmp_path, print, later, 1e9)
    assert (tmp_path / "folder/a").read_text() == "x\n"


def test_a_pod_sends_no_more_than_was_to_be_expected(remote: Remote, tmp_path: Path) -> None:
    remote.run("mkdir many && cd many && head -c 3000000 /dev/zero > large; touch $(seq 200)")
    with pytest.raises(TooMuch):
        remote.fetch(["many"], tmp_path / "a", print, later, 1e6)
    assert not (tmp_path / "a/many/large").exists()
    with pytest.raises(TooMuch, match="prints more than"):
        remote.run("cat /dev/zero")
    with pytest.raises(OutOfTime):
        remote.fetch(["many"], tmp_path / "b", print, lambda: time.time() - 1, 1e9)


def test_an_rsync_with_known_faults_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rsync").write_text("#!/bin/sh\necho 'rsync  version 3.4.1  protocol version 32'\n")
    (tmp_path / "rsync").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(RunPodError, match=r"rsync here is 3\.4\.1, and before 3\.5\.0"):
        make_keys()
