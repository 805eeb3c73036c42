"""The server as its clients see it: the official client, and those who ask for what it does not do."""

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from lamarck.config.engine import HFEngineConfig
from lamarck.engine.hf import HFEngine
from lamarck.ratchet.agents.proposal import AgentContext, AgentFailed
from lamarck.ratchet.agents.server import Server
from lamarck.ratchet.file import ServerAgent
from lamarck.serve import batcher
from lamarck.serve.app import MOST_BODY, build_app
from lamarck.serve.protocol import ChatRequest, CompletionRequest
from tests.serving import serving
from tests.tiny import PROMPTS

NAME = "g0-0123456789ab"
KEY = "a-key-of-twenty-chars"


@pytest.fixture(scope="module")
def engine(tiny_model: Path) -> HFEngine:
    return HFEngine(HFEngineConfig(batch_size=32), tiny_model, None)


@pytest.fixture(scope="module")
def url(engine: HFEngine) -> Iterator[str]:
    with serving(build_app(engine, NAME, None, ["127.0.0.1"])) as url:
        yield url


@pytest.fixture(scope="module")
def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none needed", max_retries=0)


def refused(url: str, path: str = "completions", **changes: Any) -> tuple[int, dict[str, Any]]:
    """Status and error of a request that is right but for `changes`."""
    body = {"model": NAME, "prompt": "1 2", "max_tokens": 4} if path == "completions" else {"model": NAME}
    response = httpx2.post(f"{url}/v1/{path}", json=body | changes)
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return response.status_code, error


def test_the_official_client_gets_the_engines_text(client: openai.OpenAI, engine: HFEngine) -> None:
    assert [model.id for model in client.models.list()] == [NAME]
    assert client.models.retrieve(NAME).id == NAME
    expected = engine.generate(PROMPTS[:8], max_new_tokens=24)
    answer = client.completions.create(model=NAME, prompt=PROMPTS[:8], max_tokens=24, temperature=0)
    assert [choice.text for choice in answer.choices] == expected
    words = [len(text.split()) for text in expected]
    # Which answers end within 24 words is what this processor's training made of the model.
    assert [choice.finish_reason for choice in answer.choices] == [
        "length" if count == 24 else "stop" for count in words
    ]
    assert min(words) < 24
    cut = client.completions.create(model=NAME, prompt=PROMPTS[:8], max_tokens=1, temperature=0)
    assert [choice.finish_reason for choice in cut.choices] == ["length" if count else "stop" for count in words]
    assert answer.usage
    assert answer.usage.completion_tokens == sum(words)
    for prompt, text in zip(PROMPTS[:4], expected, strict=False):
        chat = client.chat.completions.create(
            model=NAME, messages=[{"role": "user", "content": prompt}], max_tokens=24, temperature=0
        )
        assert chat.choices[0].message.content == text


def test_curl_gets_it_too(url: str, engine: HFEngine) -> None:
    """As docs/serving.md has it: nothing but an address and a body of JSON; streamed, an event a piece."""
    body = {"model": NAME, "messages": [{"role": "user", "content": PROMPTS[0]}], "temperature": 0, "max_tokens": 24}
    (expected,) = engine.generate(PROMPTS[:1], max_new_tokens=24)

    def curl(**changes: Any) -> str:
        asked = ["curl", "--silent", "--no-buffer", "--json", json.dumps(body | changes)]
        done = subprocess.run([*asked, f"{url}/v1/chat/completions"], capture_output=True, text=True, check=True)
        return done.stdout

    assert json.loads(curl())["choices"][0]["message"]["content"] == expected
    events = [line.removeprefix("data: ") for line in curl(stream=True).splitlines() if line]
    assert events.pop() == "[DONE]"
    assert "".join(json.loads(each)["choices"][0]["delta"].get("content") or "" for each in events) == expected


