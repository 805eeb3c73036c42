"""A RunPod of our own: a real HTTP server on loopback that speaks API version 2, and is told what shall go wrong."""

import getpass
import json
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.runpod.container import Container

# Kind -> (GB, dollars an hour in the secure and in the community cloud).
KINDS = {
    "NVIDIA RTX A4000": (16, 0.25, 0.17),
    "NVIDIA GeForce RTX 4090": (24, 0.69, 0.34),
    "NVIDIA A100 80GB PCIe": (80, 1.64, 1.19),
    "NVIDIA H100 80GB HBM3": (80, 2.69, 0.0),
    "NVIDIA B200": (180, 5.99, 0.0),
    "AMD Instinct MI300X OAM": (192, 0.5, 0.0),
}
NO_CAPACITY = "there are no longer any instances available with these specifications"


@dataclass(frozen=True)
class Exchange:
    """One request and its answer, as they went over the line."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    status: int
    headers: dict[str, str]
    content: Any


@dataclass
class Fault:
    """Answer `status` to the next `times` requests of this kind; with `done` it is carried out all the same."""

    method: str
    path: str
    status: int
    times: int = 1
    done: bool = False
    retry_after: int = 1

    def meets(self, method: str, path: str) -> bool:
        return self.times > 0 and method == self.method and re.fullmatch(self.path, path) is not None


@dataclass
class FakePod:
    body: dict[str, Any]
    identifier: str
    key: str
    container: Container
    cost: float
    created: float = field(default_factory=time.time)
    ending: float | None = None
    ended: float | None = None


class FakeRunPod:
    """What it is told to be:

    `free`: kinds that can be rented now. `slow`: seconds before a pod is up. `price_factor`: billed / listed.
    `host_key_said`: what the log says instead of a pod's true host key; `log_status`: how it is answered.
    `odd_pods`, `odd_gpus`: listed beside the others, in a shape that nobody has described.
    `cuda`: of every machine's driver. `shows`: what nvidia-smi shows of a kind, (name, MiB, number), instead of it.
    `private`: machines have no public address. `lingers`: seconds for which a pod that was told to end is still there.
    `sandboxes`: whether its containers let a process make namespaces; `services`: whether an image's own start in them.
    `billed`: pod -> dollars on the bill.
    """

    def __init__(self, directory: Path) -> None:
        self.key = f"rpa_{secrets.token_hex(16)}"
        self.directory = directory
        self.pods: dict[str, FakePod] = {}
        self.all_pods: list[FakePod] = []
        self.exchanges: list[Exchange] = []
        self.faults: list[Fault] = []
        self.free = set(KINDS)
        self.slow = 0.0
        self.host_key_said: str | None = None
        self.log_status = 200
        self.odd_pods: list[Any] = []
        self.odd_gpus: list[Any] = []
        self.cuda = "13.0"
        self.shows: dict[str, tuple[str, int, int]] = {}
        self.private = False
        self.lingers = 0.0
        self.sandboxes = True
        self.services = True
        self.billed: dict[str, float] = {}
        self.agents: set[str] = set()
        self.price_factor = 1.0
        self.lock = threading.RLock()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"fake": self}))
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a user of this account would export."""
        return {"RUNPOD_API_KEY": self.key, "RUNPOD_API_URL": self.url}

    def running(self) -> list[FakePod]:
        with self.lock:
            return list(self.pods.values())

    def lose(self, pod: FakePod) -> None:
        """The machine is gone, and the pod with it."""
        with self.lock:
            self.pods.pop(pod.identifier, None)
            pod.container.kill()
            pod.ended = pod.ended or time.time()

    def close(self) -> None:
        for pod in self.running():
            self.lose(pod)
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, query: dict[str, str], body: Any, key: str) -> tuple[int, Any]:
        """Errors are RFC 9457 problems, as the API's are."""
        with self.lock:
            own = re.fullmatch(r"/v2/pods/([^/]+)(/action)?", path)
            pod = self.pods.get(own[1]) if own else None
            if key != self.key and not (pod and method in ("DELETE", "POST") and key == pod.key):
                return _problem(401, "Unauthorized", "invalid bearer token")
            routes: dict[tuple[str, str], Callable[[], tuple[int, Any]]] = {
                ("GET", "/v2/catalog/gpus"): lambda: (200, {"gpus": self._gpus(query)}),
                ("GET", "/v2/pods"): lambda: (200, {"pods": self._listed()}),
                ("GET", "/v2/billing/pods"): lambda: (200, self._bill(query)),
                ("POST", "/v2/pods"): lambda: self._create(body),
            }
            if route := routes.get((method, path)):
                return route()
            if pod is None:
                return _problem(404, "Not Found", "resource not found")
            if method == "GET":
                return 200, _shape(pod, self)
            if method == "POST" and body["action"] == "stop" and pod.container.runs:
                # Its disk stays, and a machine is paid for no longer.
                pod.container.kill()
                pod.ended = time.time()
                return 200, _shape(pod, self)
            if method == "POST" and body["action"] != "terminate":
                return _problem(409, "Conflict", "this fake only stops and terminates")
            if pod.ending is None:
                pod.ending = time.time()
            if time.time() - pod.ending >= self.lingers:
                self.lose(pod)
            return 204, None

    def _listed(self) -> list[Any]:
        return [*self.odd_pods, *(_shape(each, self) for each in self.pods.values())]

    def _bill(self, query: dict[str, str]) -> dict[str, Any]:
        """One record of one hour for a pod that is on the bill."""
        hour = {"startTime": "2026-06-01T00:00:00Z", "endTime": "2026-06-01T01:00:00Z"}
        pod = query["podId"]
        dollars = self.billed.get(pod, 0.0)
        amounts = {"totalAmount": dollars, "gpuAmount": dollars, "cpuAmount": 0.0, "diskAmount": 0.0}
        records = [hour | amounts | {"podId": pod}] if pod in self.billed else []
        about = {"query": hour | {"bucketSize": "hour", "podId": pod}, "recordCount": len(records)}
        return {"records": records, "metadata": about | {"uniquePodCount": len(records), "totals": amounts}}

    def _gpus(self, query: dict[str, str]) -> list[dict[str, Any]]:
        found: list[Any] = list(self.odd_gpus)
        for kind, (memory, secure, community) in KINDS.items():
            gpu: dict[str, Any] = {
                "id": kind,
                "name": kind.partition(" ")[2],
                "pool": None,
                "manufacturer": kind.partition(" ")[0],
                "memory": memory,
                "secure": secure > 0,
                "community": community > 0,
                "price": {"secure": secure, "community": community},
                "maxCount": {"secure": 8, "community": 4},
            }
            if query.get("include") == "AVAILABILITY":
                modern = _version(self.cuda) >= _version(query.get("minCudaVersion", "0"))
                gpu["availability"] = "HIGH" if kind in self.free and modern else "NONE"
            found.append(gpu)
        return found

    def _create(self, body: dict[str, Any]) -> tuple[int, Any]:
        kind = body["gpu"]["id"]
        if kind not in self.free or _version(self.cuda) < _version(body["gpu"].get("minCudaVersion", "0")):
            return _problem(400, "Bad Request", NO_CAPACITY)
        identifier = secrets.token_hex(7)
        key = f"rpa_{secrets.token_hex(16)}"
        memory_secure_community = KINDS[kind]
        price = memory_secure_community[1 if body.get("cloud", "SECURE") == "SECURE" else 2]
        environment = body.get("env", {}) | {"RUNPOD_POD_ID": identifier, "RUNPOD_API_KEY": key}
        memory, count = memory_secure_community[0], body["gpu"].get("count", 1)
        name, mebibytes, number = self.shows.get(kind, (kind, int(memory * 1e9 / 2**20), count))
        gpus = [f"{name}, {mebibytes}, 580.65.06"] * number
        place = self.directory / identifier
        container = Container(place, body.get("args", ""), environment, gpus, self.cuda, self.sandboxes, self.services)
        pod = FakePod(body, identifier, key, container, price * body["gpu"].get("count", 1) * self.price_factor)
        self.pods[identifier] = pod
        self.all_pods.append(pod)
        return 201, _shape(pod, self)


