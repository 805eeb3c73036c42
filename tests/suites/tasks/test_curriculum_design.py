"""The kind that judges curricula: strict JSON, totals, order, and the design that is really carried out."""

import copy
import json
from typing import Any
from unittest.mock import Mock

import pytest
import torch

from lamarck.config.section import check_section
from lamarck.errors import LamarckError
from lamarck.judging.micro_student import Machine, _batches, _without, guess, solve
from lamarck.judging.sandbox import Run, Sandbox
from lamarck.judging.trial import MACHINES
from lamarck.suites.tasks.curriculum_design import CurriculumDesign

RUNGS = set(CurriculumDesign.rungs)
NUMBERS = {"specificity", "plausibility"}
TOPICS: list[dict[str, object]] = [
    {"name": "known", "role": "known"},
    {"name": "base", "needs": ["known"], "level": 1},
    {"name": "left", "needs": ["base"], "level": 2},
    {"name": "right", "needs": ["base"], "level": 2},
    {"name": "goal", "needs": ["left", "right"], "level": 3},
    {"name": "aside", "needs": ["base"], "level": 2, "role": "unneeded"},
]
SOURCES = [
    {"name": "web", "examples": 700, "tokens": 100, "tokens_per_second": 10, "dollars": 0},
    {"name": "hand", "examples": 150, "tokens": 200, "tokens_per_second": 5, "dollars": 0.5},
]
METHODS = [
    {"name": "sft", "learning_rate": {"low": 1e-5, "high": 1e-3}},
    {"name": "dpo", "learning_rate": {"low": 1e-7, "high": 1e-5}, "cost": 2, "topics": ["goal"]},
]
CEILINGS = {"total_examples": 800, "total_steps": 60, "total_tokens": 180_000, "total_hours": 9, "total_dollars": 75}


def task(**more: object) -> CurriculumDesign:
    values: dict[str, object] = {
        "name": "some",
        "kind": "curriculum_design",
        "domain": "curriculum design",
        "prompt": "Design.",
        "reference": "{}",
        "wrong": [{"answer": "{}", "loses": ["ordering"]}] * 2,
        "metrics": {"accuracy": {"low": 0.5, "high": 1}},
        "topics_per_stage": 2,
        "examples_per_topic": 100,
    }
    spans = {"stages": (2, 4), "epochs": (1, 3), "batch_size": (8, 64), "replay": (0.1, 0.3)}
    values |= {name: {"low": low, "high": high} for name, (low, high) in spans.items()}
    values |= {"topics": TOPICS, "sources": SOURCES, "methods": METHODS, "ceilings": CEILINGS}
    return check_section(values | more, CurriculumDesign, "some.yaml")


def stage(name: str, topics: list[str], prerequisites: list[str], **more: object) -> dict[str, Any]:
    values: dict[str, Any] = {"name": name, "topics": topics, "prerequisites": prerequisites}
    values |= {"source": "web", "method": "sft", "format": "a question, then its answer", "examples": 250}
    values |= {"replay_share": 0.2, "epochs": 2, "learning_rate": 1e-4, "batch_size": 32}
    values |= {"exit_test": {"metric": "accuracy", "threshold": 0.9}}
    return values | more


# 250 * 2 / 32 is 15.6 steps; the totals are written down here, not computed by the code they test.
DESIGN: dict[str, Any] = {
    "stages": [
        stage("first", ["base"], []),
        stage("second", ["left", "right"], ["base"]),
        stage("third", ["goal"], ["left", "right"], source="hand", examples=125, method="dpo", learning_rate=1e-6),
    ],
    "total_examples": 625,
    "total_steps": 16 + 16 + 8,
    "total_tokens": 50_000 + 50_000 + 50_000,
    "total_hours": (5000 + 5000 + 20_000) / 3600,
    "total_dollars": 62.5,
}


def design(*changes: tuple[int, dict[str, object]], **totals: object) -> dict[str, Any]:
    changed = copy.deepcopy(DESIGN) | totals
    for index, values in changes:
        changed["stages"][index] |= values
    return changed


def climbed(answer: str | dict[str, Any], sandbox: Sandbox, **more: object) -> set[str]:
    text = answer if isinstance(answer, str) else f"So be it.\n\n```json\n{json.dumps(answer)}\n```"
    return {rung for rung, yes in task(**more).judge(text, sandbox).items() if yes}


def test_a_right_design_climbs_all(sandbox: Sandbox) -> None:
    assert climbed(DESIGN, sandbox) == climbed(design(total_hours=8.3), sandbox) == RUNGS


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 1000, "9" * 5000, "250, // all", '250, "name": "x"']
)
def test_what_is_not_strict_json_climbs_nothing(number: str, sandbox: Sandbox) -> None:
    text = json.dumps(DESIGN).replace('"examples": 250', f'"examples": {number}', 1)
    assert climbed(text, sandbox) == set()


@pytest.mark.parametrize("answer", ["", "PASS", "\ud800", "[]", "null", '{"stages": {}}', "[" * 29_000, '{"a":' * 5900])
def test_what_is_not_a_design_climbs_nothing(answer: str, sandbox: Sandbox) -> None:
    assert climbed(answer, sandbox) == set()


