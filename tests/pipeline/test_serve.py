"""A finished lineage behind a URL, our server's or vLLM's: g2 answers the official client, and is scored through it as
it is beside it."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import openai
import psutil
import pytest
import yaml

from lamarck.config.engine import HFEngineConfig, ServerEngineConfig
from lamarck.engine.hf import HFEngine
from lamarck.engine.server import ServerEngine
from lamarck.files import read_jsonl
from tests.pipeline.conftest import BIN, Project
from tests.serving import said_url


@pytest.fixture(scope="module")
def url(finished: Project) -> Iterator[str]:
    """Where `lamarck serve g2` answers."""
    server = subprocess.Popen(
        [BIN / "lamarck", "serve", "g2", "--port", "0"],
        cwd=finished.root,
        env=finished.environment | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield said_url(server)
    server.send_signal(signal.SIGTERM)
    server.communicate(timeout=600)
    assert server.returncode == 0


@pytest.fixture(scope="module")
def prompts(finished: Project) -> list[str]:
    rows = read_jsonl(finished.root / "results/g2/samples.jsonl")
    return list(dict.fromkeys(row["prompt"] for _, row in rows))[:200:20]


@pytest.fixture(scope="module")
def g2(finished: Project) -> HFEngine:
    results = finished.root / "results"
    return HFEngine(HFEngineConfig(), results / "g0/weights", results / "g2/adapter")


@pytest.fixture(scope="module")
def expected(g2: HFEngine, prompts: list[str]) -> list[str]:
    return g2.generate(prompts, max_new_tokens=32)


def said_to(client: openai.OpenAI, prompt: str) -> tuple[str, str]:
    """The greedy answer of a chat, whole and put together from what was streamed."""
    (model,) = client.models.list().data
    asked: dict[str, Any] = {"model": model.id, "messages": [{"role": "user", "content": prompt}]}
    asked |= {"max_tokens": 32, "temperature": 0}
    whole = client.chat.completions.create(**asked)
    stream = client.chat.completions.create(**asked, stream=True)
    pieces = [chunk.choices[0].delta.content or "" for chunk in stream]
    return whole.choices[0].message.content or "", "".join(pieces)


def test_the_official_client_talks_to_g2(url: str, prompts: list[str], expected: list[str]) -> None:
    client = openai.OpenAI(base_url=url, api_key="none needed")
    for prompt, text in zip(prompts, expected, strict=True):
        assert said_to(client, prompt) == (text, text)


def test_g2_scored_through_its_server_gives_the_same_answers(finished: Project, url: str, tmp_path: Path) -> None:
    config = yaml.safe_load((finished.root / "config/default.yaml").read_text())
    engine = {"kind": "server", "url": url, "chat": False}
    (tmp_path / "server.yaml").write_text(yaml.safe_dump(config | {"engine": engine}))
    common = ("--suite", "small", "--model", "results/g0/weights", "--configfile", str(tmp_path / "server.yaml"))
    finished.run("lamarck", "eval", *common, "--adapter", "results/g2/adapter", "--output", str(tmp_path / "scores"))
    there, here = (
        {(row["task"], row["index"]): row for _, row in read_jsonl(path) if row["task"].startswith(GREEDY)}
        for path in (tmp_path / "scores/samples.jsonl", finished.root / "results/g2/samples.jsonl")
    )
    assert there == here
    assert len(here) > 100
    # The server has g2: asking it for another generation's answers is refused, and nothing is scored.
    refused = finished.run(
        *("lamarck", "eval", *common, "--adapter", "results/g1/adapter", "--output", str(tmp_path / "other")),
        check=False,
    )
    assert refused.returncode == 1
    assert "error: http://127.0.0.1:" in refused.stdout
    assert "start `lamarck serve`" in refused.stdout
    assert not (tmp_path / "other").exists()


# Sanity and ladders; the names of what is written and taught, which draws, begin otherwise.
GREEDY = ("arithmetic_", "list_ops_", "json_mode_")


KEY = "a key for the tests of vLLM"


class Crowd(NamedTuple):
    """vLLM's server, started and watched by `lamarck serve g2`."""

    watcher: "subprocess.Popen[str]"
    url: str

    def client(self, key: str = KEY) -> openai.OpenAI:
        return openai.OpenAI(base_url=self.url, api_key=key, max_retries=0)


