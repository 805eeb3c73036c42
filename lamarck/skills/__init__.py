"""Skills: kinds of item. Each knows how it is asked for, written, parsed, and exactly verified.

A new skill is one module here with a class that follows `Skill`, an entry in `SKILLS`, and one test.
"""

from lamarck.errors import LamarckError
from lamarck.skills.arithmetic import Arithmetic
from lamarck.skills.base import Malformed, Problem, Skill, Verdict
from lamarck.skills.json_mode import JsonMode
from lamarck.skills.list_ops import ListOps

SKILLS: dict[str, Skill] = {skill.name: skill for skill in (JsonMode(), Arithmetic(), ListOps())}

__all__ = ["SKILLS", "Malformed", "Problem", "Skill", "Verdict", "get_skill"]


def get_skill(name: str) -> Skill:
    """The skill called `name`. Errors: LamarckError that lists the ones there are."""
    try:
        return SKILLS[name]
    except KeyError as error:
        raise LamarckError(f"there is no skill {name!r}; the skills are {', '.join(SKILLS)}") from error
