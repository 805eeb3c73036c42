"""Requests that are not whole: begun and left, with two lengths, dropped in the middle."""

import asyncio
import logging
import socket
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from lamarck.config.engine import HFEngineConfig
from lamarck.engine.hf import HFEngine
from lamarck.founder.tiny import pretrain
from lamarck.serve import connection, vllm_server
from lamarck.serve.app import build_app
from lamarck.serve.vllm_server import Door
from tests.serving import serving
from tests.tiny import WORLD

HEAD = b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
HALVES = {
    "nothing": b"",
    "half a head": b"GET /v1/models HTTP/1.1\r\nHo",
    "no body": HEAD + b"Content-Length: 20\r\n\r\n",
    "half a body": HEAD + b"Content-Length: 20\r\n\r\n{",
    "half a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n14\r\n{",
}
TWO_LENGTHS = (
    HEAD
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    + b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of a server whose model has learned nothing: nobody here gets as far as that."""
    weights = tmp_path_factory.mktemp("weights")
    pretrain(WORLD.model_copy(update={"steps": 2, "decay_steps": 1}), frozenset(), weights, 0, lambda steps: None)
    engine = HFEngine(HFEngineConfig(), weights, None)
    with serving(build_app(engine, "g0-0123456789ab", None, ["127.0.0.1"])) as url:
        yield int(url.rpartition(":")[2])


def sent(port: int, request: bytes) -> bytes:
    """What comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(request)
        return b"".join(iter(lambda: client.recv(4096), b""))


@pytest.mark.parametrize("half", HALVES.values(), ids=HALVES)
def test_who_does_not_end_a_request_is_let_go(port: int, half: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "REQUEST_SECONDS", 0.3)
    assert sent(port, half).count(b"408 Request Timeout") == 1


def test_who_waits_for_an_answer_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is the request's, not the answer's."""

    async def late(request: Request) -> Response:
        await request.body()
        await asyncio.sleep(3)
        return PlainTextResponse("late")

    monkeypatch.setattr(connection, "REQUEST_SECONDS", 2)
    with serving(Starlette(routes=[Route("/", late, methods=["POST"])])) as url:
        asked = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"
        assert sent(int(url.rpartition(":")[2]), asked).endswith(b"late")


def test_a_request_with_two_lengths_is_the_last_of_its_connection(port: int) -> None:
    answer = sent(port, TWO_LENGTHS)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1


def test_so_it_is_before_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our check stands in vLLM's process, whose protocol is not ours."""
    monkeypatch.setattr(Door, "name", "g0", raising=False)
    monkeypatch.setattr(Door, "hosts", ["127.0.0.1"], raising=False)
    monkeypatch.setattr(Door, "key", None, raising=False)
    with serving(Door(Starlette()), plain=True) as url:
        port = int(url.rpartition(":")[2])
        answer = sent(port, TWO_LENGTHS)
        monkeypatch.setattr(vllm_server, "REQUEST_SECONDS", 0.3)
        late = sent(port, HALVES["half a body"])
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert late.startswith(b"HTTP/1.1 408 ")


def test_a_dropped_upload_leaves_no_trace(port: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
                client.sendall(HALVES["half a body"])
        assert b"200 OK" in sent(port, b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    assert caplog.records == []
