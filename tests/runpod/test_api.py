"""The client against answers that are not 200."""

import pytest
from snakemake_executor_plugin_runpod.api import client_from_environment
from snakemake_executor_plugin_runpod.errors import Rejected, RunPodError

from tests.runpod.fake import KINDS, FakeRunPod, Fault

BODY = {"name": "a-b-c", "image": "an/image", "gpu": {"id": next(iter(KINDS)), "count": 1}, "args": "sleep 60"}


def test_waits_as_long_as_it_is_told(runpod: FakeRunPod) -> None:
    runpod.faults += [Fault("GET", "/v2/pods", 429, retry_after=7), Fault("GET", "/v2/pods", 500, times=3)]
    waits: list[float] = []
    assert client_from_environment(waits.append).pods() == []
    assert waits[0] == 7
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
