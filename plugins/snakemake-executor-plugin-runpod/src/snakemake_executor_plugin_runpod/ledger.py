"""What pods cost, on disk: a ceiling is spent by all runs together, and not granted anew by each.

A line of JSON for every event: `renting` (a pod of that name is asked for), `rented`, `charged` (the pod works for an
account), `ended`, `billed`. Lines are only appended, each written through before what comes after it is begun.
"""

import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from snakemake_executor_plugin_runpod.errors import RunPodError

HOUR = 3600.0
# RunPod bills a pod's disk beside it: $0.10 a month for a GB of a running pod's container disk.
DISK_DOLLARS_PER_GB_HOUR = 0.10 / 730
BILL_LAGS_SECONDS = 2 * HOUR


@dataclass(frozen=True)
class Row:
    """One pod. `price` in dollars an hour, disk included; times in seconds since the epoch. `deadline`: when it ends
    itself, whatever happens. `dollars`: by the bill where there is one, else by the clock."""

    pod: str
    price: float
    created: float
    deadline: float
    accounts: frozenset[str] = frozenset()
    ended: float | None = None
    billed: float = 0.0

    def dollars(self, now: float) -> float:
        """The more of clock and bill. A pod whose end nobody saw has cost what it may have cost at most."""
        end = self.ended if self.ended is not None else min(now, self.deadline)
        return max(self.billed, max(0.0, end - self.created) / HOUR * self.price)


@dataclass(frozen=True)
class Asked:
    """A pod that was asked for; whether it was made is not known. As `Row`."""

    price: float
    created: float
    deadline: float
    accounts: frozenset[str]


@dataclass
class Ledger:
    """Errors of every method: RunPodError where the file cannot be read or written."""

    path: Path
    rows: dict[str, Row] = field(default_factory=dict)
    asked: dict[str, Asked] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number, line in enumerate(self._lines(), start=1):
            try:
                self._take(json.loads(line))
            except (ValueError, TypeError, KeyError) as error:
                raise RunPodError(
                    f"line {number} of {self.path} cannot be read: it is what pods have cost. Restore it, or move "
                    "it away and lower the ceiling by what RunPod's console says was spent"
                ) from error

    def renting(self, name: str, price: float, created: float, deadline: float, accounts: Iterable[str]) -> None:
        times = {"created": created, "deadline": deadline}
        self._write({"event": "renting", "name": name, "price": price, "accounts": sorted(accounts), **times})

    def rented(self, pod: str, name: str, price: float, created: float, deadline: float) -> None:
        times = {"created": created, "deadline": deadline}
        self._write({"event": "rented", "pod": pod, "name": name, "price": price, **times})

    def found(self, pod: str, name: str) -> None:
        """A pod of ours is there. Where nobody lived to count it, it is counted as what was asked for."""
        if pod in self.rows or (asked := self.asked.get(name)) is None:
            return
        self.rented(pod, name, asked.price, asked.created, asked.deadline)
        for account in asked.accounts:
            self.charged([pod], account)

    def charged(self, pods: Iterable[str], account: str) -> None:
        for pod in pods:
            if account not in self.rows[pod].accounts:
                self._write({"event": "charged", "pod": pod, "account": account})

    def ended(self, pod: str, when: float) -> None:
        if self.rows[pod].ended is None:
            self._write({"event": "ended", "pod": pod, "when": when})

    def reconcile(self, running: Callable[[str], bool], billed: Callable[[str, float], float]) -> list[str]:
        """Compare with the account: `running(pod)`, and `billed(pod, since)` in dollars. A sentence for every pod that
        cost more than was counted, or whose end nobody had seen."""
        said = []
        for row in list(self.rows.values()):
            now = time.time()
            if row.billed or (row.ended is not None and now - row.ended < BILL_LAGS_SECONDS):
                continue
            if row.ended is None and running(row.pod):
                continue
            counted, dollars = row.dollars(now), billed(row.pod, row.created)
            if dollars <= 0 and row.ended is not None:
                continue
            if row.ended is None:
                # It is gone, and nobody saw when. The bill says what it was; until there is one, the most it can be.
                self._write({"event": "ended", "pod": row.pod, "when": min(now, row.deadline)})
                said.append(f"pod {row.pod} ended unseen: counted as ${max(counted, dollars):.2f}")
            elif dollars > counted * 1.05 + 0.01:
                said.append(f"pod {row.pod} was billed ${dollars:.2f}, not ${counted:.2f}: counted")
            if dollars > 0:
                self._write({"event": "billed", "pod": row.pod, "dollars": dollars})
        return said

    def spent(self, account: str, now: float) -> float:
        """Dollars of all pods that worked for `account`."""
        return sum(row.dollars(now) for row in self.rows.values() if account in row.accounts)

    def _take(self, event: dict[str, Any]) -> None:
        if event["event"] == "renting":
            times = float(event["created"]), float(event["deadline"])
            self.asked[event["name"]] = Asked(float(event["price"]), *times, frozenset(event["accounts"]))
            return
        pod = event["pod"]
        match event["event"]:
            case "rented":
                self.asked.pop(event["name"], None)
                self.rows[pod] = Row(pod, float(event["price"]), float(event["created"]), float(event["deadline"]))
            case "charged":
                row = self.rows[pod]
                self.rows[pod] = replace(row, accounts=row.accounts | {event["account"]})
            case "ended":
                self.rows[pod] = replace(self.rows[pod], ended=float(event["when"]))
            case "billed":
                self.rows[pod] = replace(self.rows[pod], billed=float(event["dollars"]))
            case other:
                raise ValueError(other)

    def _lines(self) -> list[str]:
        """Whole lines: a kill may have left half of one, which tells of nothing that was begun."""
        try:
            text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        except (OSError, UnicodeDecodeError) as error:
            raise RunPodError(f"{self.path} cannot be read: it is what pods have cost") from error
        whole, _, half = text.rpartition("\n")
        if half:
            os.truncate(self.path, len(f"{whole}\n".encode()) if whole else 0)
        return whole.split("\n") if whole else []

    def _write(self, event: dict[str, Any]) -> None:
        self._take(event)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(event, sort_keys=True) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise RunPodError(f"{self.path} cannot be written ({error.strerror}): it is what pods cost") from error
