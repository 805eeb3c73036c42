"""A hub of our own: the upload and download API of the Hugging Face hub as huggingface_hub uses it, over LFS.

It can be told to fail, and to stop answering in the middle of an upload.
"""

import base64
import hashlib
import json
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.serving import serving

WRITER, READER, STRANGER = "hf_may_write", "hf_may_read", "hf_of_somebody_else"
OWNER = "owner"
REGULAR = (".json", ".md", ".ok", ".sig", ".jinja", ".txt")  # the hub keeps these in git, everything else as LFS
REPO = "/api/models/{owner}/{name}"


@dataclass
class Repository:
    private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)  # hash -> path -> content
    lfs_paths: set[str] = field(default_factory=set)

    @property
    def head(self) -> str:
        return list(self.commits)[-1]

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[self.head]

    def commit(self, files: dict[str, bytes]) -> str:
        parent = list(self.commits)[-1] if self.commits else ""
        names = json.dumps({name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())})
        commit = hashlib.sha1(f"{parent}{len(self.commits)}{names}".encode()).hexdigest()
        self.commits[commit] = files
        return commit


@dataclass
class FakeHub:
    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)  # sha256 -> content, of LFS
    puts: Counter[str] = field(default_factory=Counter)  # sha256 -> how often its content was sent
    statuses: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))  # operation -> next answers
    hold_after: int | None = None  # PUTs that are answered, before one is not
    one_put: threading.Lock = field(default_factory=threading.Lock)
    held: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    log: list[str] = field(default_factory=list)

    def reset(self) -> None:
        """As on the first day."""
        for kept in (self.repositories, self.objects, self.puts, self.statuses, self.log):
            kept.clear()
        self.hold_after = None
        self.held.clear()
        self.go_on.clear()

    def environment(self, token: str | None = WRITER) -> dict[str, str]:
        given = {"HF_ENDPOINT": self.url, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
        return given | ({"HF_TOKEN": token} if token else {})

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/api/repos/create", self._on(self._create, "create"), methods=["POST"]),
                Route("/api/validate-yaml", self._on(self._validate, "validate"), methods=["POST"]),
                Route(f"{REPO}/auth-check/write", self._on(self._may_write, "auth")),
                Route(f"{REPO}/preupload/{{revision}}", self._on(self._preupload, "preupload"), methods=["POST"]),
                Route(f"{REPO}/commit/{{revision}}", self._on(self._commit, "commit"), methods=["POST"]),
                Route(f"{REPO}/tree/{{revision}}", self._on(self._tree, "tree")),
                Route(f"{REPO}/revision/{{revision}}", self._on(self._info, "info")),
                Route(REPO, self._on(self._info, "info")),
                Route("/{owner}/{name}.git/info/lfs/objects/batch", self._on(self._batch, "batch"), methods=["POST"]),
                Route("/lfs/{oid}", self._on(self._put, "put"), methods=["PUT"]),
                Route("/lfs/{oid}", self._on(self._get, "get")),
                Route("/lfs/{oid}/verify", self._on(self._verify, "verify"), methods=["POST"]),
                Route("/{owner}/{name}/resolve/{revision}/{path:path}", self._on(self._resolve, "resolve")),
            ]
        )

    def _on(self, answer: Callable[[Request, bytes], Response], operation: str) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            body = await request.body()
            self.log.append(f"{operation} {request.url.path}")
            if self.statuses[operation]:
                return JSONResponse({"error": "as told"}, self.statuses[operation].pop(0))
            return await run_in_threadpool(answer, request, body)

        return endpoint

    def _token(self, request: Request) -> str | None:
        return request.headers.get("authorization", "").removeprefix("Bearer ") or None

    def _refusal(self, request: Request, write: bool) -> Response | None:
        """401 without a token that is known, 404 for what is hidden or missing, 403 for what may not be written."""
        token = self._token(request)
        if token is not None and token not in (WRITER, READER, STRANGER):
            return _error(401, "", "Invalid credentials in Authorization header")
        name = f"{request.path_params['owner']}/{request.path_params['name']}"
        repository = self.repositories.get(name)
        visible = repository is not None and (not repository.private or token in (WRITER, READER))
        if not visible:
            return _error(401 if token is None else 404, "RepoNotFound", "Repository not found")
        if write and token != WRITER:
            return _error(403, "", "Forbidden: you must use a write token")
        return None

    def _repository(self, request: Request) -> Repository:
        return self.repositories[f"{request.path_params['owner']}/{request.path_params['name']}"]

    def _create(self, request: Request, body: bytes) -> Response:
        token = self._token(request)
        if token not in (WRITER, READER, STRANGER):
            return _error(401, "", "Invalid credentials in Authorization header")
        asked = json.loads(body)
        if token != WRITER or asked["organization"] != OWNER:
            return _error(403, "", "You don't have the rights to create a model under this namespace")
        name = f"{asked['organization']}/{asked['name']}"
        if name in self.repositories:
            return JSONResponse({"error": "You already created this model repo", "url": f"{self.url}/{name}"}, 409)
        repository = Repository(private=asked.get("visibility") == "private")
        repository.commit({".gitattributes": b"*.safetensors filter=lfs\n"})
        self.repositories[name] = repository
        return JSONResponse({"url": f"{self.url}/{name}"})

    def _validate(self, request: Request, body: bytes) -> Response:
        good = json.loads(body)["content"].startswith("---\n")
        return JSONResponse({"errors": [] if good else [{"message": "no front matter"}]}, 200 if good else 400)

    def _may_write(self, request: Request, body: bytes) -> Response:
        return self._refusal(request, write=True) or JSONResponse({})

    def _info(self, request: Request, body: bytes) -> Response:
        if refusal := self._refusal(request, write=False):
            return refusal
        repository = self._repository(request)
        revision = _revision(repository, request)
        if revision is None:
            return _error(404, "RevisionNotFound", "Invalid rev id")
        name = f"{request.path_params['owner']}/{request.path_params['name']}"
        siblings = [{"rfilename": path} for path in repository.commits[revision]]
        data = {"license": "mit"} if b"license: mit" in repository.commits[revision].get("README.md", b"") else None
        return JSONResponse(
            {"id": name, "sha": revision, "private": repository.private, "siblings": siblings, "cardData": data}
        )

    def _preupload(self, request: Request, body: bytes) -> Response:
        if refusal := self._refusal(request, write=True):
            return refusal
        repository = self._repository(request)
        files = []
        for asked in json.loads(body)["files"]:
            regular = asked["path"].endswith(REGULAR)
            there = repository.files.get(asked["path"])
            oid = None if there is None else _blob(there) if regular else hashlib.sha256(there).hexdigest()
            mode = "regular" if regular else "lfs"
            files.append({"path": asked["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return JSONResponse({"files": files})

    def _batch(self, request: Request, body: bytes) -> Response:
        if refusal := self._refusal(request, write=True):
            return refusal
        objects = []
        for asked in json.loads(body)["objects"]:
            oid = asked["oid"]
            actions = {"upload": {"href": f"{self.url}/lfs/{oid}"}, "verify": {"href": f"{self.url}/lfs/{oid}/verify"}}
            objects.append(asked | ({} if oid in self.objects else {"actions": actions}))
        return JSONResponse({"transfer": "basic", "objects": objects})

    def _put(self, request: Request, body: bytes) -> Response:
        oid = request.path_params["oid"]
        if hashlib.sha256(body).hexdigest() != oid:
            return Response(status_code=400)
        with self.one_put:  # several arrive side by side, and exactly `hold_after` are taken
            if self.hold_after is None or self.puts.total() < self.hold_after:
                self.puts[oid] += 1
                self.objects[oid] = body
                return Response()
        self.held.set()
        self.go_on.wait(60)
        return Response(status_code=503)

    def _verify(self, request: Request, body: bytes) -> Response:
        asked = json.loads(body)
        good = len(self.objects.get(asked["oid"], b"")) == asked["size"]
        return Response(status_code=200 if good else 404)

    def _commit(self, request: Request, body: bytes) -> Response:
        if refusal := self._refusal(request, write=True):
            return refusal
        repository = self._repository(request)
        files = dict(repository.files)
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                if value["oid"] not in self.objects:
                    return _error(400, "", f"{value['path']} was not uploaded")
                files[value["path"]] = self.objects[value["oid"]]
                repository.lfs_paths.add(value["path"])
        commit = repository.commit(files)
        name = f"{request.path_params['owner']}/{request.path_params['name']}"
        return JSONResponse({"commitUrl": f"{self.url}/{name}/commit/{commit}", "commitOid": commit, "success": True})

    def _tree(self, request: Request, body: bytes) -> Response:
        if refusal := self._refusal(request, write=False):
            return refusal
        repository = self._repository(request)
        revision = _revision(repository, request)
        if revision is None:
            return _error(404, "RevisionNotFound", "Invalid rev id")
        entries = []
        for path, content in repository.commits[revision].items():
            entry: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": _blob(content)}
            if path in repository.lfs_paths:
                oid = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"oid": oid, "size": len(content), "pointerSize": 130}
            entries.append(entry)
        return JSONResponse(entries)

    def _resolve(self, request: Request, body: bytes) -> Response:
        if refusal := self._refusal(request, write=False):
            return refusal
        repository = self._repository(request)
        revision = _revision(repository, request)
        if revision is None:
            return _error(404, "RevisionNotFound", "Invalid rev id")
        path = request.path_params["path"]
        content = repository.commits[revision].get(path)
        if content is None:
            return _error(404, "EntryNotFound", "Entry not found")
        headers = {"X-Repo-Commit": revision, "ETag": f'"{_blob(content)}"'}
        if path not in repository.lfs_paths:
            return Response(content, headers=headers)
        oid = hashlib.sha256(content).hexdigest()
        self.objects[oid] = content
        linked = {"X-Linked-ETag": f'"{oid}"', "X-Linked-Size": str(len(content))}
        # Large files come from another host, as the real ones do: the client follows there only to read.
        elsewhere = self.url.replace("127.0.0.1", "localhost")
        return RedirectResponse(f"{elsewhere}/lfs/{oid}", 302, headers | linked)

    def _get(self, request: Request, body: bytes) -> Response:
        return Response(self.objects[request.path_params["oid"]])


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    hub = FakeHub()
    with serving(hub.app()) as url:
        hub.url = url
        try:
            yield hub
        finally:
            hub.go_on.set()


def _revision(repository: Repository, request: Request) -> str | None:
    asked = request.path_params.get("revision", "main")
    revision = repository.head if asked == "main" else asked
    return revision if revision in repository.commits else None


def _blob(content: bytes) -> str:
    """What git calls a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _error(status: int, code: str, message: str) -> Response:
    return JSONResponse({"error": message}, status, {"X-Error-Code": code, "X-Error-Message": message})
