"""A founder that was bred here: a candidate of an evolution, with the weights that its line handed down. Light.

What it descends from is written down beside its weights, by the run that trained it under a human's approval.
"""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from lamarck.errors import LamarckError
from lamarck.files import digest_file, read_json, write_json
from lamarck.founder.local import copy_founder

DESCENT = "descent.json"
MODEL = "model.safetensors"


class Descended(BaseModel):
    """`plan`: digest of what was approved; `line`: its ancestors in the order of their births, itself the last;
    `genome` and `weights`: digests; `tokens`: read by itself; `text`: what all of them read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    evolution: str
    plan: str
    candidate: str
    line: tuple[str, ...]
    operators: tuple[str, ...]
    inherited: float
    tokens: int
    genome: str
    text: str
    license: str
    weights: str


def write_descent(directory: Path, descended: Descended) -> None:
    write_json(directory / DESCENT, descended.model_dump(mode="json"))


def copy_evolved(source: Path, output: Path) -> dict[str, Any]:
    """Copy a candidate into `output`; what is to be said of where it is from.

    Errors: LamarckError where it is missing or pruned, or its weights are not those that its line ended with.
    """
    if not source.is_dir():
        raise LamarckError(
            f"{source} does not exist: name a candidate that was trained to the end and not pruned, as `lamarck evolve "
            "report` lists them"
        )
    try:
        descended = Descended.model_validate(read_json(source / DESCENT))
    except ValidationError as error:
        raise LamarckError(f"{source / DESCENT} is damaged: run the evolution again under another name") from error
    if digest_file(source / MODEL) != descended.weights:
        raise LamarckError(
            f"{source / MODEL} is not what {descended.candidate} was trained to: restore it, or choose another"
        )
    copy_founder(source, output)
    return {"kind": "evolved", "origin": f"the evolution {descended.evolution}"} | descended.model_dump(mode="json")
