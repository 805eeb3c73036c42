"""`lamarck suite overlap`: which problems of a file a suite's screen would refuse, and why."""

import json
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from lamarck import strict_json
from lamarck.commands.suite import suite_path
from lamarck.config.section import check_section
from lamarck.errors import LamarckError
from lamarck.files import parse_jsonl, read_regular
from lamarck.suites.suite import Suite, held_out_prompts, load_suite
from lamarck.visible import visible

LONGEST = 60  # characters of a prompt on the terminal


class SkillPrompt(BaseModel):
    """A line of a curriculum, or of any file with at least this."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    skill: str
    prompt: str = Field(min_length=1)


class OverlappingLine(NamedTuple):
    line: int
    skill: str
    prompt: str
    by: str
    share: float
    task: str
    held_out: str

    def why(self) -> str:
        match self.by:
            case "text":
                return f"it has the very words of {self.task}"
            case "varies":
                return f"{100 * self.share:.0f}% of what varies in it stands in {self.task}"
        return f"{100 * self.share:.0f}% of its words stand in runs of eight that {self.task} has"


def show(name: str, file: Path, as_json: bool) -> None:
    from lamarck.curriculum.suite_overlap import Contamination

    suite = load_suite(suite_path(name))
    lines = [
        (number, check_section(row, SkillPrompt, f"{file} line {number}"))
        for number, row in parse_jsonl(read_regular(file), file, strict_json.loads)
    ]
    contamination, tasks = Contamination(held_out_prompts(suite)), _tasks(suite)
    refused = []
    for number, line in lines:
        try:
            overlap = contamination.copied(line.skill, line.prompt)
        except LamarckError as error:
            raise LamarckError(f"{file} line {number}: {error}") from error
        if overlap:
            task = tasks.get(overlap.prompt, "a line of the corpus")
            share = round(overlap.share, 6)
            refused.append(OverlappingLine(number, line.skill, line.prompt, overlap.by, share, task, overlap.prompt))
    if as_json:
        found = {"suite": suite.name, "problems": len(lines), "refused": [each._asdict() for each in refused]}
        print(json.dumps(found, indent=2))
        return
    for each in refused:
        print(f"line {each.line}: {visible(each.prompt, LONGEST)}: {each.why()}")
    print(f"{len(refused):,} of {len(lines):,} problems would be refused by {suite.name}")


def _tasks(suite: Suite) -> dict[str, str]:
    """Held-out prompt -> the task that asks it, and its place there."""
    of_items = {
        item.prompt: f"{task} {number}" for task, items in suite.items.items() for number, item in enumerate(items)
    }
    return of_items | {task.prompt: task.name for task in suite.engineering_files}
