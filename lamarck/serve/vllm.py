"""A generation behind vLLM's own OpenAI server, which runs in vLLM's environment (vllm_server.py) and is watched over
here: it ends when we do, however we end, and we end when it does."""

import re
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import httpx2

from lamarck.config import Config
from lamarck.config.engine import VLLMEngineConfig
from lamarck.engine.vllm_process import environment, model_settings, vllm_python
from lamarck.engine.worker import Helper, Refused
from lamarck.errors import LamarckError
from lamarck.models.change import LaidOut, lay_out
from lamarck.progress import LINE_EVERY_SECONDS
from lamarck.serve.address import Address
from lamarck.serve.held_back import held_back
from lamarck.serve.model import Servable

PROGRAM = Path(__file__).with_name("vllm_server.py")
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LOOK_SECONDS = 0.5
HTTP_SECONDS = 10.0  # for one look: a busy server answers late
# What a variable of vLLM's could open to clients: a second key, other adapters, orders to its processes.
CLOSED = {
    "VLLM_API_KEY": "",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "0",
    "VLLM_SERVER_DEV_MODE": "0",
    "VLLM_USE_RUST_FRONTEND": "0",
    "VLLM_SKIP_MODEL_NAME_VALIDATION": "0",
    "VLLM_DEBUG_LOG_API_SERVER_RESPONSE": "0",
}
FINISHED = "request_success_total"
WORK = re.compile(rf"^vllm:(num_requests_running|num_requests_waiting|{FINISHED})\{{.*\}} (\S+)$", re.MULTILINE)


def vllm_config(config: Config) -> VLLMEngineConfig:
    """How this configuration, which may generate with another engine, serves with vLLM."""
    if isinstance(config.engine, VLLMEngineConfig):
        return config.engine
    return VLLMEngineConfig(kind="vllm", threads=config.engine.threads)


def check_environment(config: Config) -> None:
    """Errors: LamarckError where vLLM's environment has not been made."""
    vllm_python(vllm_config(config))


def answer(model: Servable, config: Config, address: Address, idle_seconds: float | None) -> None:
    """Blocks until SIGINT, SIGTERM or SIGHUP, or until nobody has asked anything for `idle_seconds`.

    Errors: LamarckError with vLLM's last words, where it does not start or ends by itself.
    """
    engine = vllm_config(config)
    opened = lay_out(model.weights, model.change)  # held until the server has ended
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, _interrupt)
    key = {"VLLM_API_KEY": address.key} if address.key else {}
    with suppress(KeyboardInterrupt):
        server = Helper(vllm_python(engine), PROGRAM, environment(engine) | CLOSED | key)
        try:
            with held_back(ENDING):
                settings = _settings(model, opened, engine, address)
            server.tell(settings)
            _watch(server, model, address, idle_seconds)
        finally:
            server.end()


def _settings(model: Servable, opened: LaidOut, engine: VLLMEngineConfig, address: Address) -> dict[str, Any]:
    from lamarck.models.chat import ends_reasoning, template_of_one_message
    from lamarck.models.opening import open_tokenizer

    tokenizer = open_tokenizer(model.weights)
    return {
        "name": model.name,
        "model": model_settings(engine, opened.directory, opened.adapter),
        # Then reasoning is handed out apart, and a form that is asked for begins behind it.
        "reasons": ends_reasoning(tokenizer),
        "chat_template": tokenizer.chat_template or template_of_one_message(tokenizer),
        "host": address.ip,
        "port": address.port,
        "hosts": address.hosts,
    }


def _watch(server: Helper, model: Servable, address: Address, idle_seconds: float | None) -> None:
    """Until it is idle. Errors: LamarckError where it ends before."""
    headers = {"Authorization": f"Bearer {address.key}"} if address.key else {}
    with httpx2.Client(base_url=address.from_here(), headers=headers, timeout=HTTP_SECONDS, trust_env=False) as client:
        _wait_until_it_answers(server, client)
        address.announce(model.name, "vLLM")
        asked = LastWork()
        while server.running:
            time.sleep(LOOK_SECONDS)
            if idle_seconds is None:
                continue
            with suppress(httpx2.TransportError):
                metrics = client.get("/metrics")
                if metrics.is_success and asked.idle_seconds(metrics.text) >= idle_seconds:
                    print(f"nobody has asked anything for {idle_seconds / 60:g} minutes", flush=True)
                    return
    raise LamarckError(f"vLLM stopped: {server.obituary()}")


def _wait_until_it_answers(server: Helper, client: httpx2.Client) -> None:
    """Errors: LamarckError where it ends instead."""
    began = said = time.monotonic()
    while server.running:
        with suppress(httpx2.TransportError):
            if client.get("/health").is_success:
                return
        if (now := time.monotonic()) - said >= LINE_EVERY_SECONDS:
            said = now
            print(f"vLLM is loading: {now - began:.0f} s", file=sys.stderr)
        time.sleep(LOOK_SECONDS)
    end = server.obituary()
    raise end if isinstance(end, Refused) else LamarckError(f"vLLM did not start: {end}")


class LastWork:
    """When vLLM last had work, by its own metrics. Looking at them, or for its models, asks nothing."""

    def __init__(self) -> None:
        self._finished = 0.0
        self._since = time.monotonic()

    def idle_seconds(self, metrics: str) -> float:
        """Since it last had work; `metrics` are the present ones, in Prometheus' text format.

        Errors: LamarckError where they do not say.
        """
        now = time.monotonic()
        work = WORK.findall(metrics)
        if not work:
            raise LamarckError("this vLLM counts no requests in /metrics: serve without --idle-minutes")
        finished = sum(float(value) for name, value in work if name == FINISHED)
        unfinished = sum(float(value) for name, value in work if name != FINISHED)
        if unfinished or finished != self._finished:
            self._finished, self._since = finished, now
        return now - self._since


def _interrupt(number: int, frame: FrameType | None) -> None:
    for each in ENDING:  # one is enough: what follows ends vLLM
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt
