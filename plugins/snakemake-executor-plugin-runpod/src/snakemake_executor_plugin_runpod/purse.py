"""What a run may still spend: its own ceiling, and that of each account that its pods work for, over all runs.

A job ends by it (job.py), and the pod by itself (boot.sh); where the controller is gone, watchdog.py ends it."""

import threading
import time

from snakemake_executor_plugin_runpod.choose import Need
from snakemake_executor_plugin_runpod.ledger import HOUR, Ledger


class Purse:
    """Thread-safe. Pods that run side by side spend the run's ceiling together; an account is spent by the pods of the
    shapes that work for it."""

    def __init__(self, ledger: Ledger, dollars: float) -> None:
        """`dollars`: ceiling of this run."""
        self._ledger = ledger
        self._run = dollars
        self._accounts: dict[Need, dict[str, float]] = {}
        self._pods: dict[str, Need] = {}
        self._lock = threading.RLock()

    def renting(self, name: str, shape: Need, price: float, created: float, deadline: float) -> None:
        """Before a pod is asked for: whoever finds it can count it. As `rented`."""
        with self._lock:
            self._ledger.renting(name, price, created, deadline, self._accounts.get(shape, {}))

    def rented(self, pod: str, name: str, shape: Need, price: float, created: float, deadline: float) -> None:
        """Counted from here on; `price` in dollars an hour, times in seconds since the epoch."""
        with self._lock:
            self._ledger.rented(pod, name, price, created, deadline)
            self._pods[pod] = shape
            for account in self._accounts.get(shape, {}):
                self._ledger.charged([pod], account)

    def found(self, pod: str, name: str) -> None:
        """A pod that nobody knew of is there: what it costs is counted, as far as anybody can tell."""
        with self._lock:
            self._ledger.found(pod, name)

    def ended(self, pod: str) -> None:
        """Also of a pod of which nothing is known, which costs nothing here."""
        with self._lock:
            if pod in self._ledger.rows:
                self._ledger.ended(pod, time.time())

    def running(self) -> list[str]:
        """Ids of the run's pods that are not known to have ended."""
        with self._lock:
            return [pod for pod in self._pods if self._ledger.rows[pod].ended is None]

    def work_for(self, shape: Need, account: str, dollars: float) -> None:
        """From now on pods of `shape` spend of `account`, too, of which all runs together may spend `dollars`; what
        they have spent in this run already counts. The least that was ever named holds."""
        with self._lock:
            accounts = self._accounts.setdefault(shape, {})
            accounts[account] = min(dollars, accounts.get(account, dollars))
            self._ledger.charged([pod for pod, its in self._pods.items() if its == shape], account)

    def ceiling(self, shape: Need | None = None) -> float:
        """Of all that pods of `shape` (None: of every shape) spend of, the one that leaves least."""
        return self._tightest(shape)[1]

    def spent(self, shape: Need | None = None) -> float:
        """Of that ceiling."""
        return self._tightest(shape)[0]

    def left(self, shape: Need | None = None) -> float:
        spent, ceiling = self._tightest(shape)
        return ceiling - spent

    def until(self, shape: Need) -> float:
        """When nothing is left for `shape` if all pods that run now go on, in seconds since the epoch: of the run's
        ceiling, which they spend together, or of an account's, which those that work for it do."""
        with self._lock:
            now, running = time.time(), self.running()
            hours = [self._hours(running, self._run - sum(self._ledger.rows[pod].dollars(now) for pod in self._pods))]
            for account, most in self._accounts.get(shape, {}).items():
                its = [pod for pod in running if account in self._ledger.rows[pod].accounts]
                hours.append(self._hours(its, most - self._ledger.spent(account, now)))
            return now + min(hours) * HOUR

    def _hours(self, pods: list[str], dollars: float) -> float:
        """For which `dollars` last."""
        rate = sum(self._ledger.rows[pod].price for pod in pods)
        return dollars / rate if rate else float("inf")

    def _tightest(self, shape: Need | None) -> tuple[float, float]:
        """(spent, ceiling)."""
        with self._lock:
            now = time.time()
            every = [(sum(self._ledger.rows[pod].dollars(now) for pod in self._pods), self._run)]
            for its, accounts in self._accounts.items():
                if shape in (its, None):
                    every += [(self._ledger.spent(account, now), most) for account, most in accounts.items()]
            return min(every, key=lambda pair: pair[1] - pair[0])