def _shape(pod: FakePod, fake: FakeRunPod) -> dict[str, Any]:
    up = time.time() - pod.created >= fake.slow
    status = "PROVISIONING" if not up else "RUNNING" if pod.container.runs else "EXITED"
    direct = {
        "host": "127.0.0.1",
        "port": pod.container.port,
        "username": getpass.getuser(),
        "command": f"ssh -p {pod.container.port} {getpass.getuser()}@127.0.0.1",
    }
    created = datetime.fromtimestamp(pod.created, UTC).isoformat().replace("+00:00", "Z")
    return {
        "id": pod.identifier,
        "name": pod.body["name"],
        "image": pod.body["image"],
        "args": pod.body.get("args", ""),
        "disk": pod.body.get("disk", 50),
        "ports": pod.body.get("ports", []),
        "env": pod.body.get("env", {}),
        "registry": None,
        "status": status,
        "actions": ["start", "terminate"] if status == "EXITED" else ["stop", "restart", "terminate"],
        "mounts": {},
        "gpu": {"id": pod.body["gpu"]["id"], "count": pod.body["gpu"].get("count", 1)},
        "cloud": pod.body.get("cloud", "SECURE"),
        "dataCenterId": "XX-TEST-1",
        "cudaVersion": fake.cuda,
        "ssh": {"proxy": None, "direct": direct if status == "RUNNING" and not fake.private else None},
        "template": None,
        "cost": pod.cost if status != "EXITED" else 0.0,
        "locked": False,
        "globalNetworking": {"enabled": False},
        "runtime": {"uptime": int(time.time() - pod.created)} if status == "RUNNING" else None,
        "createdAt": created,
        "startedAt": created if status == "RUNNING" else None,
    }


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def _problem(status: int, title: str, detail: str) -> tuple[int, dict[str, Any]]:
    return status, {"title": title, "status": status, "detail": detail}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed: what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    fake: FakeRunPod
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_DELETE(self) -> None:
        self._serve("DELETE")

    def log_message(self, format: str, *arguments: Any) -> None:
        """Quiet: `exchanges` holds everything."""

    def _serve(self, method: str) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length)) if length else None
        key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self.fake.agents.add(self.headers.get("User-Agent", ""))
        if logs := re.fullmatch(r"/v2/pods/([^/]+)/logs", parts.path):
            self._stream(logs[1], query)
            return
        headers = {}
        with self.fake.lock:
            fault = next((fault for fault in self.fake.faults if fault.meets(method, parts.path)), None)
            if fault is not None:
                fault.times -= 1
        if fault is None or fault.done:
            status, content = self.fake.answer(method, parts.path, query, body, key)
        if fault is not None:
            status, content = _problem(fault.status, "Fault", "the test wants it so")
            headers = {"Retry-After": str(fault.retry_after)} if fault.status == 429 else {}
        kind = "application/json" if status < 400 else "application/problem+json"
        data = b"" if content is None else json.dumps(content).encode()
        self.fake.exchanges.append(Exchange(method, parts.path, query, body, status, headers, content))
        self.send_response(status)
        for name, value in (headers | {"Content-Type": kind, "Content-Length": str(len(data))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, identifier: str, query: dict[str, str]) -> None:
        """Server-sent events: what the container printed, then what it prints."""
        with self.fake.lock:
            pod = self.fake.pods.get(identifier)
        self.close_connection = True
        status = self.fake.log_status if pod else 404
        self.fake.exchanges.append(Exchange("GET", f"/v2/pods/{identifier}/logs", query, None, status, {}, None))
        self.send_response(status)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-cache")
        self.end_headers()
        sent = 0
        try:
            while status == 200 and pod is not None and pod.container.runs:
                for line in pod.container.lines[sent:]:
                    if self.fake.host_key_said and line.startswith("host-key "):
                        line = f"host-key {self.fake.host_key_said}"
                    event = {"ts": datetime.now(UTC).isoformat(), "source": "container", "line": line}
                    self.wfile.write(f"id: {event['ts']}\ndata: {json.dumps(event)}\n\n".encode())
                    sent += 1
                self.wfile.flush()
                time.sleep(0.1)
        except OSError:
            return