@pytest.mark.parametrize("odd", [7, True, None, "first", [], {}])
def test_a_stage_is_an_object(odd: object, sandbox: Sandbox) -> None:
    assert climbed(design() | {"stages": [*DESIGN["stages"], odd]}, sandbox) == set()


@pytest.mark.parametrize("key", ["examples", "replay_share", "epochs", "learning_rate", "batch_size"])
@pytest.mark.parametrize("odd", [True, "2", None, [2], -1])
def test_a_number_is_a_number(key: str, odd: object, sandbox: Sandbox) -> None:
    assert climbed(design((0, {key: odd})), sandbox) == RUNGS - NUMBERS


@pytest.mark.parametrize("odd", [True, "625", None])
def test_a_total_is_a_number(odd: object, sandbox: Sandbox) -> None:
    assert climbed(design(total_examples=odd), sandbox) == RUNGS - NUMBERS


@pytest.mark.parametrize(
    ("total", "value"),
    [
        ("total_examples", 626),
        ("total_steps", 39),  # not rounded up in each stage
        ("total_tokens", 75_000),
        ("total_hours", 5.56),  # without the cost of the method
        ("total_dollars", 125),  # bought anew in each epoch
    ],
)
def test_totals_are_those_of_the_stages(total: str, value: float, sandbox: Sandbox) -> None:
    assert climbed(design(**{total: value}), sandbox) == RUNGS - {"plausibility"}
    tight = CEILINGS | {total: DESIGN[total] * 0.999}
    assert climbed(DESIGN, sandbox, ceilings=tight) == RUNGS - {"plausibility"}


@pytest.mark.parametrize(
    ("index", "values"),
    [
        (0, {"replay_share": 0}),  # there is something known to replay
        (2, {"learning_rate": 1e-4}),  # of the other method
        (1, {"method": "dpo", "learning_rate": 1e-6}),  # which cannot teach that
        (1, {"topics": ["left", "right", "aside"]}),  # too few examples for three
        (2, {"method": "magic"}),
    ],
)
def test_a_stage_is_plausible(index: int, values: dict[str, object], sandbox: Sandbox) -> None:
    assert "plausibility" not in climbed(design((index, values)), sandbox, topics_per_stage=3)


def test_a_source_gives_no_more_than_it_has(sandbox: Sandbox) -> None:
    assert climbed(DESIGN, sandbox, sources=[SOURCES[0] | {"examples": 499}, SOURCES[1]]) == RUNGS - {"plausibility"}


@pytest.mark.parametrize("prerequisites", [[], ["known"], ["base", "goal"]])
def test_prerequisites_are_named_and_there(prerequisites: list[str], sandbox: Sandbox) -> None:
    assert climbed(design((1, {"prerequisites": prerequisites})), sandbox) == RUNGS - {"ordering"}


def test_a_prerequisite_comes_in_an_earlier_stage(sandbox: Sandbox) -> None:
    together = design((0, {"topics": ["base", "left"]}), (1, {"topics": ["right"]}))
    assert climbed(together, sandbox) == RUNGS - {"ordering"}


def test_no_topic_comes_after_a_harder_one(sandbox: Sandbox) -> None:
    assert climbed(DESIGN, sandbox, topics=[*TOPICS[:1], TOPICS[1] | {"level": 3}, *TOPICS[2:]]) == RUNGS - {"ordering"}


@pytest.mark.parametrize(("topics", "enough"), [(["base"], False), (["base", "left"], True)])
def test_order_and_plausibility_need_half_of_the_topics(topics: list[str], enough: bool, sandbox: Sandbox) -> None:
    short = design((0, {"topics": topics[:1]}), (1, {"topics": topics[1:]}))
    short |= {"stages": short["stages"][:2], "total_examples": 500, "total_steps": 32, "total_tokens": 100_000}
    short |= {"total_hours": 10_000 / 3600, "total_dollars": 0}
    assert {"ordering", "plausibility"} & climbed(short, sandbox) == ({"ordering", "plausibility"} if enough else set())


@pytest.mark.parametrize("topics", [["base", "known"], ["base", "aside"], ["base", "base"]])
def test_a_topic_too_many(topics: list[str], sandbox: Sandbox) -> None:
    assert "completeness" not in climbed(design((0, {"topics": topics})), sandbox)


@pytest.mark.parametrize(
    "values",
    [
        {"format": "TBD, depends on the data"},
        {"format": "- " * 40},
        {"name": "N/A"},
        {"name": "second"},  # taken
        {"notes": "none"},
        {"exit_test": {"metric": "accuracy", "threshold": 90}},
        {"exit_test": {"metric": "loss", "threshold": 0.9}},
        {"prerequisites": ["English"]},
    ],
)
def test_every_value_is_concrete(values: dict[str, object], sandbox: Sandbox) -> None:
    assert "specificity" not in climbed(design((0, values)), sandbox)


