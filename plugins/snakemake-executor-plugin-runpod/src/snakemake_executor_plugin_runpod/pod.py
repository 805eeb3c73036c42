"""A run's pod of one shape: rented when it is first needed, replaced when it is lost, ended in every case."""

import os
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from typing import Any, TypeVar

from snakemake_executor_plugin_runpod.api import URL, URL_VARIABLE, Client, Gpu, PodInfo, Wait
from snakemake_executor_plugin_runpod.choose import Candidate, Ceiling, Need, candidates
from snakemake_executor_plugin_runpod.errors import PodLost, Rejected, RunPodError, Unreachable, WrongHostKey
from snakemake_executor_plugin_runpod.hardware import LOOK, shortcoming
from snakemake_executor_plugin_runpod.ledger import DISK_DOLLARS_PER_GB_HOUR, HOUR
from snakemake_executor_plugin_runpod.purse import Purse
from snakemake_executor_plugin_runpod.ssh import CALL_SECONDS, Keys, Remote, Say
from snakemake_executor_plugin_runpod.tag import Tag
from snakemake_executor_plugin_runpod.watchdog import Watchdog

T = TypeVar("T")
WORKSPACE = "/workspace"
VOLUME = "/runpod-volume"
KEEP = "touch /tmp/lease"  # boot.sh looks at this file
HOST_KEY = re.compile("host-key (ssh-ed25519 [A-Za-z0-9+/]+=*)\\s*")  # and says this
LOOK_EVERY_SECONDS = 2.0
LEAST_RUN_SECONDS = 600.0
# A pod that runs has its address by then, or never gets one.
ADDRESS_SECONDS = 180.0


@dataclass(frozen=True)
class Order:
    """How pods are rented, for how long, and for how much an hour at most (None: no limit of its own)."""

    dollars_per_hour: float | None
    data_centers: tuple[str, ...]
    volume: str | None
    image: str
    disk: int
    seconds: float
    lease_seconds: float
    wait_seconds: float
    start_seconds: float
    silent_seconds: float
    replacements: int


@dataclass(frozen=True)
class Account:
    """What all pods of a run share. `wait` sleeps, and raises Cancelled when the run is stopped, as `client` does;
    `ender` goes on all the same: pods are ended with it."""

    client: Client
    ender: Client
    tag: Tag
    keys: Keys
    purse: Purse
    watchdog: Watchdog
    say: Say
    wait: Wait

    def end(self, pod: str) -> None:
        """Errors: RunPodError."""
        self.ender.delete(pod)
        self.purse.ended(pod)
        self.watchdog.tell("ended", pod)

    def cost_line(self, shape: Need | None = None) -> str:
        """`$0.42 of $20.00 spent so far`."""
        return f"${self.purse.spent(shape):.2f} of ${self.purse.ceiling(shape):.2f} spent so far"


@dataclass
class Pod:
    """A pod that is up. `price` in dollars an hour; `deadline` in seconds since the epoch: when it ends itself."""

    info: PodInfo
    price: float
    deadline: float
    remote: Remote
    host_key: str
    # Whether jobs run on it whole; else those that can run here, with what it serves.
    whole: bool = True
    # What lies on it: path -> (size, modification time in ns) as sent, or as brought back.
    there: dict[str, tuple[int, int]] = field(default_factory=dict)
    sending: threading.Lock = field(default_factory=threading.Lock)


