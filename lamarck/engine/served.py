"""A model that another process holds, at a Unix socket: what decides about its texts need not run where it does.

A job that runs beside a rented pod finds the socket in RUNPOD_SOCKET, and so does the process there that serves it:

    RUNPOD_SOCKET=/tmp/socket python -m lamarck.engine.served --config config/default.yaml --generation g1 \
        --weights results/g0/weights --step eval

A line of JSON a request, {"ask": "generate" | "loglikelihoods", ...}, and a line each for what comes of it:
{"done": n} while texts get ready, then {"answer": [...]} or {"error": "..."}. The very first line is {"device": "..."}.
What answers is believed no more than a model is: only texts and numbers are taken, as many as were asked for.
"""

import argparse
import json
import os
import socket
from collections.abc import Callable, Sequence
from io import BufferedRWPair
from pathlib import Path
from typing import Any

from lamarck.config import StageMachine
from lamarck.config.engine import EngineConfig
from lamarck.engine import Engine, load_engine, prepare_libraries
from lamarck.errors import LamarckError, exit_with_sentence
from lamarck.lineage.configured import load_config_of
from lamarck.lineage.generation import parse_generation

SOCKET = "RUNPOD_SOCKET"
# 2 million tokens of one call, generously.
LINE_BYTES = 2**28
LONGEST_NAME = 200


def engine_of_job(config: EngineConfig, weights: Path, change: Path | None, machine: StageMachine) -> Engine:
    """The model at the job's socket where it has one, else as `load_engine` loads it here. Errors: LamarckError."""
    path = os.environ.get(SOCKET)
    return ServedEngine(Path(path)) if path else load_engine(config, weights, change, machine)


class ServedEngine:
    """An `Engine` whose model is at a socket. Errors of every method: LamarckError where it does not answer as it
    should."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            raise LamarckError(f"nothing serves a model at {path} ({error.strerror}): run again") from error
        self._stream = self._socket.makefile("rwb")
        device = self._heard().get("device")
        if not isinstance(device, str) or not device.isprintable() or len(device) > LONGEST_NAME:
            raise _strange("a device")
        self.device_name = device

    def generate(
        self,
        prompts: list[str],
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        forms: Sequence[str | None] | None = None,
        on_done: Callable[[int], None] = lambda finished: None,
    ) -> list[str]:
        settings = {"max_new_tokens": max_new_tokens, "temperature": temperature, "top_p": top_p, "seed": seed}
        asked = {"ask": "generate", "prompts": prompts, "forms": list(forms) if forms else None, **settings}
        texts = self._ask(asked, on_done)
        if len(texts) != len(prompts) or not all(isinstance(text, str) for text in texts):
            raise _strange("a text for each prompt")
        return texts

    def loglikelihoods(self, texts: list[str]) -> list[float]:
        numbers = self._ask({"ask": "loglikelihoods", "texts": texts}, lambda finished: None)
        if len(numbers) != len(texts) or not all(isinstance(number, float) for number in numbers):
            raise _strange("a number for each text")
        return numbers

    def _ask(self, request: dict[str, Any], on_done: Callable[[int], None]) -> list[Any]:
        try:
            _write(self._stream, request)
        except OSError as error:
            raise LamarckError(f"what serves the model has gone ({error.strerror}): run again") from error
        while True:
            match self._heard():
                case {"done": int(finished)}:
                    on_done(finished)
                case {"answer": list(answer)}:
                    return answer
                case {"error": str(sentence)}:
                    raise LamarckError(f"where the model is served: {sentence}")
                case _:
                    raise _strange("an answer")

    def _heard(self) -> dict[str, Any]:
        try:
            line = self._stream.readline(LINE_BYTES)
        except OSError as error:
            raise LamarckError(f"what serves the model has gone ({error.strerror}): run again") from error
        if not line:
            raise LamarckError("what serves the model has gone: run again")
        try:
            said = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _strange("JSON") from error
        return said if isinstance(said, dict) else {}


def serve(engine: Engine, path: Path) -> None:
    """Answer at `path`, one client after another, until the process is ended. The socket is there when the model is."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        while True:
            connection, _ = listener.accept()
            with connection, connection.makefile("rwb") as stream:
                try:
                    _attend(engine, stream)
                except OSError:
                    continue  # the client has gone; another one may come


def _attend(engine: Engine, stream: BufferedRWPair) -> None:
    _write(stream, {"device": engine.device_name})
    for line in stream:
        request = json.loads(line)
        try:
            answer: list[Any]
            if request.pop("ask") == "generate":
                answer = engine.generate(**request, on_done=lambda finished: _write(stream, {"done": finished}))
            else:
                answer = engine.loglikelihoods(request["texts"])
        except OSError:
            raise
        except Exception as error:  # engines raise whatever their libraries raise: the client is to hear of it
            _write(stream, {"error": f"{type(error).__name__}: {error}"})
        else:
            _write(stream, {"answer": answer})


def _write(stream: BufferedRWPair, value: dict[str, Any]) -> None:
    stream.write(json.dumps(value).encode() + b"\n")
    stream.flush()


def _strange(wanted: str) -> LamarckError:
    return LamarckError(f"what serves the model does not answer with {wanted}: run again, on another machine")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lamarck.engine.served", description="Serve a model at a socket.")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--generation", required=True, help="whose configuration holds: g1, control/g2")
    parser.add_argument("--weights", type=Path, required=True, help="the founder's model directory")
    parser.add_argument("--change", type=Path, help="what was trained of the generation; of the founder nothing was")
    parser.add_argument("--step", choices=("curriculum", "eval"), required=True, help="of which machine it is part")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    arguments = parser.parse_args()
    prepare_libraries(arguments.threads)
    config = load_config_of(arguments.config, parse_generation(arguments.generation))
    machine: StageMachine = getattr(config.machines, arguments.step)
    serve(load_engine(config.engine, arguments.weights, arguments.change, machine), Path(os.environ[SOCKET]))


if __name__ == "__main__":
    exit_with_sentence(main)
