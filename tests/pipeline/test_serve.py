"""A finished lineage behind a URL: g2 answers the official client, and is scored through it as it is beside it."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
import yaml

from lamarck.config import HFEngineConfig
from lamarck.engine.hf import HFEngine
from lamarck.files import read_jsonl
from tests.pipeline.conftest import BIN, Project
from tests.serving import said_url


@pytest.fixture(scope="module")
def url(finished: Project) -> Iterator[str]:
    """Where `lamarck serve g2` answers."""
    server = subprocess.Popen(
        [BIN / "lamarck", "serve", "g2", "--port", "0"],
        cwd=finished.root,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield said_url(server)
    server.send_signal(signal.SIGTERM)
    server.communicate(timeout=60)
    assert server.returncode == 0


@pytest.fixture(scope="module")
def prompts(finished: Project) -> list[str]:
    rows = read_jsonl(finished.root / "results/g2/samples.jsonl")
    return list(dict.fromkeys(row["prompt"] for _, row in rows))[:200:20]


def test_the_official_client_talks_to_g2(finished: Project, url: str, prompts: list[str]) -> None:
    results = finished.root / "results"
    engine = HFEngine(HFEngineConfig(), results / "g0/weights", results / "g2/adapter")
    expected = engine.generate(prompts, max_new_tokens=32)
    client = openai.OpenAI(base_url=url, api_key="none needed")
    name = client.models.list().data[0].id
    for prompt, text in zip(prompts, expected, strict=True):
        whole = client.chat.completions.create(
            model=name, messages=[{"role": "user", "content": prompt}], max_tokens=32, temperature=0
        )
        stream = client.chat.completions.create(
            model=name, messages=[{"role": "user", "content": prompt}], max_tokens=32, temperature=0, stream=True
        )
        assert whole.choices[0].message.content == text
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == text


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
