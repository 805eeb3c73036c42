"""approvals/gN.ok: a human's answer to one plan. A person can read it, and write it by hand. Light."""

import datetime
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from lamarck import strict_yaml
from lamarck.errors import LamarckError
from lamarck.files import read_regular, write_text

HEADER = "# A human's approval of one training run. It holds for exactly the plan whose digest it names.\n"


class Approver(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"\S", description="Somebody: a blank name is nobody's answer.")
    contact: str | None = None

    @field_validator("name", "contact")
    @classmethod
    def _can_be_seen(cls, value: str | None) -> str | None:
        return None if value is None else strict_yaml.check_name(value)


def make_approver(name: str, contact: str | None) -> Approver:
    """Errors: LamarckError, one sentence, for a name that is blank or holds what nobody can see."""
    try:
        return Approver(name=name, contact=contact)
    except ValidationError as error:
        first = error.errors()[0]
        raise LamarckError(f"the approver's {first['loc'][0]} {name!r} does not do: {first['msg']}") from error


class Approval(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    generation: str = Field(description="What is approved: a generation, or a step of a campaign.")
    decision: Literal["approve"]
    plan: str = Field(pattern=r"^[0-9a-f]{64}$", description="Digest of plan.json, which covers everything else.")
    budget_device_seconds: float = Field(
        gt=0, allow_inf_nan=False, description="The most that this human allows the run."
    )
    approver: Approver
    date: datetime.date
    expires: datetime.date
    note: str = ""


def today() -> datetime.date:
    """In UTC, so that an approval expires at one moment everywhere."""
    return datetime.datetime.now(datetime.UTC).date()


def write_approval(path: Path, approval: Approval) -> None:
    content = approval.model_dump(mode="python", exclude_none=True)
    # What nobody would see in a note is written as an escape, as it is read.
    plain = strict_yaml.INVISIBLE.search(approval.note) is None
    write_text(path, HEADER + yaml.safe_dump(content, sort_keys=False, allow_unicode=plain))


def read_approval(path: Path, generation: str) -> Approval:
    """The approval at `path`; errors as `parse_approval`, and where it is not a regular file."""
    return parse_approval(read_regular(path), path, f"lamarck approve {generation}")


def parse_approval(content: bytes, source: Path, command: str) -> Approval:
    """The approval that these bytes are. `source` and `command`, which writes it anew, are what an error speaks of.

    Errors: LamarckError, one sentence, for bytes that are empty, malformed or say something else than approve.
    """
    advice = f"write it again with `{command}`"
    try:
        values = strict_yaml.loads(content, str(source))
    except LamarckError as error:
        raise LamarckError(f"{error}: {advice}") from error
    if values is None:
        raise LamarckError(f"{source} is empty, and an empty file approves nothing: {advice}")
    try:
        return Approval.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise LamarckError(f"{source} is not a valid approval ({place}: {first['msg']}): {advice}") from error
