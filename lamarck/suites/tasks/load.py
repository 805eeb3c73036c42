"""The kinds of engineering task, and how a task file is read. Light."""

from pathlib import Path

from lamarck import strict_yaml
from lamarck.config.section import check_section
from lamarck.errors import LamarckError
from lamarck.suites.tasks.base import EngineeringTask
from lamarck.suites.tasks.curriculum_design import CurriculumDesign
from lamarck.suites.tasks.custom_code import CustomCode
from lamarck.suites.tasks.diagnosis import Diagnosis
from lamarck.suites.tasks.training_loop import TrainingLoop

KINDS: dict[str, type[EngineeringTask]] = {
    "training_loop": TrainingLoop,
    "curriculum_design": CurriculumDesign,
    "custom_code": CustomCode,
    "diagnosis": Diagnosis,
}


def load_task(path: Path) -> EngineeringTask:
    """Read one task file. Errors: LamarckError with one sentence for anything that is not as its kind wants it."""
    content = strict_yaml.load(path)
    kind = content.get("kind") if isinstance(content, dict) else None
    if kind not in KINDS:
        raise LamarckError(f"{path}: there is no kind of task {kind!r}; the kinds are {', '.join(KINDS)}")
    task = check_section(content, KINDS[kind], str(path))
    if task.name != path.stem:
        raise LamarckError(f"{path}: the task inside is called {task.name!r}, and its file must be too")
    return task
