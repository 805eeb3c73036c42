"""A plan as a file: the one text of its values, whose digest a human's answer names. Light."""

import json
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

from lamarck.errors import LamarckError
from lamarck.files import canonical_json, digest_text


class Planned(BaseModel):
    """Whatever a human is asked to approve."""

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
