"""`lamarck suite judge`: what an answer in a file is worth, rung by rung."""

import json
from pathlib import Path

from lamarck.commands.suite import suite_path
from lamarck.engine import prepare_libraries
from lamarck.errors import LamarckError
from lamarck.files import read_regular
from lamarck.suites.suite import load_suite


def show(name: str, task: str, answer: Path, item: int, as_json: bool) -> None:
    suite = load_suite(suite_path(name))
    try:
        text = read_regular(answer).decode("utf-8")
    except UnicodeDecodeError as error:
        raise LamarckError(f"{answer} is not UTF-8 text, and an answer is: {error}") from error
    prepare_libraries(1)
    from lamarck.eval.one_answer import judge  # lm-eval and what runs answers: seconds

    row = judge(suite, task, item, text)
    # A task without rungs has one: the answer is right.
    rungs = row.get("rungs", {"right": row["score"] == 1})
    if as_json:
        found = {"suite": suite.name, "task": task, "item": item, "rungs": rungs, "score": row["score"]}
        print(json.dumps(found, indent=2))
        return
    print(f"{suite.name}: {task}, item {item}: {100 * row['score']:.0f} of 100 points")
    for rung, held in rungs.items():
        print(f"  {rung}: {'yes' if held else 'no'}")
