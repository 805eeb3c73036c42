"""RunPod's REST API, version 2: the catalogue of GPUs, and pods. Reference: docs.runpod.io/api-reference-v2"""

import json
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2
from pydantic import BaseModel, ValidationError

from snakemake_executor_plugin_runpod.errors import NoCapacity, Rejected, RunPodError
from snakemake_executor_plugin_runpod.text import plain

KEY_VARIABLE = "RUNPOD_API_KEY"
URL_VARIABLE = "RUNPOD_API_URL"
URL = "https://api.runpod.io"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
TIMEOUT_SECONDS = 30.0
LOG_SECONDS = 5.0  # a log that is silent for so long is taken to be all there is
LOG_SECONDS_IN_ALL = 30.0  # and one that never is, is read for so long
LOG_BYTES = 8 * 2**20
# 429, 5xx and a broken line are asked again, waiting 1, 2, 4, ... seconds, for this long.
PATIENCE_SECONDS = 300.0
# Also where RunPod asks for more: a run that pays for a pod must not sleep for hours.
LONGEST_WAIT_SECONDS = 60.0
USER_AGENT = f"snakemake-executor-plugin-runpod/{version('snakemake-executor-plugin-runpod')}"
# A 400 means both "no machine is free" and "the request breaks a rule", told apart by words alone.
NO_CAPACITY = re.compile(r"\b(instances?|capacity|machines?|resources|stock|availab\w*)\b", re.IGNORECASE)
GONE = "TERMINATED"

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
    """A kind of GPU in the catalogue; `memory` in GB. `availability` is NONE where no pod can be had now."""

    id: str
    manufacturer: str
    memory: int
    secure: bool
    community: bool
    price: Price
    maxCount: Counts
    availability: str | None = None


class SshEndpoint(BaseModel):
    host: str
    port: int
    username: str


class Ssh(BaseModel):
    """`direct` is there once the pod runs; the proxy carries interactive shells only."""

    direct: SshEndpoint | None = None


class PodGpu(BaseModel):
    id: str
    count: int = 1


class PodInfo(BaseModel):
    """A pod as the API tells of it; `cost` in dollars an hour. To end a pod its id and name are enough, so nothing else
    need be readable."""

    id: str
    name: str
    status: str = "UNKNOWN"
    cost: float = 0.0
    createdAt: str = ""
    ssh: Ssh = Ssh()
    gpu: PodGpu | None = None

    @property
    def is_over(self) -> bool:
        return self.status in ("EXITED", "ERROR", GONE)


class Billed(BaseModel):
    """Dollars of one pod in one hour."""

    totalAmount: float


@dataclass(frozen=True)
class Answer:
    status: int
    content: Any
    retry_after: float | None

    @property
    def detail(self) -> str:
        """What the API says about an error, on one line."""
        problem = self.content if isinstance(self.content, dict) else {}
        errors = "; ".join(str(error) for error in problem.get("errors") or [])
        return plain(" ".join(f"{problem.get('detail', 'no reason given')} {errors}".split()))


