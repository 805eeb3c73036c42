"""The engine behind a URL: equal to the one beside it, and clear about servers that are busy, wrong or gone."""

import asyncio
import json
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from transformers import AutoTokenizer

from lamarck.config import Config
from lamarck.config.engine import HFEngineConfig, ServerEngineConfig
from lamarck.config.section import check_section
from lamarck.engine import load_engine
from lamarck.engine.answer import reasoning_and_answer
from lamarck.engine.hf import HFEngine
from lamarck.engine.http import retry_after
from lamarck.engine.server import ServerEngine
from lamarck.errors import LamarckError
from lamarck.lineage.digest import model_digest, served_name
from lamarck.lineage.generation import Generation
from lamarck.serve.app import build_app
from tests.gate.project import config as project_config
from tests.serving import serving
from tests.tiny import PROMPTS

KEY = "sk-a-secret-of-some-length"
Answer = Callable[[dict[str, Any]], Awaitable[Response]]


def settings(url: str, **changes: Any) -> ServerEngineConfig:
    return ServerEngineConfig.model_validate({"kind": "server", "url": f"{url}/v1", "chat": False} | changes)


class Scripted:
    """A server outside this project: its answers one by one, the last of them for ever; `asked` holds the bodies."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []
        self.times: list[float] = []

    @property
    def app(self) -> Starlette:
        return Starlette(routes=[Route("/v1/{path:path}", self.answer, methods=["GET", "POST"])])

    async def answer(self, request: Request) -> Response:
        self.times.append(time.monotonic())
        self.asked.append(json.loads(await request.body() or "{}") | {"key": request.headers.get("authorization")})
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await answer(self.asked[-1])


def says(content: Any, status: int = 200, **headers: str) -> Answer:
    async def answer(body: dict[str, Any]) -> Response:
        return JSONResponse(content, status, headers)

    return answer


def text(content: str, reason: str = "stop") -> Answer:
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    return says({"choices": [{"text": content, "finish_reason": reason}], "usage": usage})


def message(**parts: Any) -> Answer:
    reason = parts.pop("finish_reason", "stop")
    return says({"choices": [{"message": {"role": "assistant", **parts}, "finish_reason": reason}]})


async def hang(body: dict[str, Any]) -> Response:
    await asyncio.sleep(30)
    return Response()


def asked(tiny_model: Path, server: Scripted, **changes: Any) -> str:
    with serving(server.app) as url:
        engine = ServerEngine(settings(url, model="theirs", retries=3, **changes), tiny_model, None)
        return engine.generate(["a prompt"], max_new_tokens=8)[0]


def refusal(tiny_model: Path, server: Scripted, **changes: Any) -> str:
    with pytest.raises(LamarckError) as error:
        asked(tiny_model, server, **changes)
    return str(error.value)


@pytest.fixture(scope="module")
def beside(tiny_model: Path) -> HFEngine:
    return HFEngine(HFEngineConfig(batch_size=32), tiny_model, None)


def test_through_a_server_the_engine_is_the_same(beside: HFEngine, tiny_model: Path) -> None:
    name = served_name(Generation(0), model_digest(tiny_model, None))
    done: list[int] = []
    with serving(build_app(beside, name, None, ["*"])) as url:
        engine = load_engine(settings(url, concurrency=16), tiny_model, None)
        greedy = engine.generate(PROMPTS, max_new_tokens=40, on_done=done.append)
        scores = engine.loglikelihoods(PROMPTS)
        first, again, other = (
            engine.generate(PROMPTS[:8] * 2, max_new_tokens=20, temperature=1.0, seed=seed) for seed in (1, 1, 2)
        )
    assert greedy == beside.generate(PROMPTS, max_new_tokens=40)
    assert sum(done) == len(PROMPTS)
    assert scores == pytest.approx(beside.loglikelihoods(PROMPTS), rel=1e-5)
    assert first == again
    assert first != other
    assert first[:8] != first[8:]  # the same prompt twice is asked with two seeds
    assert engine.device_name == "server"


def test_in_its_chat_form_too(tiny_model: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = "{% for message in messages %}{{ message.content }} {% endfor %}"
    copy = shutil.copytree(tiny_model, tmp_path / "chat")
    tokenizer.save_pretrained(copy)
    beside = HFEngine(HFEngineConfig(), copy, None)
    name = served_name(Generation(2, "control"), model_digest(copy, None))
    with serving(build_app(beside, name, None, ["*"])) as url:
        answers = ServerEngine(settings(url, chat=True), copy, None).generate(PROMPTS[:20], max_new_tokens=30)
        with pytest.raises(LamarckError, match=r"set engine\.chat to true"):
            ServerEngine(settings(url), copy, None)
    assert answers == beside.generate(PROMPTS[:20], max_new_tokens=30)


def test_other_weights_are_refused(beside: HFEngine, tiny_model: Path) -> None:
    with serving(build_app(beside, "g0-000000000000", None, ["*"])) as url:
        with pytest.raises(LamarckError, match=r"serves g0-000000000000, but needed .* `lamarck serve`"):
            ServerEngine(settings(url), tiny_model, None)
        foreign = ServerEngine(settings(url, model="g0-000000000000"), tiny_model, None)
    assert foreign.device_name == "server, weights not verified"


def test_a_busy_server_is_asked_again_when_it_says(tiny_model: Path) -> None:
    server = Scripted(says({}, 429, **{"Retry-After": "1"}), text("at last"))
    assert asked(tiny_model, server) == "at last"
    assert server.times[1] - server.times[0] >= 1


def test_a_failing_server_is_asked_again(tiny_model: Path) -> None:
    server = Scripted(says({}, 500), says({}, 503), text("at last"))
    assert asked(tiny_model, server) == "at last"
    assert len(server.asked) == 3


def test_a_server_that_stays_busy(tiny_model: Path) -> None:
    server = Scripted(says({"error": "full"}, 429, **{"Retry-After": "0"}))
    assert 'answered 429: {"error":"full"} (tried 4 times)' in refusal(tiny_model, server)
    assert len(server.asked) == 4
    server = Scripted(says({}, 429, **{"Retry-After": "86400"}))
    assert "come back in 86400 s" in refusal(tiny_model, server)
    assert len(server.asked) == 1


def test_a_wrong_key_is_not_tried_again_and_never_shown(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_KEY", KEY)
    server = Scripted(says({"error": {"message": f"Incorrect API key provided: {KEY}"}}, 401))
    sentence = refusal(tiny_model, server, api_key_variable="SERVER_KEY")
    assert "401" in sentence
    assert "engine.api_key_variable" in sentence
    assert KEY not in sentence
    assert [each["key"] for each in server.asked] == [f"Bearer {KEY}"]


def test_a_key_that_is_not_there(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SERVER_KEY", raising=False)
    server = Scripted(text("never asked"))
    assert "SERVER_KEY" in refusal(tiny_model, server, api_key_variable="SERVER_KEY")
    assert server.asked == []


def test_a_server_that_hangs(tiny_model: Path) -> None:
    with serving(Scripted(hang).app) as url:
        engine = ServerEngine(settings(url, model="theirs", retries=1, timeout_seconds=0.5), tiny_model, None)
        with pytest.raises(LamarckError, match=r"not answer within 0\.5 s.*engine\.timeout_seconds.*tried 2 times"):
            engine.generate(["a prompt"], max_new_tokens=8)


def test_a_server_that_is_gone(tiny_model: Path) -> None:
    with serving(Scripted(text("")).app) as url:
        pass
    engine = ServerEngine(settings(url, model="theirs", retries=0), tiny_model, None)
    with pytest.raises(LamarckError, match="is the server running"):
        engine.generate(["a prompt"], max_new_tokens=8)


@pytest.mark.parametrize(
    "answer",
    [
        says("<html>not an API</html>"),
        says({"choices": []}),
        says({"choices": [{"text": "x", "finish_reason": "content_filter"}]}),
    ],
)
def test_garbage_is_not_an_answer(tiny_model: Path, answer: Answer) -> None:
    assert "no answer of an OpenAI-compatible server" in refusal(tiny_model, Scripted(answer))


def test_what_is_not_json_is_shown_on_one_line(tiny_model: Path) -> None:
    async def garbage(body: dict[str, Any]) -> Response:
        return Response("<html>\n\x1b[2Jgone</html>")

    sentence = refusal(tiny_model, Scripted(garbage))
    assert "<html>" in sentence
    assert sentence.isprintable()


def test_a_server_without_echo_cannot_score(tiny_model: Path) -> None:
    with serving(Scripted(text("")).app) as url:
        engine = ServerEngine(settings(url, model="theirs"), tiny_model, None)
        with pytest.raises(LamarckError, match="does not give the log probabilities"):
            engine.loglikelihoods(["1 2 3"])


@pytest.mark.parametrize(
    ("parts", "thought", "answer"),
    [
        ({"content": "\n\n4", "reasoning_content": "2 and 2"}, "2 and 2", "4"),
        ({"content": "4", "reasoning": "2 and 2"}, "2 and 2", "4"),
        ({"content": None, "reasoning_content": "2 and", "finish_reason": "length"}, "", ""),
        ({"content": "2 and 2</think>4"}, "2 and 2", "4"),
        ({"content": "4"}, "", "4"),
    ],
)
def test_reasoning_goes_back_in_front(tiny_model: Path, parts: dict[str, Any], thought: str, answer: str) -> None:
    assert reasoning_and_answer(asked(tiny_model, Scripted(message(**parts)), chat=True)) == (thought, answer)


def test_what_it_asks_and_counts(tiny_model: Path) -> None:
    server = Scripted(text("x"))
    with serving(server.app) as url:
        engine = ServerEngine(settings(url, model="theirs"), tiny_model, None)
        engine.generate(["a", "b"], max_new_tokens=8, temperature=0.5, top_p=0.9, seed=7)
    assert {body["prompt"] for body in server.asked} == {"a", "b"}
    assert len({body["seed"] for body in server.asked}) == 2
    first = server.asked[0]
    assert (first["model"], first["max_tokens"], first["temperature"], first["top_p"]) == ("theirs", 8, 0.5, 0.9)
    assert (engine.usage.prompt_tokens, engine.usage.completion_tokens) == (6, 4)


@pytest.mark.parametrize(
    ("url", "changes", "word"),
    [
        ("ftp://example.org", {}, "http"),
        (f"https://user:{KEY}@example.org", {}, "api_key_variable"),
        (f"https://example.org/?key={KEY}", {}, "api_key_variable"),
        ("http://example.org", {"api_key_variable": "SERVER_KEY"}, "ssh tunnel"),
        ("https://example.org", {"api_key_variable": KEY}, "api_key_variable"),
    ],
)
def test_settings_that_would_leak_or_fail(url: str, changes: dict[str, Any], word: str) -> None:
    values = project_config().model_dump(mode="json")
    values["engine"] = {"kind": "server", "url": url, "chat": True} | changes
    with pytest.raises(LamarckError) as error:
        check_section(values, Config, "config.yaml")
    assert word in str(error.value)
    assert KEY not in str(error.value)


def test_the_digest_is_of_what_decides_the_answers() -> None:
    here, there = settings("http://127.0.0.1:1"), settings("https://example.org", concurrency=2, api_key_variable="K")
    assert here.digest() == there.digest()
    assert len({here.digest(), settings("http://a", chat=True).digest(), settings("http://a", model="m").digest()}) == 3


def test_retry_after() -> None:
    assert retry_after("Thu, 01 Jan 1970 00:01:40 GMT", 40.0) == 60
    assert retry_after("Thu, 01 Jan 1970 00:01:40 GMT", 400.0) == 0
    assert retry_after("soon", 0) is None
    assert retry_after(None, 0) is None