@pytest.fixture(scope="module")
def crowd(finished: Project, vllm_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    config = yaml.safe_load((finished.root / "config/default.yaml").read_text())
    engine = {"kind": "vllm", "python": str(vllm_python)}
    path = tmp_path_factory.mktemp("vllm") / "config.yaml"
    path.write_text(yaml.safe_dump(config | {"engine": engine}))
    watcher = subprocess.Popen(
        [
            *(BIN / "lamarck", "serve", "g2", "--engine", "vllm", "--configfile", path),
            *("--port", "0"),
        ],
        cwd=finished.root,
        env=finished.environment | {"PYTHONUNBUFFERED": "1", "LAMARCK_API_KEY": KEY},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield Crowd(watcher, said_url(watcher))
    watcher.kill()
    watcher.communicate()


def test_the_official_client_talks_to_g2_through_vllm(crowd: Crowd, prompts: list[str], expected: list[str]) -> None:
    """vLLM decodes word by word: in the tiny world's language, answers begin with the space that parts them."""
    for prompt, text in zip(prompts, expected, strict=True):
        assert said_to(crowd.client(), prompt) == (f" {text}", f" {text}")


def test_a_pipeline_asks_g2_through_vllm(
    finished: Project,
    g2: HFEngine,
    crowd: Crowd,
    prompts: list[str],
    expected: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its name ends with the digest of what it is, so that no setting has to vouch for it."""
    monkeypatch.setenv("THE_KEY", KEY)
    results = finished.root / "results"
    config = ServerEngineConfig(kind="server", url=crowd.url, chat=False, api_key_variable="THE_KEY")
    engine = ServerEngine(config, results / "g0/weights", results / "g2/adapter")
    assert engine.device_name == "server"
    assert engine.generate(prompts, max_new_tokens=32) == [f" {text}" for text in expected]
    assert engine.loglikelihoods(prompts) == pytest.approx(g2.loglikelihoods(prompts), abs=1e-4)


def test_vllm_lets_in_who_has_the_key_and_asks_for_g2(crowd: Crowd, prompts: list[str]) -> None:
    with pytest.raises(openai.AuthenticationError):
        crowd.client("another key").models.list()
    with pytest.raises(openai.NotFoundError, match="this server has g2-"):
        crowd.client().completions.create(model="founder", prompt=prompts[0])
    key = {"Authorization": f"Bearer {KEY}"}
    root = crowd.url.removesuffix("/v1")
    # Without a name vLLM would ask its base model; and its other paths it opens to everybody.
    assert httpx2.post(f"{crowd.url}/completions", headers=key, json={"prompt": prompts[0]}).status_code == 404
    assert httpx2.post(f"{root}/invocations", json={"prompt": prompts[0]}).status_code == 404
    assert httpx2.get(f"{root}/metrics").status_code == 401
    assert httpx2.get(f"{root}/metrics", headers=key).status_code == 200
    assert httpx2.get(f"{crowd.url}/models", headers=key | {"Host": "example.org"}).status_code == 400
    assert httpx2.get(f"{root}/health").status_code == 200


def test_an_engine_that_dies_is_one_sentence(crowd: Crowd) -> None:
    processes = psutil.Process(crowd.watcher.pid).children(recursive=True)
    commands = [" ".join(process.cmdline()) for process in processes]
    assert not any(KEY in command for command in commands)
    next(each for each, command in zip(processes, commands, strict=True) if "EngineCore" in command).kill()
    said, _ = crowd.watcher.communicate(timeout=600)
    assert crowd.watcher.returncode == 1
    assert said.splitlines()[-1].startswith("error: vLLM stopped: it ended with "), said
    assert KEY not in said
    assert not psutil.wait_procs(processes, timeout=600)[1]