class Pods:
    """Thread-safe: jobs that run side by side share the pod, and its replacement."""

    def __init__(self, account: Account, order: Order, need: Need, prepare: "Callable[[Pods, Pod], None]") -> None:
        """`prepare` makes a new pod ready for jobs."""
        self._account = account
        self._order = order
        self.need = need
        self._prepare = prepare
        self._client = account.client
        self._say = account.say
        self._wait = account.wait
        self._lock = threading.Lock()
        self._pod: Pod | None = None
        self._lost = 0
        self._error: RunPodError | None = None

    def check(self) -> None:
        """Errors: RunPodError where nothing that would do can be rented within the ceiling."""
        candidates(self._catalogue(), self.need, self._ceiling())

    @property
    def current(self) -> Pod | None:
        """The pod that is up, if there is one."""
        return self._pod

    def deadline(self, pod: Pod) -> float:
        """When the pod's time is over, in seconds since the epoch: its own deadline, or when the ceiling is spent."""
        return min(pod.deadline, self._account.purse.until(self.need))

    def get(self) -> Pod:
        """The pod, rented and prepared if there is none. Errors: RunPodError, Cancelled."""
        with self._lock:
            if self._error is not None:
                raise self._error
            try:
                return self._pod or self._start()
            except RunPodError as error:
                self._error = error
                raise

    def lost(self, pod: Pod, reason: str) -> None:
        """Give up on a pod. Errors: RunPodError when too many were lost."""
        with self._lock:
            if self._pod is not pod:
                return
            self._drop(pod)
            self._lost += 1
            self._say(f"lost pod {pod.info.id} ({reason}): {self.cost_line()}")
            if self._lost > self._order.replacements:
                self._error = RunPodError(
                    f"{self._lost} pods were lost in this run, the last because: {reason}. What came back is kept: "
                    "run again later, or try another kind with --runpod-gpus"
                )
                raise self._error

    def release(self, is_idle: Callable[[], bool]) -> None:
        """End the pod if nobody needs it now: asked while nobody can get it. Errors: RunPodError."""
        with self._lock:
            if (pod := self._pod) is not None and is_idle():
                self._drop(pod)
                self._say(f"ended pod {pod.info.id}, which no job needs now: {self.cost_line()}")

    def forget(self) -> None:
        """The pod is ended by others; the connection is closed."""
        pod, self._pod = self._pod, None
        if pod is not None:
            pod.remote.close()

    def keep(self) -> None:
        """Tell the pod, if there is one, that its controller lives. Errors: Unreachable."""
        if (pod := self._pod) is not None:
            self._account.watchdog.tell("rented", pod.info.id, str(self.deadline(pod)))
            pod.remote.run(KEEP)

    def run(self, pod: Pod, script: str, seconds: float = CALL_SECONDS) -> bytes:
        """What a shell script prints on the pod. Errors: Failed, PodLost."""
        return self.persist(pod, partial(pod.remote.run, script, seconds))

    def persist(self, pod: Pod, action: Callable[[], T]) -> T:
        """Do `action`, again where the line breaks while the pod is well. Errors: PodLost, and those of `action`."""
        until = time.monotonic() + self._order.silent_seconds
        pause = 1.0
        while True:
            try:
                return action()
            except WrongHostKey as error:
                if self._said_host_key(pod.info.id, other_than=pod.host_key) is None:
                    raise RunPodError(
                        f"pod {pod.info.id} shows another ssh host key than its log says: somebody may be listening. "
                        "Nothing more is sent and the pod is ended; run again, and tell RunPod if it happens again"
                    ) from error
                raise PodLost("its container was started again, and what lay there is gone") from error
            except Unreachable as error:
                now = self._client.pod(pod.info.id)
                if now is None or now.is_over:
                    raise PodLost(f"it is {now.status if now else 'gone'}") from error
                if time.time() > self.deadline(pod) or time.monotonic() > until:
                    raise PodLost(f"ssh does not answer: {error}") from error
                self._wait(pause)
                pause = min(2 * pause, 30.0)

    def cost_line(self) -> str:
        """`$0.42 of $20.00 spent so far`, with the pod's price while there is one."""
        pod = self._pod
        price = f", {pod.info.gpu.id if pod.info.gpu else 'pod'} at ${pod.price:.2f}/h" if pod else ""
        return f"{self._account.cost_line(self.need)}{price}"

    def _ceiling(self) -> Ceiling:
        return Ceiling(self._account.purse.ceiling(self.need), self._order.dollars_per_hour)

    def _catalogue(self) -> list[Gpu]:
        return self._client.gpus(self.need.count, self.need.cloud, self.need.min_cuda)

    def _start(self) -> Pod:
        """Rent until one is up: a pod that does not start in time, or is not what was rented, is ended, and the next
        kind tried. Errors: RunPodError, at once where RunPod refuses them all for another reason than that none is
        free."""
        until = time.monotonic() + self._order.wait_seconds
        refused: dict[str, Exception] = {}
        pause = 2.0
        while True:
            tried: list[Exception] = []
            for candidate in candidates(self._catalogue(), self.need, self._ceiling()):
                if not candidate.free:
                    continue
                try:
                    return self._rent(candidate)
                except (Rejected, PodLost) as error:
                    refused[candidate.id] = error
                    tried.append(error)
                    self._say(f"{candidate.count} x {candidate.id} it is not: {error}")
            if tried and all(type(error) is Rejected for error in tried):
                gpu, reason = list(refused.items())[-1]
                raise RunPodError(
                    f"RunPod refuses every pod that would do, the last one ({gpu}) because: {reason}. Waiting would "
                    "not change that: look at the account's rights, and --runpod-image, --runpod-disk, --runpod-cloud"
                )
            if time.monotonic() + pause > until:
                raise RunPodError(_none_free(self._order, refused))
            self._say(f"no GPU is free: trying again in {pause:.0f} s")
            self._wait(pause)
            pause = min(2 * pause, 120.0)

    def _rent(self, candidate: Candidate) -> Pod:
        """Errors: Rejected and PodLost, after which the next candidate may do."""
        disk = self._order.disk * DISK_DOLLARS_PER_GB_HOUR
        purse = self._account.purse
        left, spent = purse.left(self.need), purse.spent(self.need)
        seconds = min(self._order.seconds, left / (candidate.price + disk) * HOUR)
        if spent and left / (candidate.price + disk) * HOUR < LEAST_RUN_SECONDS:
            raise RunPodError(
                f"${spent:.2f} of the ceiling of ${purse.ceiling(self.need):.2f} are spent, too little is left for "
                "another pod. What came back is kept: raise the ceiling to go on from there"
            )
        name = self._account.tag.new_pod_name()
        rented = time.time()
        deadline = rented + seconds
        self._account.watchdog.tell("renting", name)
        purse.renting(name, self.need, candidate.price + disk, rented, deadline)
        info = self._client.create(self._body(name, candidate, deadline))
        price = (info.cost or candidate.price) + disk
        # What is billed may be more than what was listed.
        deadline = min(deadline, rented + left / price * HOUR)
        purse.rented(info.id, name, self.need, price, rented, deadline)
        self._account.watchdog.tell("rented", info.id, str(deadline))
        try:
            if price - disk > self._ceiling().hourly:
                raise PodLost(f"it costs ${info.cost:.2f}/h, not the ${candidate.price:.2f} of the catalogue")
            self._say(f"rented pod {info.id}: {candidate.count} x {candidate.id} at ${price:.2f}/h, disk included")
            self._yield_to_others(info)
            self._pod = self._wait_until_up(info, price, rented, deadline)
            self._look_at(self._pod, candidate)
            self._prepare(self, self._pod)
            return self._pod
        except BaseException:
            self._pod = None
            self._account.end(info.id)
            raise

    def _look_at(self, pod: Pod, candidate: Candidate) -> None:
        """Errors: PodLost where the machine is not what was rented: the next one may be."""
        printed = self.run(pod, LOOK).decode(errors="replace")
        if reason := shortcoming(printed, candidate, self.need.min_cuda, self._order.disk):
            raise PodLost(f"pod {pod.info.id}: {reason}")

    def _body(self, name: str, candidate: Candidate, deadline: float) -> dict[str, Any]:
        environment = {
            "PUBLIC_KEY": self._account.keys.public,
            "BOOT": files(__package__).joinpath("boot.sh").read_text(encoding="utf-8"),
            "RUN_DEADLINE": str(int(deadline)),
            "RUN_SECONDS": str(int(deadline - time.time())),
            "RUN_LEASE_SECONDS": str(int(self._order.lease_seconds)),
            "RUN_API_URL": os.environ.get(URL_VARIABLE, URL).rstrip("/"),
        }
        cuda = {"minCudaVersion": self.need.min_cuda} if self.need.min_cuda else {}
        where: dict[str, Any] = {}
        if self._order.data_centers:
            where |= {"dataCenterIds": list(self._order.data_centers)}
        if self._order.volume:
            where |= {"mounts": {"network": [{"volumeId": self._order.volume, "path": VOLUME}]}}
        return {
            **where,
            "name": name,
            "image": self._order.image,
            "args": "bash -c 'eval \"$BOOT\"'",
            "env": environment,
            "disk": self._order.disk,
            "gpu": {"id": candidate.id, "count": candidate.count, **cuda},
            "cloud": candidate.cloud,
            "ports": ["22/tcp"],
            "startSsh": True,
        }

    def _yield_to_others(self, ours: PodInfo) -> None:
        """Two controllers that start at once see nobody at first: the pod that was made later gives way."""
        for pod in self._client.pods():
            alike = self._account.tag.is_alike(pod) and not self._account.tag.is_ours(pod)
            if alike and (pod.createdAt, pod.id) < (ours.createdAt, ours.id):
                raise RunPodError(others(pod))

    def _wait_until_up(self, info: PodInfo, price: float, rented: float, deadline: float) -> Pod:
        until = min(rented + self._order.start_seconds, deadline)
        runs_since: float | None = None
        while True:
            now = self._client.pod(info.id)
            if now is None or now.is_over:
                raise PodLost(f"pod {info.id} is {now.status if now else 'gone'} before it was up")
            if now.status == "RUNNING":
                runs_since = runs_since or time.time()
                if now.ssh.direct and (host_key := self._said_host_key(info.id)):
                    root = f"{WORKSPACE}/{self._account.tag.name}"
                    remote = Remote(now.ssh.direct, host_key, self._account.keys, root, self._order.silent_seconds)
                    pod = Pod(now, price, deadline, remote, host_key)
                    self.run(pod, KEEP)
                    return pod
            late = time.time() > until
            if runs_since and not now.ssh.direct and (late or time.time() - runs_since > ADDRESS_SECONDS):
                raise PodLost(
                    f"pod {info.id} runs, and has no public address for ssh: machines of the community cloud may have "
                    "none, those of --runpod-cloud SECURE have one"
                )
            if late:
                raise PodLost(f"pod {info.id} was not up after {time.time() - rented:.0f} s")
            self._wait(LOOK_EVERY_SECONDS)

    def _said_host_key(self, identifier: str, other_than: str | None = None) -> str | None:
        """The ssh host key that the pod's log says: read over TLS with the account's key."""
        said = (HOST_KEY.fullmatch(line) for line in self._client.log_lines(identifier))
        return next((found[1] for found in said if found and found[1] != other_than), None)

    def _drop(self, pod: Pod) -> None:
        self._pod = None
        pod.remote.close()
        self._account.end(pod.info.id)


def others(pod: PodInfo) -> str:
    return (
        f"pod {pod.id} ({pod.name}) works on the same already, started from another directory or machine: wait for it, "
        f"or end it with `lamarck pods end {pod.id}`; where it is another project, give --runpod-name"
    )


def _none_free(order: Order, refused: dict[str, Exception]) -> str:
    waited = f"no GPU was free within {order.wait_seconds / 60:g} minutes"
    last = "".join(f"; {gpu}: {reason}" for gpu, reason in list(refused.items())[-1:])
    return f"{waited}{last}. Try later, allow other kinds (--runpod-gpus), or raise the ceiling; nothing was lost"
