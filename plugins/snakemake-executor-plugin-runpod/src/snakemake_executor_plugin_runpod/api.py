"""RunPod's REST API, version 2: the catalogue of GPUs, and pods. Reference: docs.runpod.io/api-reference-v2"""

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

import httpx2
from pydantic import BaseModel, ValidationError

from snakemake_executor_plugin_runpod.errors import Rejected, RunPodError

KEY_VARIABLE = "RUNPOD_API_KEY"
URL_VARIABLE = "RUNPOD_API_URL"
URL = "https://api.runpod.io"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
TIMEOUT_SECONDS = 30.0
LOG_SECONDS = 5.0  # a log that is silent for so long is taken to be all there is
# 429, 5xx and a broken line are asked again, waiting 1, 2, 4, ... seconds, for this long.
PATIENCE_SECONDS = 300.0
LONGEST_WAIT_SECONDS = 60.0

Wait = Callable[[float], object]
M = TypeVar("M", bound=BaseModel)


class Price(BaseModel):
    """Dollars an hour for one GPU."""

    secure: float
    community: float


class Counts(BaseModel):
    """The most GPUs that one pod can have."""

    secure: int
    community: int


class Gpu(BaseModel):
    """A kind of GPU in the catalogue; `memory` in GB."""

    id: str
    memory: int
    secure: bool
    community: bool
    price: Price
    maxCount: Counts
    availability: Literal["NONE", "LOW", "MEDIUM", "HIGH"] = "NONE"


class SshEndpoint(BaseModel):
    host: str
    port: int
    username: str


class Ssh(BaseModel):
    """`direct` is there once the pod runs; the proxy carries interactive shells only."""

    direct: SshEndpoint | None


class PodGpu(BaseModel):
    id: str
    count: int = 1


class PodInfo(BaseModel):
    """A pod as the API tells of it; `cost` in dollars an hour."""

    id: str
    name: str
    status: str
    cost: float
    createdAt: str
    ssh: Ssh
    gpu: PodGpu | None = None

    @property
    def is_over(self) -> bool:
        return self.status in ("EXITED", "ERROR", "TERMINATED")


@dataclass(frozen=True)
class Answer:
    status: int
    content: Any
    retry_after: float | None

    @property
    def detail(self) -> str:
        """What the API says about an error, on one line."""
        problem = self.content if isinstance(self.content, dict) else {}
        errors = "; ".join(str(error) for error in problem.get("errors", []))
        return " ".join(f"{problem.get('detail', 'no reason given')} {errors}".split())


