"""A run's pods: one for each shape of machine that its jobs ask for, or for each lineage, none longer than a job needs
it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from snakemake_executor_plugin_runpod.api import GONE
from snakemake_executor_plugin_runpod.choose import Need
from snakemake_executor_plugin_runpod.errors import RunPodError, Unreachable, WrongHostKey
from snakemake_executor_plugin_runpod.ledger import Ledger
from snakemake_executor_plugin_runpod.pod import Account, Order, Pod, Pods, others
from snakemake_executor_plugin_runpod.ssh import Failed

# How long a lineage's pod may have nothing to do. What stands between two of its jobs is made here in seconds, a plan
# say, and a new pod would take minutes; a lineage that waits for a human, or is finished, is paid for no longer.
IDLE_SECONDS = 60.0
# How long a pod that was told to end may still be there.
GONE_SECONDS = 60.0
# How soon a job that waits for its turn hears that the run was stopped.
TURN_SECONDS = 0.5


class Fleet:
    """Thread-safe."""

    def __init__(self, account: Account, order: Order, prepare: Callable[[Pods, Pod], None], most: int = 1) -> None:
        """`most`: pods at once of jobs that are kept apart."""
        self._most = most
        self._account = account
        self._order = order
        self._prepare = prepare
        self._lock = threading.Condition()
        self._shapes: dict[Need, Pods] = {}
        self._users: dict[Need, int] = {}
        self._idle_since: dict[Need, float] = {}

    def claim(self, need: Need, ledger: Ledger) -> None:
        """Before anything is rented. `need`: of the first job. Errors: RunPodError when the ceiling is too low, or
        others work on the same."""
        self.of(need).check()
        for pod in self._account.client.pods():
            if self._account.tag.is_ours(pod):
                self._account.ender.delete(pod.id)
                self._account.purse.found(pod.id, pod.name)
                self._account.purse.ended(pod.id)
                self._account.say(f"ended pod {pod.id}, which an earlier run of this directory had left")
            elif self._account.tag.is_alike(pod):
                raise RunPodError(others(pod))
        try:
            for sentence in ledger.reconcile(lambda pod: False, self._account.client.billed):
                self._account.say(sentence)
        except RunPodError as error:
            self._account.say(f"the bill cannot be read, so pods are counted by the clock: {error}")

    def of(self, need: Need) -> Pods:
        with self._lock:
            if need not in self._shapes:
                self._shapes[need] = Pods(self._account, self._order, need, self._prepare)
            return self._shapes[need]

    @contextmanager
    def use(self, need: Need) -> Iterator[Pods]:
        """The pods of a shape, for as long as a job needs one. A job that is kept apart waits until nobody has its pod,
        and no more than may be are up. Errors: RunPodError, Cancelled."""
        pods = self.of(need)
        with self._lock:
            while need.apart and not self._has_turn(need):
                self._lock.wait(TURN_SECONDS)
                self._account.wait(0)
            self._users[need] = self._users.get(need, 0) + 1
            ending = self._not_needed(need)
        try:
            for shape in ending:
                # To end one takes a while, in which another job may have come back for the next.
                self.of(shape).release(partial(self.is_idle, shape))
            yield pods
        finally:
            with self._lock:
                self._users[need] -= 1
                self._idle_since[need] = time.monotonic()
                self._lock.notify_all()

    def _not_needed(self, need: Need) -> list[Need]:
        """Shapes whose pods end before one for `need` is used: what idles is paid for. Those of the same jobs, which
        need another machine now; those that idle for long; and of the others as many as are one too many."""
        idle = [shape for shape in self._shapes if not self._users.get(shape)]
        idle.sort(key=lambda shape: self._idle_since.get(shape, 0.0))
        up = sum(shape != need and pods.current is not None for shape, pods in self._shapes.items())
        too_many = [shape for shape in idle if self._shapes[shape].current][: max(0, up + 1 - self._most)]
        return [
            shape
            for shape in idle
            if not need.apart or shape.apart == need.apart or shape in too_many or self._idles_long(shape)
        ]

    def _idles_long(self, shape: Need) -> bool:
        return time.monotonic() - self._idle_since.get(shape, 0.0) > IDLE_SECONDS

    def is_idle(self, need: Need) -> bool:
        """Whether no job uses the pod of this shape, or is about to."""
        with self._lock:
            return not self._users.get(need)

    def _has_turn(self, need: Need) -> bool:
        used = [shape for shape, users in self._users.items() if users]
        return need not in used and len(used) < self._most

    @property
    def current(self) -> Pod | None:
        """A pod that is up, if there is one."""
        return next((pod for pods in list(self._shapes.values()) if (pod := pods.current)), None)

    def work_for(self, need: Need, account: str, dollars: float) -> None:
        """As `Purse.work_for`."""
        self._account.purse.work_for(need, account, dollars)

    def keep(self) -> None:
        """Tell every pod that its controller lives, and end those that idle for long where lineages have their own. One
        that does not hear it is no reason not to tell the others: a job's own calls find out what that means."""
        for shape, pods in list(self._shapes.items()):
            with suppress(Unreachable, Failed, WrongHostKey, RunPodError):
                if shape.apart and pods.current and self.is_idle(shape) and self._idles_long(shape):
                    pods.release(partial(self.is_idle, shape))
                pods.keep()

    def cost_line(self) -> str:
        return self._account.cost_line()

    def close(self) -> None:
        """End every pod of ours: those that are known, then what a list shows; and ask until none is left.

        Errors: RunPodError with what to do where that fails.
        """
        for pods in self._shapes.values():
            pods.forget()
        known = self._account.purse.running()
        failed: RunPodError | None = None
        for pod in known:
            failed = self._end(pod) or failed
        try:
            for info in self._account.ender.pods():
                if self._account.tag.is_ours(info) and info.id not in known and info.status != GONE:
                    self._account.purse.found(info.id, info.name)
                    known.append(info.id)
                    failed = self._end(info.id) or failed
            self._wait_until_gone(known)
        except RunPodError as error:
            failed = error
        if failed is not None:
            raise RunPodError(
                f"{failed}. Whether every pod has ended is not known: see `lamarck pods`, or the console. Left alone "
                f"it ends itself {self._order.lease_seconds / 60:g} minutes after the last word from here"
            ) from failed

    def _end(self, pod: str) -> RunPodError | None:
        try:
            self._account.ender.delete(pod)
            return None
        except RunPodError as error:
            return error

    def _wait_until_gone(self, known: list[str]) -> None:
        """Errors: RunPodError where one is still there after GONE_SECONDS."""
        until = time.monotonic() + GONE_SECONDS
        for pod in known:
            pause = 0.1
            while (info := self._account.ender.pod(pod)) is not None and info.status != GONE:
                if time.monotonic() > until:
                    raise RunPodError(f"pod {pod} was told to end, and is still {info.status}")
                time.sleep(pause)
                pause = min(2 * pause, 5.0)
                self._account.ender.delete(pod)
            self._account.purse.ended(pod)
            self._account.watchdog.tell("ended", pod)
            self._account.say(f"ended pod {pod}: {self.cost_line()}")
