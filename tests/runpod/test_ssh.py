"""Files between here and a pod, without Snakemake."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from snakemake_executor_plugin_runpod.api import SshEndpoint, client_from_environment
from snakemake_executor_plugin_runpod.ssh import Failed, Remote, make_keys

from tests.runpod.fake import FakeRunPod
from tests.runpod.project import wait_until


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
    remote.send(["folder/with space"], print)
    remote.fetch(["folder", "missing"], Path("back"), print)
    assert Path("back/folder/with space").read_text() == "text"
    with pytest.raises(Failed, match="exit 3"):
        remote.run("exit 3")


def test_a_link_on_the_pod_is_not_followed_here(remote: Remote, tmp_path: Path) -> None:
    remote.run("mkdir folder; echo text > there; ln -s ../there folder/link; ln -s /nowhere/at/all folder/broken")
    with pytest.raises(Failed):
        remote.fetch(["folder"], tmp_path, print)
    remote.run("rm folder/broken")
    remote.fetch(["folder"], tmp_path, print)
    assert (tmp_path / "folder/link").read_text() == "text\n"
    assert not (tmp_path / "folder/link").is_symlink()


def test_files_may_come_and_go_while_they_are_fetched(remote: Remote, tmp_path: Path) -> None:
    """As in a directory where a running job replaces its checkpoint."""
    body = "for name in a b c d e; do echo x > folder/$name.new; mv folder/$name.new folder/$name; done"
    remote.run(f"mkdir folder; (while true; do {body}; done) > /dev/null 2>&1 &")
    for _ in range(30):
        remote.fetch(["folder"], tmp_path, print)
    assert (tmp_path / "folder/a").read_text() == "x\n"
