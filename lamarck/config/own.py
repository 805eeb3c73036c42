"""A user's own skills and problems, as a strategy names them: where they lie, and what their bytes are. Light.

Nothing of them is run here: what runs, and where, says lamarck/skills/own.py.
"""

from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from lamarck.config.section import Section
from lamarck.errors import LamarckError
from lamarck.files import digest_file

GROUP = "lamarck.skills"  # of the entry points under which packages register skills
ENTRY_POINT = "entry point"


class Problems(Section):
    """Problems from a file: the teacher only answers them."""

    file: str = Field(description="JSON lines, each with a `prompt` and, where it is known, an `answer`.")
    judge: Literal["exact", "numeric", "pattern", "program", "vote", "function"] = Field(
        description="exact: the answer's words. numeric: its last number. pattern: `answer` is a regular expression "
        "for all of it. program: `answer` is asserts, run in the sandbox against the answer's code. vote: no answer is "
        "known, and what most say counts (answers.choose: vote). function: one of your own."
    )
    function: str | None = Field(None, description="FILE.py:NAME, where the judge is a function of your own.")

    @model_validator(mode="after")
    def _a_function_where_one_judges(self) -> "Problems":
        if (self.judge == "function") != (self.function is not None):
            raise ValueError("function: FILE.py:NAME belongs to judge: function, and to no other")
        if self.function is not None and not all(self.function.rpartition(":")):
            raise ValueError(f"function: {self.function!r} is not FILE.py:NAME")
        return self

    @property
    def files(self) -> tuple[Path, ...]:
        return (Path(self.file), *([Path(self.function.rpartition(":")[0])] if self.function else []))


def code_files(code: str) -> tuple[Path, ...]:
    """The file of a skill that is one; none of an installed package's."""
    return () if code == ENTRY_POINT else (Path(code),)


def entry_point(name: str) -> EntryPoint:
    """The skill that an installed package registers. Errors: LamarckError where there is not exactly one."""
    found = list(entry_points(group=GROUP, name=name))
    if len(found) != 1:
        raise LamarckError(
            f"{len(found)} installed packages register a skill {name!r} under the entry points {GROUP}: install one"
        )
    return found[0]


def code_digest(name: str, code: str) -> str:
    """Of the module that holds the skill. Errors: LamarckError where it is not there."""
    if code != ENTRY_POINT:
        return _digest(Path(code))
    module = entry_point(name).module
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise LamarckError(f"the entry point of skill {name!r} names a module {module!r} that is not there")
    return _digest(Path(spec.origin))


def problems_digests(problems: Problems) -> list[str]:
    return [_digest(path) for path in problems.files]


def _digest(path: Path) -> str:
    if not path.is_file():
        raise LamarckError(f"{path}, which the strategy names, does not exist")
    return digest_file(path)
