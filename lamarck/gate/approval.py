"""approvals/gN.ok: a human's answer to one plan. A person can read it, and write it by hand. Light."""

import datetime
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lamarck.errors import LamarckError
from lamarck.files import write_text

HEADER = "# A human's approval of one training run. It holds for exactly the plan whose digest it names.\n"


class Approver(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    contact: str | None = None


class Approval(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    generation: str
    decision: Literal["approve"]
    plan: str = Field(pattern=r"^[0-9a-f]{64}$", description="Digest of plan.json, which covers everything else.")
    budget_device_seconds: float = Field(gt=0, description="The most that this human allows the run.")
    approver: Approver
    date: datetime.date
    expires: datetime.date
    note: str = ""


def today() -> datetime.date:
    """In UTC, so that an approval expires at one moment everywhere."""
    return datetime.datetime.now(datetime.UTC).date()


def write_approval(path: Path, approval: Approval) -> None:
    content = approval.model_dump(mode="python", exclude_none=True)
    write_text(path, HEADER + yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def read_approval(path: Path, generation: str) -> Approval:
    """Errors: LamarckError, one sentence, for a file that is empty, malformed or says something else than approve."""
    advice = f"write it again with `lamarck approve {generation}`"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise LamarckError(f"{path} is not valid YAML: {advice}") from error
    if content is None:
        raise LamarckError(f"{path} is empty, and an empty file approves nothing: {advice}")
    try:
        return Approval.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise LamarckError(f"{path} is no valid approval ({place}: {first['msg']}): {advice}") from error
