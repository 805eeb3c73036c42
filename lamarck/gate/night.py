"""The plan of a ratchet's night: experiments on one subject, which one human's answer covers, with one ceiling. Light.

Most experiments train models that are no generation. Where the subject is a strategy, they raise lineages of a founder
that is pretrained here; then `raised` says what these may be, and the gate compares each of their trainings with it.
"""

from pathlib import Path

from pydantic import Field

from lamarck.files import read_regular
from lamarck.gate.planned import Planned, parse_plan
from lamarck.gate.search import SearchPlan
from lamarck.lineage.generation import APPROVALS, RATCHETS


class RatchetPlan(Planned):
    """What a human is asked. `machine`: its name and processor, for a baseline is of one
    machine. `config` is the path of the ratchet's file, `base` the commit that the night starts from;
    `file`, and `subject`, `evaluator` and `data` by their files' names, are digests. `agent`: its kind, and how it is
    called. `experiments`: proposals at most."""

    ratchet: str
    night: str
    machine: str
    config: str
    base: str
    file: str
    subject: dict[str, str]
    evaluator: dict[str, str]
    data: dict[str, str]
    run_command: str
    eval_command: str
    trust: str
    agent: str
    experiments: int
    device_seconds: float
    # The plan of a night that raises no lineage stays the same plan.
    raised: SearchPlan | None = Field(None, exclude_if=lambda value: value is None)

    @property
    def name(self) -> str:
        return f"{RATCHETS}/{self.ratchet}.{self.night}"

    @property
    def approval(self) -> Path:
        return APPROVALS / f"{self.name}.ok"


def read_ratchet_plan(path: Path) -> RatchetPlan:
    """Read once. Errors: LamarckError for anything but a plan as it is written here."""
    refusal = f"{path} is not a ratchet's plan as `lamarck` writes it: restore it, or start another night"
    return parse_plan(RatchetPlan, read_regular(path), refusal)