class Client:
    """One account. `wait` sleeps, and may raise to stop everything: it is what makes a run cancellable."""

    def __init__(self, key: str, url: str = URL, wait: Wait = time.sleep) -> None:
        self._wait = wait
        self._http = httpx2.Client(
            base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=TIMEOUT_SECONDS, follow_redirects=False
        )

    def gpus(self, count: int, cloud: str) -> list[Gpu]:
        """Every kind of GPU, with what is free of it now as pods of `count` in `cloud` (SECURE or COMMUNITY)."""
        query = {"include": "AVAILABILITY", "product": "POD", "count": str(count), "cloud": cloud}
        return [_read(Gpu, each) for each in self._ask("GET", "/v2/catalog/gpus", query=query).content["gpus"]]

    def pods(self) -> list[PodInfo]:
        """The account's pods, whoever started them."""
        return [_read(PodInfo, each) for each in self._ask("GET", "/v2/pods").content["pods"]]

    def pod(self, identifier: str) -> PodInfo | None:
        """One pod, or None where there is none of that name any more."""
        answer = self._ask("GET", f"/v2/pods/{identifier}", accept=(404,))
        return None if answer.status == 404 else _read(PodInfo, answer.content)

    def create(self, body: dict[str, Any]) -> PodInfo:
        """Rent a pod. Errors: Rejected where another candidate may do; RunPodError where none would.

        A call that broke off may have made a pod nevertheless, so it is looked for by its name before it is made again:
        names must be used once only.
        """

        def exists() -> PodInfo | None:
            return next((pod for pod in self.pods() if pod.name == body["name"]), None)

        answer = self._ask("POST", "/v2/pods", body=body, accept=(400, 403), made=exists)
        if isinstance(answer, PodInfo):
            return answer
        if answer.status in (400, 403):
            raise Rejected(answer.detail)
        return _read(PodInfo, answer.content)

    def delete(self, identifier: str) -> None:
        """End a pod for good. One that is gone already is no error."""
        self._ask("DELETE", f"/v2/pods/{identifier}", accept=(404,))

    def log_lines(self, identifier: str) -> Iterator[str]:
        """The pod's container log from its beginning, then as it grows; ends when the line is quiet or broken."""
        query = {"source": "container", "tail": "5000"}
        try:
            with self._http.stream("GET", f"/v2/pods/{identifier}/logs", params=query, timeout=LOG_SECONDS) as stream:
                if stream.status_code != 200:
                    return
                for line in stream.iter_lines():
                    if line.startswith("data:"):
                        yield json.loads(line.removeprefix("data:"))["line"]
        except (httpx2.HTTPError, ValueError, KeyError, TypeError):
            return

    def _ask(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: dict[str, Any] | None = None,
        accept: tuple[int, ...] = (),
        made: Callable[[], PodInfo | None] | None = None,
    ) -> Any:
        """One request, asked again while that makes sense. `made` says whether a broken request was carried out."""
        until = time.monotonic() + PATIENCE_SECONDS
        tries = 0
        while True:
            answer = self._once(method, path, query, body)
            if answer is not None and (answer.status < 300 or answer.status in accept):
                return answer
            if answer is not None and answer.status < 500 and answer.status != 429:
                raise RunPodError(_sentence(method, path, answer))
            if made is not None and (answer is None or answer.status >= 500) and (pod := made()):
                return pod
            if time.monotonic() > until:
                what = f"answers {answer.status}: {answer.detail}" if answer else "does not answer"
                raise RunPodError(f"RunPod {what} ({method} {path}), for {PATIENCE_SECONDS:g} s: try again later")
            backoff = min(LONGEST_WAIT_SECONDS, 2.0**tries) * random.uniform(0.8, 1.2)
            self._wait(answer.retry_after if answer and answer.retry_after is not None else backoff)
            tries += 1

    def _once(self, method: str, path: str, query: dict[str, str] | None, body: dict[str, Any] | None) -> Answer | None:
        """None where no answer came."""
        try:
            response = self._http.request(method, path, params=query, json=body)
        except httpx2.TransportError:
            return None
        try:
            content = response.json() if response.content else None
        except ValueError:
            content = None
        if response.status_code < 300 and content is None and response.status_code != 204:
            return None
        after = response.headers.get("Retry-After", "")
        return Answer(response.status_code, content, float(after) if after.isdigit() else None)


def client_from_environment(wait: Wait = time.sleep) -> Client:
    """The account whose key is in RUNPOD_API_KEY. Errors: RunPodError without a key, or if it would travel in clear."""
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        raise RunPodError(f"{KEY_VARIABLE} is not set: make a key in RunPod's console (Settings, API keys), export it")
    url = os.environ.get(URL_VARIABLE, URL).rstrip("/")
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise RunPodError(f"{URL_VARIABLE}={url} is not https: the key is not sent over it")
    return Client(key, url, wait)


def _read(kind: type[M], content: Any) -> M:
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RunPodError(
            f"RunPod's answer is not as its API describes it: {kind.__name__}.{place}: {first['msg']}"
        ) from error


def _sentence(method: str, path: str, answer: Answer) -> str:
    if answer.status == 401:
        return f"RunPod refuses the key in {KEY_VARIABLE}: is it complete, and not expired?"
    if answer.status == 402:
        return f"RunPod's balance is too low ({answer.detail}): add credit in its console, then run again"
    return f"RunPod refuses {method} {path} with {answer.status}: {answer.detail}"
