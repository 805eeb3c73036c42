"""What a real account would meet: each case is played by the fake, and ends with a sentence and no pod."""

import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from snakemake_executor_plugin_runpod.api import Client
from snakemake_executor_plugin_runpod.beside import Beside
from snakemake_executor_plugin_runpod.choose import Need
from snakemake_executor_plugin_runpod.errors import RunPodError
from snakemake_executor_plugin_runpod.job import JobFailed
from snakemake_executor_plugin_runpod.ledger import Ledger
from snakemake_executor_plugin_runpod.purse import Purse
from snakemake_executor_plugin_runpod.ssh import Remote

from tests.runpod.fake import FakeRunPod, Fault
from tests.runpod.project import wait_until
from tests.runpod.sessions import opened, task

RTX, A100, H100, B200 = (
    *("NVIDIA GeForce RTX 4090", "NVIDIA A100 80GB PCIe"),
    *("NVIDIA H100 80GB HBM3", "NVIDIA B200"),
)


@pytest.fixture(autouse=True)
def here(runpod: FakeRunPod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def kinds(runpod: FakeRunPod) -> list[str]:
    return [pod.body["gpu"]["id"] for pod in runpod.all_pods]


def test_the_request_names_driver_place_and_volume(runpod: FakeRunPod) -> None:
    with opened(min_cuda="13.0", data_centers="EU-RO-1, US-TX-3", volume="vol") as it:
        it.run("true")
    body = runpod.all_pods[0].body
    assert body["gpu"] == {"id": RTX, "count": 1, "minCudaVersion": "13.0"}
    assert body["dataCenterIds"] == ["EU-RO-1", "US-TX-3"]
    assert body["mounts"] == {"network": [{"volumeId": "vol", "path": "/runpod-volume"}]}
    assert not runpod.running()


@pytest.mark.parametrize(
    ("shows", "sentence"),
    [
        ((RTX, 24564, 2), "it has 2 GPUs, not the 1 that were rented"),
        (("NVIDIA RTX A4000", 24564, 1), f"it has a NVIDIA RTX A4000, not the {RTX} that was rented"),
        ((RTX, 12282, 1), f"its {RTX} has 13 GB, not the 24 that were rented"),
        ((RTX, 24564, 0), "nvidia-smi shows no GPU on it"),
    ],
)
def test_a_machine_that_is_not_what_was_rented_is_given_back(
    runpod: FakeRunPod, shows: tuple[str, int, int], sentence: str
) -> None:
    """Before anything is sent to it, and the next kind is tried."""
    runpod.shows[RTX] = shows
    Path("sent").write_text("x")
    with opened() as it:
        it.run("true", inputs=("sent",))
        assert any(sentence in line for line in it.said), it.said
    assert kinds(runpod) == [RTX, A100]
    assert not list((runpod.all_pods[0].container.directory / "workspace").rglob("sent"))
    assert not runpod.running()


def test_too_old_a_driver_and_too_small_a_disk(runpod: FakeRunPod) -> None:
    """The API is believed no further than the machine itself."""
    with opened(gpus=RTX, disk=2000) as it, pytest.raises(RunPodError, match=r"its disk has .* not the 2000 that"):
        it.run("true")
    rented = len(runpod.all_pods)
    runpod.cuda = "12.8"
    with opened(gpus=RTX, min_cuda="13.0") as it, pytest.raises(RunPodError, match="no GPU was free"):
        it.run("true")
    assert len(runpod.all_pods) == rented, "a machine with an old driver was rented"
    assert not runpod.running()


def test_a_preflight_that_fails_ends_the_pod_with_its_last_line(runpod: FakeRunPod) -> None:
    with opened(preflight='echo much; echo "torch sees 0 of $RUNPOD_GPUS x $RUNPOD_GPU"; exit 1') as it:
        with pytest.raises(RunPodError, match=f"--runpod-preflight failed on pod .*: torch sees 0 of 1 x {RTX}"):
            it.run("echo never > made", outputs=("made",))
        assert not runpod.running()
    assert len(runpod.all_pods) == 1


def test_refused_by_all_is_said_at_once(runpod: FakeRunPod) -> None:
    runpod.faults.append(Fault("POST", "/v2/pods", 403, times=9))
    started = time.monotonic()
    with opened(wait_minutes=60.0) as it, pytest.raises(RunPodError, match="RunPod refuses every pod that would do"):
        it.run("true")
    assert time.monotonic() - started < 30
    assert not runpod.all_pods


def test_no_public_address(runpod: FakeRunPod) -> None:
    runpod.private = True
    with opened(gpus=RTX, start_minutes=0.02) as it, pytest.raises(RunPodError, match="has no public address for ssh"):
        it.run("true")
    assert not runpod.running()


def test_a_list_with_odd_pods_hides_none_of_ours(runpod: FakeRunPod) -> None:
    runpod.odd_pods += [{"id": "odd", "name": "x", "cost": "free"}, None]
    with opened() as it:
        it.run("true")
    assert not runpod.running()


def test_a_pod_that_lingers_is_told_again_until_it_is_gone(runpod: FakeRunPod) -> None:
    with opened() as it:
        it.run("true")
        runpod.lingers = 1.0
    assert not runpod.running(), "the run ended before its pod"
    deletions = [each for each in runpod.exchanges if each.method == "DELETE"]
    assert len(deletions) > 1


def test_known_pods_are_ended_also_where_no_list_can_be_had(
    runpod: FakeRunPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened() as it:
        it.run("true")
        monkeypatch.setattr("snakemake_executor_plugin_runpod.api.PATIENCE_SECONDS", 0.0)
        runpod.faults.append(Fault("GET", "/v2/pods", 500, times=1))
        with pytest.raises(RunPodError, match="Whether every pod has ended is not known"):
            it.session.pods.close()
        assert not runpod.running(), "it asked for a list before it ended what it knew"


def test_one_pod_a_shape_and_none_idles(runpod: FakeRunPod) -> None:
    with opened(max_dollars=20.0) as it:
        large = replace(it.need, memory=0, ids=(B200,), count=2)
        it.run("true")
        it.session.runner.run(task("true", large))
        assert [pod.body["gpu"] for pod in runpod.running()] == [{"id": B200, "count": 2}], "the other one idles"
        it.session.runner.run(task("true", large))
    assert kinds(runpod) == [RTX, B200]
    assert not runpod.running()


def test_lineages_have_pods_of_their_own_as_many_as_may_be_and_each_its_ceiling(runpod: FakeRunPod) -> None:
    """Three lineages of a campaign on two pods at once; what one spends leaves the other's ceiling alone."""
    with opened(max_dollars=20.0, pods=2) as it:
        lineages = [replace(it.need, apart=name) for name in ("a", "b", "c")]
        for each in lineages:
            it.session.pods.work_for(each, f"plan of {each.apart}", 4.0)
        together = []

        def work(shape: Need) -> None:
            it.session.runner.run(task("sleep 2", shape))
            together.append(len(runpod.running()))

        threads = [threading.Thread(target=work, args=(each,)) for each in [*lineages, lineages[0]]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(together) == 4, "every job was done"
    assert max(together) == 2
    assert not runpod.running()
    rows = [json.loads(line) for line in Path("ledger.jsonl").read_text().splitlines()]
    charged = {
        row["pod"]: {each["account"] for each in rows if each.get("pod") == row["pod"] and "account" in each}
        for row in rows
        if row["event"] == "rented"
    }
    assert sorted(charged.values(), key=str) and all(len(accounts) == 1 for accounts in charged.values())


def test_a_pod_that_is_wanted_again_while_another_is_ended_is_kept(
    runpod: FakeRunPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault: a job that needs a third pod ends two that idle, one of them under a job that has come back to it."""
    ending, go_on, delete = threading.Event(), threading.Event(), Client.delete

    def delete_slowly(client: Client, pod: str) -> None:
        ending.set()
        go_on.wait(60)
        delete(client, pod)

    with opened(max_dollars=20.0, pods=3) as it:
        first, second, third = (replace(it.need, apart=name) for name in "abc")
        both_up = [threading.Thread(target=it.session.pods.of(each).get) for each in (first, second)]
        for thread in both_up:
            thread.start()
        for thread in both_up:
            thread.join()
        monkeypatch.setattr(Client, "delete", delete_slowly)
        jobs = [threading.Thread(target=it.session.runner.run, args=(task("true", each),)) for each in (third, second)]
        jobs[0].start()
        assert ending.wait(60)
        jobs[1].start()
        wait_until(lambda: not it.session.pods.is_idle(second))
        go_on.set()
        for thread in jobs:
            thread.join()
    assert len(runpod.all_pods) == 3, "it was ended, and another one rented"
    assert not runpod.running()


def test_a_lineages_pod_waits_for_its_next_job_and_not_for_ever(
    runpod: FakeRunPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault: between two jobs of one lineage another's job ended its pod, and a third pod was rented."""
    with opened(max_dollars=20.0, pods=2) as it:
        first, second, third = (replace(it.need, apart=name) for name in "abc")
        for each in (first, second, first, second):
            it.session.runner.run(task("true", each))
        assert len(runpod.all_pods) == len(runpod.running()) == 2
        it.session.runner.run(task("true", third))
        assert len(runpod.all_pods) == 3 and len(runpod.running()) == 2, "more than may be at once"
        it.session.pods.keep()
        assert len(runpod.running()) == 2
        monkeypatch.setattr("snakemake_executor_plugin_runpod.fleet.IDLE_SECONDS", 0.0)
        it.session.pods.keep()
        assert not runpod.running()


def test_an_account_lasts_as_long_as_the_pods_that_work_for_it_allow(tmp_path: Path) -> None:
    """The wrong implementation: every pod that runs is counted against every account."""
    purse = Purse(Ledger(tmp_path / "ledger.jsonl"), 100.0)
    shapes = [Need(24, 1, "SECURE", (), None, apart) for apart in "ab"]
    now = time.time()
    for number, shape in enumerate(shapes):
        purse.work_for(shape, f"plan {number}", 4.0)
        purse.rented(f"pod{number}", f"pod{number}", shape, 2.0, now, now + 1e6)
    assert purse.until(shapes[0]) - now == pytest.approx(7200, abs=60)
    purse.work_for(shapes[1], "plan 0", 4.0)
    assert purse.until(shapes[0]) - now == pytest.approx(3600, abs=60)


def test_a_shape_that_costs_more_than_an_hour_may_is_refused_before_it_is_rented(runpod: FakeRunPod) -> None:
    with opened(max_dollars=50.0, max_dollars_per_hour=4.0) as it:
        large = replace(it.need, memory=0, ids=(B200,), count=4)
        with pytest.raises(
            RunPodError, match=r"ceiling of \$4.00 is below one hour of the cheapest pod among NVIDIA B200"
        ):
            it.session.runner.run(task("true", large))
    assert not runpod.all_pods


def test_a_ceiling_is_spent_by_all_runs_together(runpod: FakeRunPod) -> None:
    """A run again does not have it anew; another plan has its own."""
    with opened() as it:
        it.session.pods.work_for(it.need, "plan", 4.0)
        it.run("true")
    rows = [json.loads(line) for line in Path("ledger.jsonl").read_text().splitlines()]
    assert [row["event"] for row in rows] == ["renting", "rented", "charged", "ended"]
    spent = {
        "event": "rented",
        "pod": "earlier",
        "name": "n",
        "price": 3.95,
        "created": time.time() - 7200,
        "deadline": 0,
    }
    earlier = [spent | {"deadline": time.time() - 3600}, {"event": "charged", "pod": "earlier", "account": "plan"}]
    with Path("ledger.jsonl").open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in earlier)
    with opened() as it:
        it.session.pods.work_for(it.need, "plan", 4.0)
        with pytest.raises(RunPodError, match=r"\$3.95 of the ceiling of \$4.00 are spent, too little is left"):
            it.run("true")
        other = replace(it.need, ids=(A100,))
        it.session.pods.work_for(other, "another plan", 4.0)
        it.session.runner.run(task("true", other))
    assert kinds(runpod) == [RTX, A100]
    assert not runpod.running()


def test_the_bill_is_believed_where_it_is_more(runpod: FakeRunPod) -> None:
    ago = time.time() - 10 * 3600
    rows = [
        {"event": "rented", "pod": "a", "name": "n", "price": 1.0, "created": ago, "deadline": ago + 3600},
        {"event": "charged", "pod": "a", "account": "plan"},
        {"event": "ended", "pod": "a", "when": ago + 3600},
        {"event": "rented", "pod": "unseen", "name": "n", "price": 1.0, "created": ago, "deadline": ago + 3600},
        {"event": "charged", "pod": "unseen", "account": "plan"},
    ]
    Path("ledger.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    runpod.billed |= {"a": 1.5}
    with opened() as it:
        it.session.pods.work_for(it.need, "plan", 2.6)
        with pytest.raises(RunPodError, match=r"\$2.50 of the ceiling of \$2.60 are spent"):
            it.run("true")
        assert "pod a was billed $1.50, not $1.00: counted" in it.said
        assert "pod unseen ended unseen: counted as $1.00" in it.said
    assert not runpod.running()


def test_a_pod_that_nobody_lived_to_count_is_counted(runpod: FakeRunPod) -> None:
    """Its controller died between the request and the answer."""
    with opened() as it:
        it.session.pods.work_for(it.need, "plan", 4.0)
        it.run("true")
        lines = Path("ledger.jsonl").read_text().splitlines()
        row = json.loads(lines[0])
        assert (row["event"], row["accounts"]) == ("renting", ["plan"])
        # As if it had died, two hours ago: the pod is still there, and no line tells of it.
        Path("later.jsonl").write_text(json.dumps(row | {"created": row["created"] - 7200, "price": 1.9}) + "\n")
        kept = runpod.pods.copy()
    runpod.pods |= kept
    with opened(ledger="later.jsonl") as it:
        assert any("which an earlier run of this directory had left" in line for line in it.said)
        it.session.pods.work_for(it.need, "plan", 3.85)
        with pytest.raises(RunPodError, match=r"\$3.8\d of the ceiling of \$3.85 are spent"):
            it.run("true")


def test_a_damaged_ledger_is_not_taken_for_an_empty_one(runpod: FakeRunPod) -> None:
    Path("ledger.jsonl").write_text('{"event": "rented"}\n')
    with pytest.raises(RunPodError, match=r"line 1 of ledger.jsonl cannot be read"), opened():
        pass
    Path("ledger.jsonl").write_text('{"event": "half a li')
    with opened() as it:
        it.run("true")
    assert len(runpod.all_pods) == 1


def test_the_ceiling_holds_while_files_move(runpod: FakeRunPod) -> None:
    """An input that takes longer to send than there is money for."""
    with opened() as it:
        it.run("mkdir -p /tmp/slow; mv $(command -v rsync) /tmp/slow/ 2>/dev/null; true")
        pods = it.session.pods.of(it.need)
        pod = pods.get()
        pod.deadline = time.time() + 2
        Path("large").write_bytes(b"x")
        pod.remote.shell[:] = ["sh", "-c", "sleep 600", "sh"]
        started = time.monotonic()
        with pytest.raises(RunPodError, match="the pod's time is over"):
            it.run("true", inputs=("large",))
        assert time.monotonic() - started < 300
    assert not runpod.running()


COUNTS = """
mkdir checkpoint
until [ -e enough ]; do
  sleep 0.1
  step=$((step + 1))
  echo $step > checkpoint/step.new && mv checkpoint/step.new checkpoint/step
  echo "step $step" >> job.log
done
echo $step > result
"""


def test_a_checkpoint_on_its_way_holds_back_neither_job_nor_log(
    runpod: FakeRunPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of a large model is minutes on the line. The wrong implementation: it is fetched between two looks."""
    fetching, go_on, fetch = threading.Event(), threading.Event(), Remote.fetch

    def fetch_slowly(*arguments: Any) -> None:
        fetching.set()
        go_on.wait(120)
        fetch(*arguments)

    monkeypatch.setattr(Remote, "fetch", fetch_slowly)
    log = Path("job.log")
    with opened() as it:
        made = {"outputs": ("result",), "resume": ("checkpoint",), "log": "job.log"}
        job = threading.Thread(target=it.run, args=(COUNTS,), kwargs=made)
        job.start()
        assert fetching.wait(120)
        before = log.stat().st_size
        wait_until(lambda: log.stat().st_size > before, seconds=60)
        go_on.set()
        (project,) = (runpod.running()[0].container.directory / "workspace").iterdir()
        (project / "enough").touch()
        job.join()
    assert f"step {Path('result').read_text()}" in log.read_text()
    assert not runpod.running()


SERVES = """
python3 -c "
import os, socket
server = socket.socket(socket.AF_UNIX)
server.bind(os.environ['RUNPOD_SOCKET'])
server.listen()
while True:
    client, _ = server.accept()
    client.sendall(b'from the pod')
    client.close()
"
"""
ASKS = """
python3 -c "
import os, socket
client = socket.socket(socket.AF_UNIX)
client.connect(os.environ['RUNPOD_SOCKET'])
open('made', 'w').write(client.recv(100).decode())
"
"""


def test_a_job_that_no_pod_can_run_whole_runs_here(runpod: FakeRunPod) -> None:
    """With what the pod serves; nothing of it comes back as a file."""
    both = Beside(SERVES, ASKS, "RUNPOD_SOCKET", "true")
    command = "echo whole > made"
    with opened(whole="exit 1") as it:
        it.run(command, outputs=("made",), beside=both)
        assert Path("made").read_text() == "from the pod"
        with pytest.raises(JobFailed, match="exit code 3 here:\nbecause"):
            it.run(command, beside=replace(both, runs="echo because; exit 3"))
        with pytest.raises(JobFailed, match="has ended:\nno GPU after all"):
            it.run(command, beside=replace(both, serves="echo no GPU after all; exit 1"))
        it.run("echo there > other", outputs=("other",))
        assert Path("other").read_text() == "there\n", "what cannot run here has to run there"
    with opened(whole="true") as it:
        it.run(command, outputs=("made",), beside=both)
        assert Path("made").read_text() == "whole\n"
    assert not runpod.running()


def test_a_job_that_can_run_neither_here_nor_there(runpod: FakeRunPod) -> None:
    """Said before anything is asked; what the pod can do is done."""
    no = "echo no namespaces >&2; exit 1"
    with opened(whole=no) as it:
        with pytest.raises(RunPodError, match=r"`bash -c .* failed: no namespaces"):
            it.run("true", beside=Beside(SERVES, ASKS, "RUNPOD_SOCKET", no))
        it.run("true")
    assert not runpod.running()
