"""Prompts of a candidate rewritten by a model, from what its parent's teachers had refused and where it lost.

What the model writes is data: a file of prompt templates, which is read like one that a person wrote, held to a length
and refused where it is a copy of a held-out problem. It can name no key but those of prompts: no budget, no suite.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import yaml
from pydantic import Field

from lamarck import strict_yaml
from lamarck.config.prompts import Prompts
from lamarck.config.section import Section, check_section
from lamarck.errors import LamarckError

if TYPE_CHECKING:
    from lamarck.curriculum.refused import RejectedLine
    from lamarck.curriculum.suite_overlap import Contamination
    from lamarck.engine import Engine

LONGEST = 8000  # characters of prompts that a model wrote
SHOWN, SHOWN_CHARACTERS = 12, 300  # refused texts, and how much of each
UNCHANGED = "As its parent's: the writer gave none that could be used."


class PromptWriter(Section):
    """Who rewrites prompts: a model directory, behind the configuration's engine."""

    model: str = Field(description="Directory of the model; with the engine `server`, what that serves.")
    share: float = Field(0.25, gt=0, le=1, description="Of new candidates, those whose prompts are rewritten.")
    max_new_tokens: int = Field(1500, ge=1)
    temperature: float = Field(0.7, ge=0)
    tries: int = Field(3, ge=1, description="After so many that cannot be read the parent's prompts stay.")


def rewrite(
    writer: PromptWriter, engine: "Engine", before: Prompts, request: str, held_out: "Contamination", seed: int
) -> Prompts:
    """The first of `tries` answers to `request` that can be used; else `before`, and its description says so."""
    for attempt in range(writer.tries):
        (text,) = engine.generate(
            [request], max_new_tokens=writer.max_new_tokens, temperature=writer.temperature, seed=seed + attempt
        )
        try:
            return read_written(text, held_out)
        except LamarckError:
            continue
    return before.model_copy(update={"description": UNCHANGED})


def read_written(text: str, held_out: "Contamination") -> Prompts:
    """The prompts in a model's answer: its last block between ``` marks, or all of it.

    Errors: LamarckError for anything but prompts, for more than `LONGEST` characters, and for a held-out problem."""
    text = text.rpartition("</think>")[2]
    parts = text.split("```")
    block = parts[-2].removeprefix("yaml") if len(parts) > 2 else text
    if len(block) > LONGEST:
        raise LamarckError(f"the writer's prompts have {len(block)} characters, more than {LONGEST}")
    source = "the writer's prompts"
    found = check_section(strict_yaml.loads(block.encode("utf-8"), source), Prompts, source)
    for part in (found.description, found.write, found.solve, found.examples, *found.topics):
        if held_out.copied_anywhere(part):
            raise LamarckError("the writer's prompts hold a problem of a suite")
    return found


def asked(before: Prompts, refused: Sequence["RejectedLine"], lost: Mapping[str, float]) -> str:
    """What the writer is told: the prompts, what was refused with why, and the tasks on which points were lost."""
    values = before.model_dump(mode="json", exclude_defaults=True)
    lines = [
        "A teacher model writes problems with answers from the prompt templates below. A program verifies them, and a",
        "student learns from those that pass. Rewrite the templates so that fewer are refused and fewer points lost.",
        "",
        "The templates, as YAML:",
        "```yaml",
        yaml.safe_dump(values or {"write": before.write, "solve": before.solve}, sort_keys=False).rstrip(),
        "```",
        "`write` must contain {request} and may contain {topic}; `solve` must contain {problem}; `examples` must have",
        "{examples} and {request}; `topics` is a list. There are no other keys but `description`, one line.",
        "",
        "Refused, most often first:",
    ]
    often = sorted(refused, key=lambda each: -each.number)[:SHOWN]
    for each in often:
        text = " ".join(each.text.split())[:SHOWN_CHARACTERS]
        lines.append(f"- {each.skill} {each.difficulty}, {each.number} times, {each.reason}: {each.why} | {text}")
    lines += [] if often else ["- nothing"]
    lines += ["", "Points lost to the strategy it is compared with:"]
    worst = sorted(lost.items(), key=lambda each: each[1])[:SHOWN]
    lines += [f"- {task}: {difference:+.1f}" for task, difference in worst if difference < 0] or ["- none"]
    lines += ["", "Answer with the new templates alone, as YAML between ``` marks."]
    return "\n".join(lines)
