"""`lamarck skills`: what can be asked of a teacher, and who judges it."""

import json
from typing import Any

from rich import box
from rich.table import Table

from lamarck import output
from lamarck.skills import SKILLS, TAGGED


def show(as_json: bool) -> None:
    if as_json:
        print(json.dumps([_row(name) for name in SKILLS], indent=2, sort_keys=True))
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("skill", no_wrap=True)
    table.add_column("for")
    table.add_column("difficulties", no_wrap=True)
    table.add_column("what it asks; who judges it")
    for name in SKILLS:
        row = _row(name)
        levels = row["difficulties"]
        table.add_row(name, row["for"], f"{levels[0]} to {levels[-1]}", row["description"])
    output.console().print(table)


def _row(name: str) -> dict[str, Any]:
    skill = SKILLS[name]
    readers = "the tiny world" if name in TAGGED else "models that read English"
    return {
        "name": name,
        "for": readers,
        "difficulties": list(skill.difficulties),
        "description": skill.description,
    }
