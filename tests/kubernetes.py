"""A server that answers as a Kubernetes cluster's API does, where a client asks about jobs: it creates them, tells how
they are, ends them, and refuses what an API server's validation refuses.

It runs a pod's command here, in a process of its own, with the image's environment alone.
"""

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

NAMESPACE, TOKEN, CLAIM = "lamarck", "a token of the tests", "lamarck"
NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL = re.compile(r"[A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?")
JOBS = re.compile(r"/apis/batch/v1/namespaces/([^/]+)/jobs(?:/([^/]+)(/status)?)?")
UNITS = {"m": 1e-3, "M": 1e6, "": 1.0}


class Refused(Exception):
    """An answer that is no success: its code, reason and message."""


@dataclass
class Cluster:
    """`volume`: where the files of the one claim lie, which pods have to mount there; `logs`: what pods print."""

    volume: Path
    logs: Path
    image: dict[str, str]  # the environment in it
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)  # every job that was ever created

    def create(self, body: dict[str, Any]) -> dict[str, Any]:
        name = str(body["metadata"]["name"])
        if not NAME.fullmatch(name):
            raise Refused(422, "Invalid", f'metadata.name: Invalid value: "{name}"')
        if name in self.jobs:
            raise Refused(409, "AlreadyExists", f'jobs.batch "{name}" already exists')
        container = self._container(body)
        self.logs.mkdir(exist_ok=True)
        with (self.logs / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                container["command"],
                cwd=container["workingDir"],
                env=self.image | {each["name"]: each["value"] for each in container["env"]},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.jobs[name] = body
        self.asked.append(body)
        return body

    def _container(self, body: dict[str, Any]) -> dict[str, Any]:
        """The one container. Errors: Refused for what an API server refuses, or what no pod could run here."""
        pod = body["spec"]["template"]["spec"]
        container: dict[str, Any]
        (container,) = pod["containers"]
        for value in (body["metadata"]["labels"] | body["spec"]["template"]["metadata"]["labels"]).values():
            if not LABEL.fullmatch(value):
                raise Refused(422, "Invalid", f'metadata.labels: Invalid value: "{value}"')
        if pod["restartPolicy"] not in ("Never", "OnFailure"):
            raise Refused(422, "Invalid", 'spec.template.spec.restartPolicy: Unsupported value: "Always"')
        asked, limits = container["resources"]["requests"], container["resources"]["limits"]
        for resource, amount in asked.items():
            if "/" in resource and limits.get(resource) != amount:
                raise Refused(422, "Invalid", f"{resource}: Limit must be set for non overcommitable resources")
            if resource in limits and _amount(amount) > _amount(limits[resource]):
                raise Refused(422, "Invalid", f"{resource}: must be less than or equal to {resource} limit")
        claims = {each["name"]: each["persistentVolumeClaim"]["claimName"] for each in pod["volumes"]}
        for mounted in container["volumeMounts"]:
            if claims.get(mounted["name"]) != CLAIM:
                raise Refused(422, "Invalid", f'volumeMounts.name: Not found: "{mounted["name"]}"')
            assert Path(mounted["mountPath"]) == self.volume, "elsewhere the pod would find an empty directory"
        assert container["securityContext"]["runAsUser"] == os.getuid(), "else the volume's files are another user's"
        return container

    def job(self, name: str) -> dict[str, Any]:
        if name not in self.jobs:
            raise Refused(404, "NotFound", f'jobs.batch "{name}" not found')
        code = self.processes[name].poll()
        status = {"active": 1} if code is None else {"failed": 1} if code else {"succeeded": 1}
        return self.jobs[name] | {"status": status}

    def delete(self, name: str) -> dict[str, Any]:
        self.job(name)
        self._end(name)
        del self.jobs[name]
        return {"kind": "Status", "status": "Success"}

    def _end(self, name: str) -> None:
        if self.processes[name].poll() is None:
            os.killpg(self.processes[name].pid, signal.SIGTERM)
        self.processes[name].wait()

    def close(self) -> None:
        for name in self.processes:
            self._end(name)


def _amount(text: str) -> float:
    match = re.fullmatch(r"([0-9.]+)(m|M|)", text)
    assert match, text
    return float(match[1]) * UNITS[match[2]]


def _handler(cluster: Cluster) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            self._answer()

        do_POST = do_DELETE = do_GET

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                said = self._route(json.loads(body) if body else {})
                code = 201 if self.command == "POST" else 200
            except Refused as refusal:
                code, reason, message = refusal.args
                said = {"kind": "Status", "status": "Failure", "reason": reason, "message": message, "code": code}
            content = json.dumps(said).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _route(self, body: dict[str, Any]) -> dict[str, Any]:
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                raise Refused(401, "Unauthorized", "Unauthorized")
            match = JOBS.fullmatch(self.path.partition("?")[0])
            if not match:
                raise Refused(404, "NotFound", "the server could not find the requested resource")
            namespace, name, _ = match.groups()
            if namespace != NAMESPACE:
                raise Refused(403, "Forbidden", f'jobs.batch is forbidden: User "tests" in the namespace "{namespace}"')
            if self.command == "POST":
                return cluster.create(body)
            return cluster.delete(name) if self.command == "DELETE" else cluster.job(name)

    return Handler


@contextmanager
def serving(cluster: Cluster, kubeconfig: Path) -> Iterator[None]:
    """The cluster's API on a port of this machine, which `kubeconfig` names; pods that still run end behind it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(cluster))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    values = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tests", "cluster": {"server": address}}],
        "users": [{"name": "tests", "user": {"token": TOKEN}}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
        "current-context": "tests",
    }
    kubeconfig.write_text(yaml.safe_dump(values))
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        cluster.close()
