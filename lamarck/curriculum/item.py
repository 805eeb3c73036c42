"""One item of a curriculum: what training sees (prompt, completion) and where it comes from."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lamarck import strict_json
from lamarck.errors import LamarckError
from lamarck.files import digest_value, parse_jsonl, read_regular

DATA = "g0's data"  # in place of a teacher, for items that no generation wrote


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Teacher(Closed):
    generation: str = Field(description="Name of the generation that wrote the item: g0, control/g1.")
    digest: str = Field(description="Digest of that generation's model.")


class ItemVerdict(Closed):
    verified: bool
    by: str = Field(description="Name of the verifier; `none` where nothing was checked (the control arm).")
    score: float = Field(ge=0, le=1)


class Item(Closed):
    """A line of curriculum.jsonl. Training needs `prompt` and `completion`; the rest is provenance.

    Every line holds every field, an empty text where there is nothing to say: readers such as `datasets` take the types
    of a whole file from its first megabytes, where a missing field, or null, has none. Only `context`, which no teacher
    writes, is left out of a line that has none.
    """

    id: str = Field(description="Digest of skill, prompt and completion.")
    skill: str = Field(description="The kind of problem, which decides how it is verified.")
    difficulty: int = Field(description="As the skill measures it, from the problem alone.")
    task: Literal["solve", "write"] = Field(
        "solve",
        description="solve: a problem and its answer; write: what a teacher is asked, and the line that it wrote.",
    )
    prompt: str = Field(min_length=1, description="What the child is asked.")
    completion: str = Field(min_length=1, description="What the child learns to answer.")
    reasoning: str = Field("", description="What a reasoning teacher thought before it wrote.")
    reasoning_of: Literal["", "solve", "write"] = Field(
        "", description="What it thought about: the answer alone, or problem and answer together."
    )
    teacher: Teacher = Field(description="Who wrote it: the generation's name, and the digest of its model.")
    verdict: ItemVerdict = Field(description="Whether a verifier agreed, which one, and its score from 0 to 1.")
    strategy: str = Field(description="Digest of the strategy that asked for it.")
    context: str = Field(
        "",
        exclude_if=lambda text: not text,
        description="What stands before the prompt while the child learns, and is given by the strategy or by a human: "
        "the id and the verdict are of prompt and completion alone.",
    )
    edited_from: str = Field("", description="Id of the item as its teacher wrote it, where a human changed it since.")


def own_items(items: Iterable[Item], teacher: str) -> list[Item]:
    """The problems that one teacher, named by its digest, solved: without what was mixed in, and without the items
    that repeat them as they were written."""
    return [item for item in items if item.teacher.digest == teacher and item.task == "solve"]


def mixed_in(items: Iterable[Item], parent_digest: str) -> tuple[list[Item], list[Item]]:
    """(replayed, anchors): the problems in a curriculum that are not its teacher's own."""
    others = [item for item in items if item.task == "solve" and item.teacher.digest != parent_digest]
    return (
        [item for item in others if item.teacher.generation != DATA],
        [item for item in others if item.teacher.generation == DATA],
    )


def item_id(skill: str, prompt: str, completion: str) -> str:
    return digest_value([skill, prompt, completion])


def read_curriculum(path: Path) -> Iterator[Item]:
    """The items of a curriculum file. Errors: LamarckError that names the line and what is wrong with it."""
    yield from parse_curriculum(read_regular(path), path)


def parse_curriculum(content: bytes, source: Path) -> Iterator[Item]:
    """The items of a curriculum whose bytes have been read already; errors name `source`."""
    for number, row in parse_jsonl(content, source, strict_json.loads):
        try:
            item = Item.model_validate(row)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "the line"
            raise LamarckError(f"{source} line {number}: {place}: {first['msg']}") from error
        if item.id != item_id(item.skill, item.prompt, item.completion):
            raise LamarckError(f"{source} line {number}: id is not the digest of skill, prompt and completion")
        yield item
