"""Where the files of a night lie, and which night is meant. Light."""

import datetime
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from lamarck.errors import LamarckError
from lamarck.files import read_regular, write_text
from lamarck.lineage.generation import RATCHETS, RESULTS

TAG = re.compile(r"[\w-]+")


@dataclass(frozen=True)
class NightFiles:
    """results.tsv and intervals.tsv are derived from the ledger."""

    ratchet: str
    tag: str

    @property
    def directory(self) -> Path:
        return directory_of(self.ratchet) / self.tag

    @property
    def file(self) -> Path:
        """The ratchet's file, as it was when the night began."""
        return self.directory / "ratchet.yaml"

    @property
    def plan(self) -> Path:
        return self.directory / "plan.json"

    @property
    def ledger(self) -> Path:
        return self.directory / "ledger.jsonl"

    @property
    def results(self) -> Path:
        return self.directory / "results.tsv"

    @property
    def intervals(self) -> Path:
        return self.directory / "intervals.tsv"

    @property
    def log(self) -> Path:
        """What the last experiment said."""
        return self.directory / "run.log"

    def diff(self, number: int) -> Path:
        return self.directory / "diffs" / f"{number:04}.diff"

    @property
    def promotion(self) -> Path:
        """The ledger of what was tried at a larger size."""
        return self.directory / "promotion.jsonl"


def directory_of(ratchet: str) -> Path:
    return RESULTS / RATCHETS / ratchet


def machine() -> str:
    """This machine's name, as it stands in a branch's."""
    return re.sub(r"[^\w-]+", "-", platform.node().split(".")[0]).strip("-").lower() or "machine"


def new_tag() -> str:
    """Today's night on this machine: autoresearch's convention, such as nov27-m4max."""
    return f"{datetime.date.today():%b%d}-{machine()}".lower()


def night_of(ratchet: str, tag: str | None) -> NightFiles:
    """The night to go on with: the one named, else the one that is not over, else today's. Errors: LamarckError."""
    if tag is not None and not TAG.fullmatch(tag):
        raise LamarckError(f"--tag {tag}: letters, digits, - and _ alone, for it names a branch")
    return NightFiles(ratchet, tag or _current(ratchet) or new_tag())


def last_night(ratchet: str, tag: str | None) -> NightFiles:
    """The night that ran last, or the one named. Errors: LamarckError where none has."""
    found = NightFiles(ratchet, tag or _current(ratchet, over=True) or "")
    if not found.tag or not found.plan.exists():
        known = ", ".join(sorted(path.parent.name for path in directory_of(ratchet).glob("*/plan.json"))) or "none"
        raise LamarckError(f"no night of {ratchet} has run here by that name (there is: {known})")
    return found


def mark(night: NightFiles, over: bool) -> None:
    """Note which night is the last one, and whether it is over."""
    write_text(directory_of(night.ratchet) / "last", f"{night.tag} {'over' if over else 'going'}\n")


def _current(ratchet: str, over: bool = False) -> str | None:
    path = directory_of(ratchet) / "last"
    if not path.exists():
        return None
    tag, _, state = read_regular(path).decode("utf-8", errors="replace").strip().partition(" ")
    return tag if over or state == "going" else None
