"""The client against answers that are not 200."""

import time

import pytest
from snakemake_executor_plugin_runpod.api import client_from_environment
from snakemake_executor_plugin_runpod.errors import NoCapacity, Rejected, RunPodError

from tests.runpod.fake import KINDS, FakeRunPod, Fault

BODY = {"name": "a-b-c", "image": "an/image", "gpu": {"id": next(iter(KINDS)), "count": 1}, "args": "sleep 60"}


def test_waits_as_long_as_it_is_told(runpod: FakeRunPod) -> None:
    runpod.faults += [Fault("GET", "/v2/pods", 429, retry_after=7), Fault("GET", "/v2/pods", 500, times=3)]
    waits: list[float] = []
    assert client_from_environment(waits.append).pods() == []
    assert waits[0] == 7
    runpod.faults.append(Fault("GET", "/v2/pods", 429, retry_after=86400))
    client_from_environment(waits.append).pods()
    assert waits[-1] == 60, "it sleeps while pods are paid for"
    assert waits[1] < waits[2] < waits[3] < 12


def test_gives_up_at_last(runpod: FakeRunPod, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snakemake_executor_plugin_runpod.api.PATIENCE_SECONDS", 0.0)
    runpod.faults.append(Fault("GET", "/v2/pods", 503, times=9))
    with pytest.raises(RunPodError, match="RunPod answers 503: the test wants it so"):
        client_from_environment(lambda seconds: None).pods()
    runpod.close()
    with pytest.raises(RunPodError, match="does not answer"):
        client_from_environment(lambda seconds: None).pods()


def test_a_refused_candidate_is_told_from_a_refused_account(runpod: FakeRunPod) -> None:
    client = client_from_environment(lambda seconds: None)
    runpod.free.clear()
    with pytest.raises(NoCapacity, match="no longer any instances"):
        client.create(BODY)
    runpod.exchanges.clear()
    for status, kind, sentence in (
        (400, Rejected, "the test wants it so"),
        (403, Rejected, "the test wants it so"),
        (401, RunPodError, "refuses the key"),
        (402, RunPodError, "balance is too low"),
        (422, RunPodError, "refuses POST /v2/pods with 422"),
    ):
        runpod.faults.append(Fault("POST", "/v2/pods", status))
        with pytest.raises(kind, match=sentence):
            client.create(BODY)
    assert len(runpod.exchanges) == 5, "something was asked again that cannot change"


def test_a_pod_whose_making_seemed_to_fail_is_found_by_its_name(runpod: FakeRunPod) -> None:
    runpod.faults.append(Fault("POST", "/v2/pods", 502, done=True))
    pod = client_from_environment(lambda seconds: None).create(BODY)
    assert [each.identifier for each in runpod.all_pods] == [pod.id]


def test_what_cannot_be_read_hides_nothing_else(runpod: FakeRunPod) -> None:
    """One new word in the catalogue, or somebody's odd pod, and neither rented nor ended could be anything."""
    client = client_from_environment(lambda seconds: None)
    pod = client.create(BODY)
    runpod.odd_pods += [{"id": "odd", "name": "x", "cost": "free"}, {"id": 7}, None, "pod"]
    assert [(each.id, each.status) for each in client.pods()] == [("odd", "UNKNOWN"), (pod.id, "RUNNING")]
    gpu = {"id": "NVIDIA Z", "manufacturer": "NVIDIA", "memory": 24, "secure": True, "community": False}
    gpu |= {"price": {"secure": 1, "community": 0}, "maxCount": {"secure": 1, "community": 0}}
    runpod.odd_gpus += [gpu | {"availability": "PLENTY"}, gpu | {"memory": "much"}, {"id": "half"}, 3]
    gpus = client.gpus(1, "SECURE")
    assert [each.availability for each in gpus if each.id == "NVIDIA Z"] == ["PLENTY"]
    assert len(gpus) == 1 + len(KINDS)


def test_an_answer_without_its_list_is_said(runpod: FakeRunPod) -> None:
    runpod.faults.append(Fault("GET", "/v2/pods", 200))
    with pytest.raises(RunPodError, match="holds no list 'pods'"):
        client_from_environment().pods()


def test_a_pod_is_ended_by_another_way_where_one_fails(runpod: FakeRunPod) -> None:
    client = client_from_environment(lambda seconds: None)
    pod = client.create(BODY)
    runpod.faults.append(Fault("DELETE", "/v2/pods/.*", 405))
    client.delete(pod.id)
    assert not runpod.running()


def test_the_log_is_refused_aloud_and_read_for_so_long_only(
    runpod: FakeRunPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_from_environment()
    pod = client.create(BODY | {"args": "sh -c 'while echo tick; do sleep 0.1; done'"})
    monkeypatch.setattr("snakemake_executor_plugin_runpod.api.LOG_SECONDS_IN_ALL", 1.0)
    started = time.monotonic()
    assert set(client.log_lines(pod.id)) == {"tick"}
    assert time.monotonic() - started < 3, "a log that never ends is read for ever"
    for status in (401, 403):
        runpod.log_status = status
        with pytest.raises(RunPodError, match=f"with {status}: the key in RUNPOD_API_KEY must be allowed to read"):
            list(client.log_lines(pod.id))
    assert all(agent.startswith("snakemake-executor-plugin-runpod/") for agent in runpod.agents)


def test_what_is_on_the_bill(runpod: FakeRunPod) -> None:
    runpod.billed["a"] = 1.25
    client = client_from_environment()
    assert client.billed("a", 0.0) == 1.25
    assert client.billed("b", 0.0) == 0.0


def test_deleting_what_is_gone_is_no_error(runpod: FakeRunPod) -> None:
    client_from_environment().delete("none")
    assert client_from_environment().pod("none") is None


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("RUNPOD_API_KEY", "", "RUNPOD_API_KEY is not set"),
        ("RUNPOD_API_KEY", "rpa_wrong", "refuses the key"),
        ("RUNPOD_API_URL", "http://api.example.org", "is not https"),
    ],
)
def test_keys(runpod: FakeRunPod, monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(RunPodError, match=sentence):
        client_from_environment().pods()
