"""The run's one pod: rented when it is first needed, replaced when it is lost, ended in every case."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.resources import files
from typing import Any, TypeVar

from snakemake_executor_plugin_runpod.api import URL, URL_VARIABLE, Client, Gpu, PodInfo, Wait
from snakemake_executor_plugin_runpod.choose import Candidate, Ceiling, Need, candidates
from snakemake_executor_plugin_runpod.errors import PodLost, Rejected, RunPodError, Unreachable, WrongHostKey
from snakemake_executor_plugin_runpod.ssh import CALL_SECONDS, Keys, Remote, Say
from snakemake_executor_plugin_runpod.tag import Tag

T = TypeVar("T")
WORKSPACE = "/workspace"
KEEP = "touch /tmp/lease"  # boot.sh looks at this file
HOST_KEY = "host-key "  # and says this
LOOK_EVERY_SECONDS = 2.0
LEAST_RUN_SECONDS = 600.0


@dataclass(frozen=True)
class Order:
    """What is rented, and for how long and how much at most."""

    need: Need
    ceiling: Ceiling
    image: str
    disk: int
    seconds: float
    lease_seconds: float
    wait_seconds: float
    start_seconds: float
    silent_seconds: float
    replacements: int


@dataclass
class Pod:
    """A pod that is up. `price` in dollars an hour; `rented` and `deadline` in seconds since the epoch."""

    info: PodInfo
    price: float
    rented: float
    deadline: float
    remote: Remote
    host_key: str
    # What lies on it: path -> (size, modification time in ns) as sent, or as brought back.
    there: dict[str, tuple[int, int]] = field(default_factory=dict)
    sending: threading.Lock = field(default_factory=threading.Lock)


class Pods:
    """Thread-safe: jobs that run side by side share the pod, and its replacement."""

    def __init__(
        self,
        client: Client,
        ender: Client,
        tag: Tag,
        order: Order,
        keys: Keys,
        prepare: Callable[[Pod], None],
        say: Say,
        wait: Wait,
    ) -> None:
        """`prepare` makes a new pod ready for jobs. `wait` sleeps, and raises Cancelled when the run is stopped, as
        `client` does; `ender` goes on all the same: pods are ended with it."""
        self._client = client
        self._ender = ender
        self._tag = tag
        self._order = order
        self._keys = keys
        self._prepare = prepare
        self._say = say
        self._wait = wait
        self._lock = threading.Lock()
        self._pod: Pod | None = None
        self._lost = 0
        self._spent = 0.0
        self._error: RunPodError | None = None

    def claim(self) -> None:
        """Before anything is rented. Errors: RunPodError when the ceiling is too low, or others work on the same."""
        candidates(self._catalogue(), self._order.need, self._order.ceiling)
        for pod in self._client.pods():
            if self._tag.is_ours(pod):
                self._ender.delete(pod.id)
                self._say(f"ended pod {pod.id}, which an earlier run of this directory had left")
            elif self._tag.is_alike(pod):
                raise RunPodError(_others(pod))

    @property
    def current(self) -> Pod | None:
        """The pod that is up, if there is one."""
        return self._pod

    def lower_ceiling(self, dollars: float) -> None:
        """Of this run, from now on; a higher one than there is changes nothing. It does not wait for a pod that is
        being rented."""
        if dollars < self._order.ceiling.run:
            self._order = replace(self._order, ceiling=replace(self._order.ceiling, run=dollars))

    def deadline(self, pod: Pod) -> float:
        """When the pod's time is over, in seconds since the epoch: its own deadline, or when the ceiling is spent."""
        left = self._order.ceiling.run - self._spent
        return min(pod.deadline, pod.rented + left / pod.price * 3600)

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

    def keep(self) -> None:
        """Tell the pod, if there is one, that its controller lives. Errors: Unreachable."""
        if (pod := self._pod) is not None:
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
        return f"${self.spent():.2f} of ${self._order.ceiling.run:.2f} spent so far{price}"

    def spent(self) -> float:
        """Dollars of this run."""
        running = (time.time() - self._pod.rented) * self._pod.price / 3600 if self._pod else 0.0
        return self._spent + running

    def close(self) -> None:
        """End every pod of ours, whatever is known of it. Errors: RunPodError with what to do where that fails."""
        if self._pod is not None:
            self._spent = self.spent()
            self._pod.remote.close()
            self._pod = None
        try:
            for pod in self._ender.pods():
                if self._tag.is_ours(pod):
                    self._ender.delete(pod.id)
                    self._say(f"ended pod {pod.id}: {self.cost_line()}")
        except RunPodError as error:
            raise RunPodError(
                f"{error}. Whether the pod has ended is not known: see `lamarck pods`, or the console. "
                f"Left alone it ends itself {self._order.lease_seconds / 60:g} minutes after the last word from here"
            ) from error

    def _catalogue(self) -> list[Gpu]:
        return self._client.gpus(self._order.need.count, self._order.need.cloud)

    def _start(self) -> Pod:
        """Rent until one is up: a pod that does not start in time is ended, and the next kind tried."""
        until = time.monotonic() + self._order.wait_seconds
        refused: dict[str, str] = {}
        pause = 2.0
        while True:
            for candidate in candidates(self._catalogue(), self._order.need, self._order.ceiling):
                if not candidate.free:
                    continue
                try:
                    return self._rent(candidate)
                except (Rejected, PodLost) as error:
                    refused[candidate.id] = str(error)
            if time.monotonic() + pause > until:
                raise RunPodError(_none_free(self._order, refused))
            self._say(f"no GPU is free: trying again in {pause:.0f} s")
            self._wait(pause)
            pause = min(2 * pause, 120.0)

    def _rent(self, candidate: Candidate) -> Pod:
        """Errors: Rejected and PodLost, after which the next candidate may do."""
        left = self._order.ceiling.run - self._spent
        seconds = min(self._order.seconds, left / candidate.price * 3600)
        if self._spent and left / candidate.price * 3600 < LEAST_RUN_SECONDS:
            raise RunPodError(
                f"${self._spent:.2f} of the ceiling of ${self._order.ceiling.run:.2f} are spent, too little is left "
                "for another pod. What came back is kept: run again to go on from there"
            )
        rented = time.time()
        deadline = rented + seconds
        info = self._client.create(self._body(candidate, deadline))
        price = info.cost or candidate.price
        try:
            if price > self._order.ceiling.hourly:
                raise Rejected(f"it costs ${price:.2f}/h, not the ${candidate.price:.2f} of the catalogue")
            self._say(f"rented pod {info.id}: {candidate.count} x {candidate.id} at ${price:.2f}/h")
            self._yield_to_others(info)
            # What is billed may be more than what was listed.
            deadline = min(deadline, rented + left / price * 3600)
            self._pod = self._wait_until_up(info, price, rented, deadline)
            self._prepare(self._pod)
            return self._pod
        except BaseException:
            self._pod = None
            self._spent += (time.time() - rented) * price / 3600
            self._ender.delete(info.id)
            raise

    def _body(self, candidate: Candidate, deadline: float) -> dict[str, Any]:
        environment = {
            "PUBLIC_KEY": self._keys.public,
            "BOOT": files(__package__).joinpath("boot.sh").read_text(encoding="utf-8"),
            "RUN_DEADLINE": str(int(deadline)),
            "RUN_LEASE_SECONDS": str(int(self._order.lease_seconds)),
            "RUN_API_URL": os.environ.get(URL_VARIABLE, URL).rstrip("/"),
        }
        return {
            "name": self._tag.new_pod_name(),
            "image": self._order.image,
            "args": "bash -c 'eval \"$BOOT\"'",
            "env": environment,
            "disk": self._order.disk,
            "gpu": {"id": candidate.id, "count": candidate.count},
            "cloud": candidate.cloud,
            "ports": ["22/tcp"],
            "startSsh": True,
        }

    def _yield_to_others(self, ours: PodInfo) -> None:
        """Two controllers that start at once see nobody at first: the pod that was made later gives way."""
        for pod in self._client.pods():
            alike = self._tag.is_alike(pod) and not self._tag.is_ours(pod)
            if alike and (pod.createdAt, pod.id) < (ours.createdAt, ours.id):
                raise RunPodError(_others(pod))

    def _wait_until_up(self, info: PodInfo, price: float, rented: float, deadline: float) -> Pod:
        until = min(rented + self._order.start_seconds, deadline)
        while True:
            now = self._client.pod(info.id)
            if now is None or now.is_over:
                raise PodLost(f"pod {info.id} is {now.status if now else 'gone'} before it was up")
            if now.status == "RUNNING" and now.ssh.direct and (host_key := self._said_host_key(info.id)):
                remote = Remote(now.ssh.direct, host_key, self._keys, f"{WORKSPACE}/{self._tag.name}")
                pod = Pod(now, price, rented, deadline, remote, host_key)
                self.run(pod, KEEP)
                return pod
            if time.time() > until:
                raise PodLost(f"pod {info.id} was not up after {time.time() - rented:.0f} s")
            self._wait(LOOK_EVERY_SECONDS)

    def _said_host_key(self, identifier: str, other_than: str | None = None) -> str | None:
        """The ssh host key that the pod's log says: read over TLS with the account's key."""
        said = (line.removeprefix(HOST_KEY) for line in self._client.log_lines(identifier) if line.startswith(HOST_KEY))
        return next((key for key in said if key != other_than), None)

    def _drop(self, pod: Pod) -> None:
        self._spent = self.spent()
        self._pod = None
        pod.remote.close()
        self._ender.delete(pod.info.id)


def _others(pod: PodInfo) -> str:
    return (
        f"pod {pod.id} ({pod.name}) works on the same already, started from another directory or machine: wait for it, "
        f"or end it with `lamarck pods end {pod.id}`; where it is another project, give --runpod-name"
    )


def _none_free(order: Order, refused: dict[str, str]) -> str:
    waited = f"no GPU was free within {order.wait_seconds / 60:g} minutes"
    last = "".join(f"; {gpu}: {reason}" for gpu, reason in list(refused.items())[-1:])
    return f"{waited}{last}. Try later, allow other kinds (--runpod-gpus), or raise the ceiling; nothing was lost"