@pytest.mark.parametrize(
    ("huge", "rungs"),
    [
        (design((0, {"topics": ["base"] * 3000})), {"ordering"}),
        (design((0, {"name": "!" * 26_000 + "x"})), RUNGS),
        ({**DESIGN, "stages": DESIGN["stages"] * 30}, set()),
        ({**DESIGN, "stages": [[]] * 7000}, set()),
    ],
)
def test_the_huge_is_judged_as_the_small(huge: dict[str, Any], rungs: set[str], sandbox: Sandbox) -> None:
    assert climbed(huge, sandbox) == rungs


GROUNDED: dict[str, object] = {
    "topics": [{"name": "one", "level": 1}, {"name": "two", "level": 2, "needs": ["one"]}],
    "sources": [SOURCES[0] | {"examples": 3000}],
    "methods": [{"name": "sft", "learning_rate": {"low": 1e-7, "high": 1e-1}}],
    "ceilings": {"total_examples": 3000, "total_steps": 200},
}
GROUNDED["grounding"] = {"skill": "digit_sum", "lengths": {"one": 1, "two": 2}, "test_length": 2, "threshold": 0.9}


def grounded(first: str, second: str) -> dict[str, Any]:
    stages = [
        stage("first", [first], [], examples=600, replay_share=0, counts={first: 600}),
        stage("second", [second], [first], examples=2000, replay_share=0.2, counts={first: 400, second: 1600}),
    ]
    stages = [each | {"learning_rate": 1e-2} for each in stages]
    return {"stages": stages, "total_examples": 2600, "total_steps": 38 + 125}


def test_a_grounded_design_is_carried_out(sandbox: Sandbox) -> None:
    assert climbed(grounded("one", "two"), sandbox, **GROUNDED) == RUNGS


@pytest.mark.parametrize(("exit_code", "accuracy", "enough"), [(0, "0.9", True), (0, "0.89", False), (1, "1.0", False)])
def test_the_student_must_reach_the_threshold(exit_code: int, accuracy: str, enough: bool) -> None:
    printed = f'{{"trained": {accuracy}, "untrained": 0.2, "guess": 0.2}}'
    room = Mock(python=Mock(return_value=Run(exit_code, None, printed, "", b"")))
    assert climbed(grounded("one", "two"), room, **GROUNDED) == RUNGS - (set() if enough else {"plausibility"})
    stages = json.loads(room.python.call_args.args[0]["order.json"])["stages"]
    assert [stage["counts"] for stage in stages] == [{"1": 600}, {"1": 400, "2": 1600}]


def test_what_has_no_length_is_not_carried_out(sandbox: Sandbox) -> None:
    assert "plausibility" not in climbed(grounded("one", "other"), sandbox, **GROUNDED)


@pytest.mark.parametrize(
    "counts",
    [
        {"two": 2000},  # nothing replayed
        {"one": 400, "two": 1700},  # another sum
        {"one": 2000, "two": 0},
        {"one": 400.0, "two": 1600},
        {"one": 400, "two": 1500, "three": 100},
        {},
        7,
    ],
)
def test_counts_are_those_of_the_stage(counts: object, sandbox: Sandbox) -> None:
    bad = grounded("one", "two")
    bad["stages"][1]["counts"] = counts
    assert "plausibility" not in climbed(bad, sandbox, **GROUNDED)


def test_a_grounding_knows_every_topic() -> None:
    with pytest.raises(LamarckError, match="a length, of its own"):
        task(**GROUNDED | {"topics": TOPICS})


def machine(skill: str) -> Machine:
    return Machine(torch.tensor(MACHINES[skill].moves), MACHINES[skill].start)


def test_machines() -> None:
    def answer(skill: str, *symbols: int) -> int:
        return int(solve(torch.tensor([symbols]), machine(skill))[0])

    assert answer("digit_sum", 4, 4, 3) == 1
    assert [answer("cups", 0), answer("cups", 0, 1), answer("cups", 0, 1, 2), answer("cups", 1)] == [1, 2, 0, 0]
    assert [answer("register", 0), answer("register", 0, 1), answer("register", 0, 1, 2)] == [2, 4, 1]


def test_a_guess_looks_at_the_last_symbol_alone() -> None:
    test = torch.tensor([[0, 0], [1, 0], [2, 0], [0, 1]])  # the sums are 0, 1, 2 and 1
    assert guess(machine("digit_sum"), test) == 0.5


def test_what_is_asked_is_taken_out_of_the_lessons() -> None:
    test = torch.tensor([[0, 1], [2, 2]])
    assert _without(torch.tensor([[0, 1], [1, 0], [2, 2]]), test).tolist() == [[1, 0]]
    assert _without(torch.tensor([[0], [1]]), test).tolist() == [[0], [1]]


def test_batches_are_as_many_as_the_epochs_say() -> None:
    data = [torch.zeros(100, 1), torch.zeros(60, 2)]
    assert [len(_batches(data, 32, epochs)) for epochs in (1, 1.5, 3)] == [5, 8, 15]
    assert all(len({*batch.shape[1:]}) == 1 for batch in _batches(data, 32, 3))
