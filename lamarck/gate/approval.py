"""approvals/gN.ok: a human's answer to one plan. A person can read it, and write it by hand. Light."""

import datetime
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lamarck.errors import LamarckError
from lamarck.files import write_text

HEADER = "# A human's approval of one training run. It holds for exactly the plan whose digest it names.\n"


class Approver(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"\S", description="Somebody: a blank name is nobody's answer.")
    contact: str | None = None


class Approval(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    generation: str
    decision: Literal["approve"]
    plan: str = Field(pattern=r"^[0-9a-f]{64}$", description="Digest of plan.json, which covers everything else.")
    budget_device_seconds: float = Field(
        gt=0, allow_inf_nan=False, description="The most that this human allows the run."
    )
    approver: Approver
    date: datetime.date
    expires: datetime.date
    note: str = ""


class _Loader(yaml.SafeLoader):
    """YAML as it is defined: a key that stands twice is an error. Two decisions in one file are none."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [str(key.value) for key, _ in node.value]
        twice = next((key for place, key in enumerate(keys) if key in keys[:place]), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(problem=f"{twice!r} stands there twice")
        return super().construct_mapping(node, deep)


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
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise LamarckError(f"{path} cannot be read ({error.strerror}): {advice}") from error
    # ValueError: no UTF-8, or a day that no calendar has.
    except (yaml.YAMLError, ValueError) as error:
        reason = getattr(error, "problem", None) or str(error)
        raise LamarckError(f"{path} is not valid YAML ({reason}): {advice}") from error
    if content is None:
        raise LamarckError(f"{path} is empty, and an empty file approves nothing: {advice}")
    try:
        return Approval.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise LamarckError(f"{path} is no valid approval ({place}: {first['msg']}): {advice}") from error