class Client:
    """One account. `wait` sleeps, and may raise to stop everything: it is what makes a run cancellable."""

    def __init__(self, key: str, url: str = URL, wait: Wait = time.sleep) -> None:
        self._wait = wait
        headers = {"Authorization": f"Bearer {key}", "User-Agent": USER_AGENT}
        self._http = httpx2.Client(base_url=url, headers=headers, timeout=TIMEOUT_SECONDS, follow_redirects=False)

    def gpus(self, count: int, cloud: str, min_cuda: str | None = None) -> list[Gpu]:
        """Every kind of GPU that can be read, with what is free of it now as pods of `count` in `cloud` (SECURE or
        COMMUNITY), on machines whose driver has CUDA `min_cuda` (13.0) or later."""
        query = {"include": "AVAILABILITY", "product": "POD", "count": str(count), "cloud": cloud}
        query |= {"minCudaVersion": min_cuda} if min_cuda else {}
        listed = _listed(self._ask("GET", "/v2/catalog/gpus", query=query), "gpus")
        return [gpu for each in listed if (gpu := _read_or_none(Gpu, each))]

    def pods(self) -> list[PodInfo]:
        """The account's pods, whoever started them; of one that is described in no known way, id and name. What has
        neither is left out."""
        found = []
        for each in _listed(self._ask("GET", "/v2/pods"), "pods"):
            named = {key: each[key] for key in ("id", "name") if key in each} if isinstance(each, dict) else {}
            if pod := _read_or_none(PodInfo, each) or _read_or_none(PodInfo, named):
                found.append(pod)
        return found

    def pod(self, identifier: str) -> PodInfo | None:
        """One pod, or None where there is none of that name any more."""
        answer = self._ask("GET", f"/v2/pods/{identifier}", accept=(404,))
        return None if answer.status == 404 else _read(PodInfo, answer.content)

    def create(self, body: dict[str, Any]) -> PodInfo:
        """Rent a pod. Errors: Rejected where another candidate may do, NoCapacity where also this one may later;
        RunPodError where none would.

        A call that broke off may have made a pod nevertheless, so it is looked for by its name before it is made again:
        names must be used once only.
        """

        def exists() -> PodInfo | None:
            return next((pod for pod in self.pods() if pod.name == body["name"]), None)

        answer = self._ask("POST", "/v2/pods", body=body, accept=(400, 403), made=exists)
        if isinstance(answer, PodInfo):
            return answer
        if answer.status == 400 and NO_CAPACITY.search(answer.detail):
            raise NoCapacity(answer.detail)
        if answer.status in (400, 403):
            raise Rejected(answer.detail)
        return _read(PodInfo, answer.content)

    def delete(self, identifier: str) -> None:
        """End a pod for good, by the one way or the other. One that is gone already is no error."""
        try:
            self._ask("DELETE", f"/v2/pods/{identifier}", accept=(404,))
        except RunPodError:
            self._ask("POST", f"/v2/pods/{identifier}/action", body={"action": "terminate"}, accept=(404, 409))

    def billed(self, identifier: str, since: float) -> float:
        """Dollars that the account's bill has for a pod so far, from `since` (seconds since the epoch) on. It lags."""
        start = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        query = {"podId": identifier, "startTime": start, "bucketSize": "hour"}
        records = _listed(self._ask("GET", "/v2/billing/pods", query=query), "records")
        return sum(each.totalAmount for each in map(partial(_read_or_none, Billed), records) if each)

    def log_lines(self, identifier: str) -> Iterator[str]:
        """The pod's container log from its beginning, then as it grows; ends when the line is quiet or broken, or has
        been read for LOG_SECONDS_IN_ALL. Errors: RunPodError where the key may not read it."""
        query = {"source": "container", "tail": "5000"}
        path = f"/v2/pods/{identifier}/logs"
        until = time.monotonic() + LOG_SECONDS_IN_ALL
        try:
            with self._http.stream("GET", path, params=query, timeout=LOG_SECONDS) as stream:
                if stream.status_code in (401, 403):
                    raise RunPodError(
                        f"RunPod refuses GET {path} with {stream.status_code}: the key in {KEY_VARIABLE} must be "
                        "allowed to read pods' logs, which say the ssh key of a pod"
                    )
                if stream.status_code != 200:
                    return
                rest, read = b"", 0
                for piece in stream.iter_bytes():
                    *lines, rest = (rest + piece).split(b"\n")
                    for line in lines:
                        if line.startswith(b"data:"):
                            yield json.loads(line.removeprefix(b"data:"))["line"]
                    read += len(piece)
                    if time.monotonic() > until or read > LOG_BYTES:
                        return
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
            asked = answer.retry_after if answer else None
            self._wait(backoff if asked is None else min(asked, LONGEST_WAIT_SECONDS))
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


def _listed(answer: Answer, name: str) -> list[Any]:
    """Errors: RunPodError where the answer holds no list of that name."""
    listed = answer.content.get(name) if isinstance(answer.content, dict) else None
    if not isinstance(listed, list):
        raise RunPodError(f"RunPod's answer is not as its API describes it: it holds no list {name!r}")
    return listed


def _read_or_none(kind: type[M], content: Any) -> M | None:
    """None for what cannot be read: one value that is new to us must not hide all others."""
    try:
        return kind.model_validate(content)
    except ValidationError:
        return None


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
