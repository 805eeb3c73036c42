"""A plan as a file: the one text of its values, whose digest a human's answer names. Light."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from lamarck.errors import LamarckError
from lamarck.files import canonical_json, digest_file, digest_text, write_json, write_text
from lamarck.lineage.records import make_record


class Planned(BaseModel):
    """Whatever a human is asked to approve."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PlanPart(BaseModel):
    """What stands in one."""

    model_config = ConfigDict(extra="forbid", frozen=True)


AnyPlan = TypeVar("AnyPlan", bound=Planned)


def plan_text(plan: Planned) -> str:
    """A plan's file. One that is older than some field does not hold it, and keeps its digest."""
    return canonical_json(plan.model_dump(mode="json", exclude_unset=True))


def plan_digest(plan: Planned) -> str:
    """What an approval names: sha256 of the bytes of the plan's file."""
    return digest_text(plan_text(plan))


def parse_plan(kind: type[AnyPlan], content: bytes, refusal: str) -> AnyPlan:
    """The plan that these bytes are: no other bytes are the same plan, so its digest is theirs.

    Errors: LamarckError, with `refusal`, for anything but a plan as it is written here, in the one text of its values.
    """
    try:
        plan = kind.model_validate(json.loads(content.decode("utf-8")))
        if plan_text(plan).encode() == content:
            return plan
    except (ValueError, RecursionError):
        pass
    raise LamarckError(refusal)


def write_plan(plan: Planned, file: Path, record: Path, inputs: Mapping[str, str], seed: int, started: float) -> None:
    """Write a plan to `file`, and to `record` what it was made from: `inputs` are digests by name, `started` is in
    seconds since the epoch."""
    write_text(file, plan_text(plan))
    made = make_record(digest_file(file), dict(inputs), seed, "cpu", time.time() - started, 0.0)
    write_json(record, {"record": made.model_dump(mode="json")})


def differing_fields(plan: BaseModel, other: BaseModel) -> list[str]:
    """In which fields, such as `cost.flops`, two plans, or two entries of plans, are not the same."""
    return _differing_values(plan.model_dump(mode="json"), other.model_dump(mode="json"))


def _differing_values(value: Any, other: Any, place: str = "") -> list[str]:
    """The places of JSON values, such as `cost.flops`, at which they are not the same."""
    if isinstance(value, dict) and isinstance(other, dict):
        keys = dict.fromkeys([*value, *other])
        return [
            field
            for key in keys
            for field in _differing_values(value.get(key), other.get(key), f"{place}.{key}" if place else key)
        ]
    # As text: 1 and 1.0 are equal, but not the same plan.
    return [] if canonical_json(value) == canonical_json(other) else [place]
