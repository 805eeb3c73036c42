"""Every request that the client sends and every answer that the fake gives is as RunPod's own description has it."""

import json
import os
import time
from pathlib import Path

import pytest
from snakemake_executor_plugin_runpod.api import client_from_environment
from snakemake_executor_plugin_runpod.errors import Rejected, RunPodError

from tests.runpod.contract import Contract
from tests.runpod.fake import KINDS, Exchange, FakeRunPod, Fault
from tests.runpod.sessions import opened

VARIABLE = "LAMARCK_RUNPOD_OPENAPI"


@pytest.fixture(scope="module")
def contract() -> Contract:
    if VARIABLE not in os.environ:
        pytest.skip(f"{VARIABLE} does not name RunPod's OpenAPI description (docs.runpod.io/api-reference-v2)")
    return Contract(Path(os.environ[VARIABLE]))


def test_a_whole_run(contract: Contract, runpod: FakeRunPod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a driver asked for, a bill looked at, and a pod that has to be told twice, each way, to end."""
    monkeypatch.chdir(tmp_path)
    runpod.slow = 3
    ago = time.time() - 10 * 3600
    row = {"event": "rented", "pod": "earlier", "name": "n", "price": 1.0, "created": ago, "deadline": ago + 3600}
    Path("ledger.jsonl").write_text(json.dumps(row) + "\n")
    runpod.billed["earlier"] = 0.5
    with opened(min_cuda="12.8", data_centers="EU-RO-1", volume="vol") as it:
        it.run("true")
        runpod.faults.append(Fault("DELETE", "/v2/pods/.*", 403))
    methods = {(each.method, "/".join(each.path.split("/")[2:5:2])) for each in runpod.exchanges}
    assert methods == {
        *(("GET", "catalog"), ("GET", "billing"), ("GET", "pods"), ("GET", "pods/logs")),
        *(("POST", "pods"), ("POST", "pods/action"), ("DELETE", "pods")),
    }
    assert [wrong for each in runpod.exchanges for wrong in contract.violations(each)] == []


def test_every_error(contract: Contract, runpod: FakeRunPod) -> None:
    client = client_from_environment(lambda seconds: None)
    body = {"name": "a-b-c", "image": "an/image", "gpu": {"id": next(iter(KINDS)), "count": 1}}
    for status in (400, 403):
        runpod.faults.append(Fault("POST", "/v2/pods", status))
        with pytest.raises(Rejected):
            client.create(body)
    for status in (401, 402, 422):
        runpod.faults.append(Fault("POST", "/v2/pods", status))
        with pytest.raises(RunPodError):
            client.create(body)
    runpod.faults += [Fault("GET", "/v2/pods", 429), Fault("GET", "/v2/pods", 500)]
    assert client.pods() == []
    assert client.pod("none") is None
    client.delete("none")
    assert {400, 401, 402, 403, 404, 422, 429, 500} <= {each.status for each in runpod.exchanges}
    assert [wrong for each in runpod.exchanges for wrong in contract.violations(each)] == []


@pytest.mark.parametrize(
    ("method", "path", "query", "body", "status", "content", "wrong"),
    [
        ("GET", "/v2/tags", {}, None, 200, {}, "is not in the API"),
        ("PUT", "/v2/pods", {}, None, 200, {}, "has no PUT"),
        ("GET", "/v2/catalog/gpus", {"inclued": "x"}, None, 200, {"gpus": []}, "unknown query parameter"),
        ("GET", "/v2/catalog/gpus", {"count": "0"}, None, 200, {"gpus": []}, "less than the minimum"),
        ("POST", "/v2/pods", {}, {"name": "a", "image": "b", "spot": True}, 400, None, "Unevaluated properties"),
        ("POST", "/v2/pods", {}, {"name": "a"}, 400, None, "'image' is a required property"),
        ("GET", "/v2/pods", {}, None, 200, {"pods": [{"id": "x"}]}, "'name' is a required property"),
        ("DELETE", "/v2/pods/x", {}, None, 204, {"ok": True}, "where none is described"),
    ],
)
def test_the_judge_sees_what_is_wrong(
    contract: Contract,
    method: str,
    path: str,
    query: dict[str, str],
    body: object,
    status: int,
    content: object,
    wrong: str,
) -> None:
    found = contract.violations(Exchange(method, path, query, body, status, {}, content))
    assert any(wrong in each for each in found), found