def test_a_ratchet_s_agent_is_answered(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default it may answer as long as the context lets it; a server that refuses is told of in its own words."""
    files = {"train.py": b"GUESS = 1\n"}
    context = AgentContext(1, files, {}, "val_bpb", "minimize", "", (), "", "", ())

    def ask(**settings: Any) -> str:
        agent = ServerAgent(kind="server", url=f"{url}/v1", model=NAME, **settings)
        with pytest.raises(AgentFailed) as error:
            Server(agent).propose(context)
        return str(error.value)

    said = ask()
    assert said.startswith("the agent's server refused, with 400: ") and "shorten the prompt" in said
    monkeypatch.setattr(HFEngine, "context", 2000)
    # This model learned to answer sums: it writes no file.
    assert re.fullmatch("the agent answered with 0 blocks .*|the agent's server answered with nothing", ask())
    assert "lower max_tokens" in ask(max_tokens=2000)


def test_streamed_it_is_the_same_text(client: openai.OpenAI, engine: HFEngine) -> None:
    for prompt, text in zip(PROMPTS[:4], engine.generate(PROMPTS[:4], max_new_tokens=24), strict=True):
        stream = list(
            client.chat.completions.create(
                model=NAME,
                messages=[{"role": "user", "content": prompt}],
                max_completion_tokens=24,
                temperature=0,
                stream=True,
                stream_options={"include_usage": True},
            )
        )
        pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
        assert "".join(pieces) == text
        assert len(pieces) >= len(text.split())
        assert [chunk.choices[0].finish_reason for chunk in stream if chunk.choices][-1] in ("stop", "length")
        assert stream[-1].usage
        assert stream[-1].usage.completion_tokens == len(text.split())
    completed = client.completions.create(model=NAME, prompt=PROMPTS[0], max_tokens=24, temperature=0, stream=True)
    text = engine.generate(PROMPTS[:1], max_new_tokens=24)[0]
    assert "".join(chunk.choices[0].text for chunk in completed) == text


def test_a_seed_decides_and_company_does_not(client: openai.OpenAI) -> None:
    def draw(seed: int) -> str:
        answer = client.completions.create(model=NAME, prompt=PROMPTS[0], max_tokens=20, temperature=1, seed=seed)
        return answer.choices[0].text

    alone = [draw(seed) for seed in range(6)]
    together: dict[int, str] = {}
    threads = [threading.Thread(target=lambda seed=seed: together.update({seed: draw(seed)})) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[seed] for seed in range(6)] == alone
    assert len(set(alone)) > 1


def test_a_stop_string_ends_the_answer(client: openai.OpenAI, engine: HFEngine) -> None:
    prompt, text = next(
        (prompt, text)
        for prompt, text in zip(PROMPTS, engine.generate(PROMPTS, max_new_tokens=24), strict=True)
        if len(text.split()) > 4
    )
    stop = " ".join(text.split()[2:4])
    choice = client.completions.create(model=NAME, prompt=prompt, max_tokens=24, temperature=0, stop=stop).choices[0]
    assert choice.text == text[: text.index(stop)]
    assert choice.finish_reason == "stop"


def test_a_client_that_hangs_up_frees_the_model(engine: HFEngine) -> None:
    """The longest answers there can be, and nobody waits for them: they are not decoded to their end."""
    longest, steps = 3900, 0

    def count(*_: object) -> None:
        nonlocal steps
        steps += 1

    endless = HFEngine.__new__(HFEngine)
    endless.__dict__.update(engine.__dict__ | {"end": [10**6]})  # no token ends a text
    endless.model.config.max_position_embeddings = 4000
    counted = endless.model.register_forward_hook(count)
    try:
        with serving(build_app(endless, NAME, None, ["*"])) as url:
            body = {"model": NAME, "prompt": PROMPTS[0], "max_tokens": longest}
            with pytest.raises(httpx2.ReadTimeout):
                httpx2.post(f"{url}/v1/completions", json=body, timeout=httpx2.Timeout(600, read=0.5))
            with httpx2.stream("POST", f"{url}/v1/completions", json=body | {"stream": True}) as response:
                next(response.iter_lines())
            httpx2.post(f"{url}/v1/completions", json=body | {"max_tokens": 2}, timeout=600).raise_for_status()
            assert 0 < steps < longest
    finally:
        counted.remove()
        endless.model.config.max_position_embeddings = 128


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"model": "gpt"}, 404, NAME),
        ({"max_tokens": 1000}, 400, "context is 128 tokens"),
        ({"prompt": "1 " * 200}, 400, "context is 128 tokens"),
        ({"prompt": ""}, 400, "empty"),
        ({"prompt": [10**6]}, 400, "token id"),
        ({"prompt": ["1"] * 257}, 400, "prompt"),
        ({"max_tokens": 0}, 400, "at least 1"),
        ({"n": 2}, 400, "n: "),
        ({"temperature": -1}, 400, "temperature"),
        ({"logprobs": 1}, 400, "echo"),
        ({"echo": True, "max_tokens": 3}, 400, "echo"),
        ({"echo": True, "logprobs": 1, "max_tokens": 1}, 400, "temperature"),
        ({"seed": 2**64}, 400, "seed"),
        ({"logit_bias": {"1": 5}}, 400, "logit_bias: not supported"),
    ],
)
def test_what_it_does_not_do_it_refuses(url: str, changes: dict[str, Any], status: int, words: str) -> None:
    found, error = refused(url, **changes)
    assert (found, error["type"]) == (status, "invalid_request_error")
    assert words in error["message"]


def test_null_means_the_default(client: openai.OpenAI, url: str, engine: HFEngine) -> None:
    """Clients send null for what they do not set, and messages that they got with all the fields that they have."""
    prompt, text = PROMPTS[0], engine.generate(PROMPTS[:1], max_new_tokens=16)[0]
    unset = (set(CompletionRequest.model_fields) | {"logit_bias", "suffix"}) - {"model", "prompt", "temperature"}
    body = {"model": NAME, "prompt": prompt, "temperature": 0}
    answer = httpx2.post(f"{url}/v1/completions", json=body | dict.fromkeys(unset))
    assert answer.json()["choices"][0]["text"] == text, answer.text
    message = {"role": "user", "content": prompt, "name": None, "tool_calls": None}
    unset = (set(ChatRequest.model_fields) | {"tools", "response_format"}) - {"model", "messages", "temperature"}
    body = {"model": NAME, "messages": [message], "temperature": 0}
    answer = httpx2.post(f"{url}/v1/chat/completions", json=body | dict.fromkeys(unset))
    assert answer.json()["choices"][0]["message"]["content"] == engine.generate([prompt], max_new_tokens=120)[0]
    options = {"include_usage": None}
    streamed = httpx2.post(f"{url}/v1/chat/completions", json=body | {"stream": True, "stream_options": options})
    assert streamed.text.endswith("data: [DONE]\n\n")


EXTREMES = [
    {"temperature": 1, "top_p": 1e-320},
    {"temperature": 1e-320},
    {"temperature": 1e-40},
    {"temperature": 1e-38},
]


@pytest.mark.parametrize("extreme", EXTREMES)
def test_next_to_no_chance_is_the_best_token(url: str, engine: HFEngine, extreme: dict[str, float]) -> None:
    body = {"model": NAME, "prompt": PROMPTS[0], "max_tokens": 8, "seed": 0} | extreme
    answer = httpx2.post(f"{url}/v1/completions", json=body)
    assert answer.json()["choices"][0]["text"] == engine.generate(PROMPTS[:1], max_new_tokens=8)[0], answer.text


def test_next_to_no_chance_is_the_best_token_in_the_pipeline(engine: HFEngine) -> None:
    expected = engine.generate(PROMPTS[:2], max_new_tokens=8)
    assert engine.generate(PROMPTS[:2], max_new_tokens=8, temperature=1, top_p=1e-320) == expected


def test_a_request_that_the_model_fails_on_harms_no_other(
    url: str, engine: HFEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model stumbles on a long text, at its third step: who was in the same batch gets the whole answer."""
    monkeypatch.setattr(batcher, "WINDOW_SECONDS", 1.0)  # however slowly they come, they go together
    expected = engine.generate(PROMPTS[:8], max_new_tokens=6)
    long = [" ".join(PROMPTS[first : first + 4]) for first in range(0, 40, 4)]
    answers = zip(long, engine.generate(long, max_new_tokens=6), strict=True)
    poison = next(prompt for prompt, text in answers if len(text.split()) >= 4)
    third_step = len(poison.split()) + 1
    batches: list[int] = []

    def stumble(model: object, arguments: object, named: dict[str, Any]) -> None:
        if int(named["position_ids"].max()) >= third_step:
            batches.append(len(named["input_ids"]))
            raise RuntimeError("stumbled")

    found: dict[int, Any] = {}

    def ask(place: int) -> None:
        body = {"model": NAME, "prompt": [*PROMPTS[:8], poison][place], "max_tokens": 6, "temperature": 0}
        found[place] = httpx2.post(f"{url}/v1/completions", json=body)

    hook = engine.model.register_forward_pre_hook(stumble, with_kwargs=True)
    try:
        threads = [threading.Thread(target=ask, args=(place,)) for place in range(9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        hook.remove()
    assert max(batches) > 1
    assert batches[-1] == 1
    assert found[8].status_code == 500
    assert [found[place].json()["choices"][0]["text"] for place in range(8)] == expected


def test_a_model_without_a_chat_template_takes_one_message(url: str) -> None:
    system = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1 2"}]
    assert "no chat template" in refused(url, "chat/completions", messages=system)[1]["message"]
    image = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]
    assert refused(url, "chat/completions", messages=image)[0] == 400


def test_bodies_that_are_not_requests(url: str) -> None:
    post = f"{url}/v1/completions"
    assert httpx2.post(post, json={"model": NAME, "prompt": "x" * MOST_BODY}).status_code == 413
    assert httpx2.post(post, content="{", headers={"Content-Type": "application/json"}).status_code == 400
    # What a form on a stranger's page could send without asking.
    assert httpx2.post(post, content=json.dumps({"model": NAME, "prompt": "1"})).status_code == 415
    assert httpx2.get(f"{url}/v1/nothing").json()["error"]["type"] == "invalid_request_error"
    assert httpx2.get(post).status_code == 405


def test_other_names_cannot_be_bent_to_point_here(url: str) -> None:
    assert httpx2.get(f"{url}/v1/models", headers={"Host": "evil.example"}).status_code == 400


def test_with_a_key_nothing_but_health_answers_without(engine: HFEngine) -> None:
    with serving(build_app(engine, NAME, KEY, ["*"])) as url:
        assert httpx2.get(f"{url}/health").json() == {"status": "ok"}
        for shown in ({}, {"Authorization": KEY}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer ü"}):
            headers = {name: value.encode() for name, value in shown.items()}
            assert httpx2.get(f"{url}/v1/models", headers=headers).status_code == 401
            assert httpx2.get(f"{url}/v1/models/{NAME}", headers=headers).status_code == 401
            assert httpx2.post(f"{url}/v1/completions", json={}, headers=headers).status_code == 401
        assert [model.id for model in openai.OpenAI(base_url=f"{url}/v1", api_key=KEY).models.list()] == [NAME]
        with pytest.raises(openai.AuthenticationError) as error:
            openai.OpenAI(base_url=f"{url}/v1", api_key="wrong").models.list()
        assert KEY not in str(error.value)
