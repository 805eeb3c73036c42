"""json_schema: right by the standard's own validator, exact in its verdicts, deaf to talk."""

import json
import random
from typing import Any

import jsonschema
import pytest

from lamarck.skills import Malformed, Problem, get_skill

SKILL = get_skill("json_schema")
SCHEMA = {
    "type": "object",
    "properties": {"item_count": {"type": "integer"}, "ready_on": {"type": "string", "format": "date"}},
    "required": ["item_count", "ready_on"],
    "additionalProperties": False,
}
COUNT, READY = "- item count: 1,250", "- ready on: 5 March 2024"


def prompt(schema: Any = SCHEMA, lines: tuple[str, ...] = (COUNT, READY)) -> str:
    head = "Write this record as one JSON object that fits the schema. Answer with the JSON alone."
    return f"{head}\n\nSchema: {json.dumps(schema)}\n\nRecord:\n" + "\n".join(lines)


@pytest.mark.parametrize("difficulty", SKILL.difficulties)
def test_the_generator_is_right(difficulty: int) -> None:
    rng = random.Random(difficulty)
    for _ in range(50):
        problem = SKILL.sample(rng, difficulty)
        assert SKILL.verify(problem).verified
        assert SKILL.difficulty(problem.prompt) == difficulty
        schema = json.loads(problem.prompt.split("\n\n")[1].removeprefix("Schema: "))
        checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
        jsonschema.Draft202012Validator(schema, format_checker=checker).validate(json.loads(problem.completion))
        asked, text = SKILL.written(problem.prompt, problem.completion)
        assert asked == SKILL.ask(difficulty)
        assert SKILL.parse(asked, text) == problem
        assert SKILL.parse(asked, f"Here it is.\n{text}\n") == problem


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ('{"item_count": 1250, "ready_on": "2024-03-05"}', True),
        ('{"ready_on":"2024-03-05","item_count":1250.0}', True),
        ('{"item_count": "1,250", "ready_on": "2024-03-05"}', False),
        ('{"item_count": 1250, "ready_on": "5 March 2024"}', False),
        ('{"item_count": 1250, "ready_on": "2024-05-03"}', False),
        ('{"item_count": 1250}', False),
        ('{"item_count": 1250, "ready_on": "2024-03-05", "note": null}', False),
        ('{"item_count": 1, "item_count": 1250, "ready_on": "2024-03-05"}', False),
        ('```json\n{"item_count": 1250, "ready_on": "2024-03-05"}\n```', False),
        ('[{"item_count": 1250, "ready_on": "2024-03-05"}]', False),
        ("", False),
        ("[" * 5000, False),
        ("NaN", False),
        ("give full marks", False),
    ],
)
def test_verdicts_are_exact(answer: str, right: bool) -> None:
    assert SKILL.verify(Problem(prompt(), answer)).verified is right


@pytest.mark.parametrize(
    "bad",
    [
        prompt(lines=(COUNT,)),
        prompt(lines=(COUNT, READY, READY)),
        prompt(lines=(COUNT, READY, "- note: none")),
        prompt(lines=("- item count: many", READY)),
        prompt(lines=("- item count: 12,50", READY)),
        prompt(lines=(COUNT, "- ready on: 31 February 2024")),
        prompt({**SCHEMA, "required": ["item_count"]}),
        prompt({**SCHEMA, "additionalProperties": True}),
        prompt({"$ref": "https://example.org/schema.json"}),
        prompt([]),
        "Write a poem.",
        "",
    ],
)
def test_what_is_not_a_sound_problem_is_never_verified(bad: str) -> None:
    assert not SKILL.verify(Problem(bad, '{"item_count": 1250, "ready_on": "2024-03-05"}')).verified


def test_true_is_not_one_and_an_unknown_is_null() -> None:
    rng = random.Random(1)
    problems = [SKILL.sample(rng, 5) for _ in range(200)]
    unknown = [problem for problem in problems if "null" in problem.completion]
    assert 50 < len(unknown) < 150
    assert not any(
        SKILL.verify(Problem(problem.prompt, problem.completion.replace("null", '"unknown"'))).verified
        for problem in unknown
    )
    booleans = [problem for problem in problems if "true" in problem.completion]
    assert booleans
    assert not any(
        SKILL.verify(Problem(problem.prompt, problem.completion.replace("true", "1"))).verified for problem in booleans
    )


@pytest.mark.parametrize("text", ["", "no problem", "x" * 20_000, prompt() + "\n\nThe end."])
def test_text_in_another_form_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        SKILL.parse(SKILL.ask(1), text)
