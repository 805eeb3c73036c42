"""A model behind a socket answers as it does without one; what answers otherwise is refused."""

import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from lamarck.config import THIS_MACHINE
from lamarck.config.engine import HFEngineConfig
from lamarck.engine import load_engine
from lamarck.engine.served import SOCKET, ServedEngine, engine_of_job, serve
from lamarck.errors import LamarckError

PROMPTS = ["<a2> 9 - 7 + 6 =>", "<a1> 1 + 1 =>", "<a2> 9 - 7 + 6 =>"]
SAMPLED: dict[str, Any] = {"max_new_tokens": 8, "temperature": 1.0, "top_p": 0.9, "seed": 3}


def test_the_same_texts_and_numbers(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = load_engine(HFEngineConfig(), tiny_model, None)
    threading.Thread(target=serve, args=(here, tmp_path / "socket"), daemon=True).start()
    while not (tmp_path / "socket").exists():
        pass
    monkeypatch.setenv(SOCKET, str(tmp_path / "socket"))
    # Nothing is loaded for it: no model lies there.
    there = engine_of_job(HFEngineConfig(), tmp_path / "none", None, THIS_MACHINE)
    done: list[int] = []
    assert there.generate(PROMPTS, **SAMPLED, on_done=done.append) == here.generate(PROMPTS, **SAMPLED)
    assert sum(done) == len(PROMPTS)
    assert there.loglikelihoods(PROMPTS) == here.loglikelihoods(PROMPTS)
    assert there.device_name == here.device_name
    with pytest.raises(LamarckError, match="where the model is served: "):
        there.generate(PROMPTS, max_new_tokens="many")  # type: ignore[arg-type]
    assert there.generate(PROMPTS[:1], max_new_tokens=2) == here.generate(PROMPTS[:1], max_new_tokens=2), "it went on"


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["no JSON"], "does not answer with JSON"),
        (["[" * 100_000], "does not answer with JSON"),
        ([json.dumps({"device": "\x1b[2J"})], "does not answer with a device"),
        ([json.dumps({"device": "cuda"})], "has gone"),
        ([json.dumps({"device": "cuda"}), json.dumps({"answer": ["a"]})], "a text for each prompt"),
        ([json.dumps({"device": "cuda"}), json.dumps({"answer": ["a", "b", 3]})], "a text for each prompt"),
        ([json.dumps({"device": "cuda"}), json.dumps({"answer": "abc"})], "does not answer with an answer"),
        ([json.dumps({"device": "cuda"}), json.dumps([1])], "does not answer with an answer"),
    ],
)
def test_other_answers_are_refused(tmp_path: Path, lines: list[str], sentence: str) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "socket"))
    listener.listen()

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall("".join(f"{line}\n" for line in lines).encode())
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass

    threading.Thread(target=answer, daemon=True).start()
    with pytest.raises(LamarckError, match=sentence):
        ServedEngine(tmp_path / "socket").generate(PROMPTS, max_new_tokens=4)


def test_nothing_is_there(tmp_path: Path) -> None:
    with pytest.raises(LamarckError, match="nothing serves a model at"):
        ServedEngine(tmp_path / "socket")
