"""Skills: kinds of item. Each knows how it is asked for, written, parsed, and exactly verified.

A new skill is one module here with a class that follows `Skill`, an entry in `SKILLS`, and one test. Those of the tiny
world, whose models know a few hundred words, are a `TaggedSkill`.
"""

from lamarck.errors import LamarckError
from lamarck.skills.arithmetic import Arithmetic
from lamarck.skills.base import Malformed, Problem, Skill, TaggedSkill, Verdict
from lamarck.skills.curriculum_design import CurriculumDesignSkill
from lamarck.skills.json_mode import JsonMode
from lamarck.skills.json_schema import JsonSchema
from lamarck.skills.list_ops import ListOps
from lamarck.skills.math_word import MathWord
from lamarck.skills.ml_diagnosis import MlDiagnosis
from lamarck.skills.own import declared, own_skill
from lamarck.skills.plain_record import PlainRecord
from lamarck.skills.plain_steps import PlainSteps
from lamarck.skills.plain_sums import PlainSums
from lamarck.skills.python_code import PythonCode

TAGGED: dict[str, TaggedSkill] = {skill.name: skill for skill in (JsonMode(), Arithmetic(), ListOps())}
PLAIN: tuple[Skill, ...] = (PlainRecord(), PlainSteps(), PlainSums())
IN_ENGLISH: tuple[Skill, ...] = (*PLAIN, JsonSchema(), PythonCode(), MathWord(), CurriculumDesignSkill(), MlDiagnosis())
SKILLS: dict[str, Skill] = {**TAGGED, **{skill.name: skill for skill in IN_ENGLISH}}

__all__ = [
    "SKILLS",
    "TAGGED",
    "Malformed",
    "Problem",
    "Skill",
    "TaggedSkill",
    "Verdict",
    "get_skill",
    "get_tagged_skill",
]


def get_skill(name: str) -> Skill:
    """The skill called `name`, of this package or the user's own. Errors: LamarckError that lists those there are."""
    skill = SKILLS.get(name) or own_skill(name)
    if skill is None:
        raise LamarckError(f"there is no skill {name!r}; the skills are {', '.join([*SKILLS, *declared()])}")
    return skill


def get_tagged_skill(name: str) -> TaggedSkill:
    """The tiny world's skill called `name`. Errors: LamarckError that lists the ones there are."""
    skill = get_skill(name)
    if not isinstance(skill, TaggedSkill):
        raise LamarckError(f"the tiny world has no skill {name!r}; its skills are {', '.join(TAGGED)}")
    return skill


def words_of(name: str) -> list[str]:
    """Every word of a skill whose words are few enough to be a token each. Errors: LamarckError for another."""
    skill = get_skill(name)
    return skill.vocabulary() if isinstance(skill, PlainRecord) else get_tagged_skill(name).vocabulary()
