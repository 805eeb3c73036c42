"""The floor and the ceiling of a suite: what one gets who says nothing, guesses, or knows every answer."""

import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lamarck.engine.rule import RuleEngine
from lamarck.eval.run import evaluate
from lamarck.files import write_text
from lamarck.skills import get_skill
from lamarck.suites.suite import CORPUS, TIERS, Suite, held_out_prompts

BEGIN, END = "<!-- calibration: made by `lamarck suite calibrate` -->", "<!-- end of calibration -->"
MOST_DRAWS = 10_000  # for a problem that is new: where so many are not, the space is used up
Row = tuple[str, dict[str, float | None]]  # who answered, and the score of each tier


def answerers(suite: Suite) -> dict[str, RuleEngine]:
    """Says nothing, guesses (the answer to another question of the suite), and knows: references and generators."""
    references = _references(suite)
    pool = sorted(set(references.values()))
    writer = _Writer(suite)
    return {
        "says nothing": RuleEngine(lambda prompt, rng: ""),
        "guesses": RuleEngine(lambda prompt, rng: rng.choice(pool)),
        "knows": RuleEngine(lambda prompt, rng: references.get(prompt) or writer.write(prompt, rng)),
    }


def _references(suite: Suite) -> dict[str, str]:
    """Prompt -> right answer, for every question that the suite holds itself."""
    items = {item.prompt: item.target for found in suite.items.values() for item in found}
    return items | {task.prompt: task.reference for task in suite.engineering_files}


class _Writer:
    """Writes problems straight from the skills' generators, none of them twice and none that is held out."""

    def __init__(self, suite: Suite) -> None:
        teaching = suite.tiers.teaching
        asked = [(task.skill, task.difficulty) for task in suite.tiers.engineering.tasks]
        asked += [(teaching.skill, difficulty) for difficulty in teaching.writes]
        self._cells = {get_skill(name).ask(difficulty): (get_skill(name), difficulty) for name, difficulty in asked}
        self._taken = set(held_out_prompts(suite))

    def write(self, prompt: str, rng: random.Random) -> str:
        """The problem that `prompt` asks for, with its answer; nothing for other prompts, or when none is left."""
        if prompt not in self._cells:
            return ""
        skill, difficulty = self._cells[prompt]
        drawn = (skill.sample(rng, difficulty) for _ in range(MOST_DRAWS))
        problem = next((problem for problem in drawn if problem.prompt not in self._taken), None)
        if problem is None:
            return ""
        self._taken.add(problem.prompt)
        return skill.written(problem.prompt, problem.completion)[1]


def calibrate(suite: Suite, student: Path) -> tuple[list[Row], dict[str, str]]:
    """The tiers' scores of each answerer, and why what is missing could not run: task -> reason."""
    # Without the corpus: bits per byte are of a model's probabilities.
    asked = {name: task for name, task in suite.lm_eval_tasks.items() if name != CORPUS}
    rows: list[Row] = []
    errors: dict[str, str] = {}
    for name, answerer in answerers(suite).items():
        scores, _ = evaluate(replace(suite, lm_eval_tasks=asked), answerer, student)
        rows.append((name, tier_scores(scores)))
        errors |= scores.get("errors", {})
    return rows, errors


def tier_scores(scores: Mapping[str, Any]) -> dict[str, float | None]:
    """Of an evaluation's result: tier -> points, and the whole under `score`."""
    return {tier: scores["tiers"][tier]["score"] for tier in TIERS} | {"score": scores["score"]}


def write_table(suite: Path, rows: list[Row]) -> None:
    """Put the table into the suite's README, between its marks; at the end where it has none."""
    lines = ["| | " + " | ".join((*TIERS, "score")) + " |", "|---" * (len(TIERS) + 2) + "|"]
    for name, scores in rows:
        points = ("not run" if each is None else f"{each:.1f}" for each in scores.values())
        lines.append(f"| {name} | " + " | ".join(points) + " |")
    table = "\n".join([BEGIN, *lines, END])
    readme = suite / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.exists() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    write_text(readme, f"{before}{table}{after}" if begin and end else f"{text}\n{table}\n")
