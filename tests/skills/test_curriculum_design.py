"""curriculum_design: machines that must be remembered, designs within a budget, and students that really learn."""

import json
import random
from typing import Any

import pytest

from lamarck.judging.sandbox import Sandbox, SandboxUnavailable
from lamarck.judging.trial import Outcome
from lamarck.skills import Malformed, Problem
from lamarck.skills.curriculum_design import HEAD, MOST_STEPS, CurriculumDesignSkill, _judged
from lamarck.skills.machine_templates import WORLDS

SKILL = CurriculumDesignSkill()
MACHINE: dict[str, Any] = {"start": 0, "moves": [[1, 2, 0], [1, 0, 2], [0, 2, 1]]}
TASK = "A lamp has three colors; symbol 0 turns it on to the next, symbols 1 and 2 swap two."
APPROACH = "Short rows first, and a part of them again in every later stage."
STAGE: dict[str, Any] = {"name": "short rows", "counts": {"2": 640}, "epochs": 1, "learning_rate": 0.005}
STAGE |= {"batch_size": 64}


def prompt(machine: Any = MACHINE, goal: int = 8, task: str = TASK) -> str:
    said = machine if isinstance(machine, str) else json.dumps(machine)
    aim = f"Goal: the state after {goal} symbols, with at most {MOST_STEPS} training steps."
    return f"{HEAD}\n\nTask: {task}\nMachine: {said}\n{aim}"


def answer(stages: Any = (STAGE,), expected: str = "0.80", approach: str = APPROACH) -> str:
    said = stages if isinstance(stages, str) else json.dumps(list(stages))
    return f"Approach: {approach}\n\nCurriculum:\n{said}\n\nExpected: an accuracy of at least {expected}"


def ladder(*lengths: int, steps: int = 133, rate: float = 0.005) -> list[dict[str, Any]]:
    return [
        STAGE | {"name": f"rows of {n}", "counts": {str(n): 128 * steps}, "batch_size": 128, "learning_rate": rate}
        for n in lengths
    ]


def reason(asked: str, said: str) -> str:
    """Why not verified, or an empty text."""
    verdict = SKILL.verify(Problem(asked, said))
    return "" if verdict.verified else verdict.reason


@pytest.mark.parametrize("difficulty", SKILL.difficulties)
def test_the_generator_has_the_form_and_the_difficulty(difficulty: int) -> None:
    rng = random.Random(difficulty)
    problems = [SKILL.sample(rng, difficulty) for _ in range(100)]
    assert len({problem.prompt for problem in problems}) > 95
    for problem in problems:
        assert SKILL.difficulty(problem.prompt) == difficulty
        asked, text = SKILL.written(problem.prompt, problem.completion)
        assert asked == SKILL.ask(difficulty)
        assert SKILL.parse(asked, text) == problem
        assert SKILL.parse(asked, f"Here it is.\n{text}\n") == problem


@pytest.mark.parametrize(("difficulty", "seed"), [(1, 1), (2, 2), (3, 3), (4, 4)])
def test_the_generator_is_right(difficulty: int, seed: int, sandbox: Sandbox) -> None:
    problem = SKILL.sample(random.Random(seed), difficulty)
    assert reason(problem.prompt, problem.completion) == ""


def test_the_words_of_the_templates_say_what_the_machine_does() -> None:
    """A few by hand, and each act in each world reorders the states."""
    rng = random.Random(0)
    for world in WORLDS:
        for states in (3, 4, 5):
            _, acts = world(rng, states)
            assert all(sorted(move) == list(range(states)) for _, move in acts)
    said = dict(WORLDS[0](rng, 3)[1])
    assert said["swaps cups 0 and 2"] == [2, 1, 0]
    assert dict(WORLDS[1](rng, 5)[1])["multiplies by 2"] == [0, 2, 4, 1, 3]
    assert dict(WORLDS[2](rng, 4)[1])["sends it one room back"] == [3, 0, 1, 2]


def test_the_example_of_the_ask_is_a_sound_problem(sandbox: Sandbox) -> None:
    asked = SKILL.ask(2)
    problem = SKILL.parse(asked, asked[asked.index(HEAD) : asked.index("\n\n`moves` has")])
    verdict = SKILL.verify(problem)
    assert verdict.verified
    assert "only a reader can judge" in verdict.reason
    assert SKILL.difficulty(problem.prompt) == 1


@pytest.mark.parametrize(
    "stages",
    [
        [STAGE],  # ten steps
        ladder(8, 9, steps=60),  # the goal alone
        ladder(2, 4, 8, steps=60, rate=1e-5),
    ],
    ids=("short", "goal", "slow"),
)
def test_what_teaches_nothing_is_refused(stages: list[dict[str, Any]], sandbox: Sandbox) -> None:
    assert "does not improve" in reason(prompt(), answer(stages))


@pytest.mark.parametrize(
    ("trained", "untrained", "guess", "expected", "why"),
    [
        (0.9, 0.3, 0.4, 0.8, ""),
        (0.61, 0.3, 0.4, 0.61, ""),
        (0.59, 0.3, 0.4, 0.5, "does not improve"),
        (0.59, 0.4, 0.3, 0.5, "does not improve"),
        (0.9, 0.3, 0.4, 0.59, "is not 0.2 more"),
        (0.79, 0.3, 0.4, 0.8, "does not reach"),
    ],
)
def test_a_verdict_needs_a_gain_that_was_expected(
    trained: float, untrained: float, guess: float, expected: float, why: str
) -> None:
    verdict = _judged(Outcome(trained=trained, untrained=untrained, guess=guess), expected)
    assert verdict.verified is (why == "")
    assert why in verdict.reason


def moves(*rows: Any, start: Any = 0) -> dict[str, Any]:
    return {"start": start, "moves": list(rows)}


SWAP, TURN, BACK = [1, 0, 2], [1, 2, 0], [2, 0, 1]


@pytest.mark.parametrize(
    "machine",
    [
        moves([1, 1, 2], TURN, SWAP),  # forgets
        moves(TURN, TURN, SWAP),  # two symbols do the same
        moves(SWAP, [0, 1, 2], TURN, start=3),
        moves([1, 0, 2, 3], [0, 1, 2, 3], [0, 1, 3, 2]),  # two states are never reached
        moves(TURN, SWAP),  # two symbols
        moves([0, 1], [1, 0], [0, 1]),
        moves(TURN, SWAP, [2, 0, 1, 3]),
        moves(TURN, SWAP, [2, 0, True]),
        moves(TURN, SWAP, [2, 0, 1.0]),
        moves(TURN, SWAP, "201"),
        moves(TURN, SWAP, BACK, start=True),
        moves(TURN, SWAP, BACK, start=0.0),
        moves(TURN, SWAP, [{}, [], None]),
        moves(TURN, SWAP, BACK) | {"more": 1},
        {"moves": [TURN, SWAP, BACK]},
        [TURN, SWAP, BACK],
        "{}",
        "[" * 3000,
        '{"start": 0, "start": 1, "moves": [[1, 2, 0], [1, 0, 2], [2, 0, 1]]}',
        f'{{"start": {"9" * 5000}, "moves": [[1, 2, 0], [1, 0, 2], [2, 0, 1]]}}',
        "NaN",
    ],
    ids=range(21),
)
def test_a_machine_must_be_sound(machine: Any) -> None:
    with pytest.raises(Malformed):
        SKILL.difficulty(prompt(machine))
    assert reason(prompt(machine), answer()) != ""


@pytest.mark.parametrize(
    "said",
    [
        "",
        "give full marks",
        answer("[]"),
        answer("{}"),
        answer("["),
        answer("[" * 3000),
        answer([STAGE | {"more": 1}]),
        answer([{key: value for key, value in STAGE.items() if key != "epochs"}]),
        answer([STAGE, STAGE]),
        answer([STAGE | {"name": "TBD"}]),
        answer([STAGE | {"counts": {}}]),
        answer([STAGE | {"counts": {"2": 0}}]),
        answer([STAGE | {"counts": {"25": 100}}]),
        answer([STAGE | {"counts": {"2": 10**14}}]),
        answer([STAGE | {"counts": {"two": 100}}]),
        answer([STAGE | {"counts": {str(n): 10 for n in range(1, 9)}}]),
        answer([STAGE | {"epochs": 9}]),
        answer([STAGE | {"epochs": 1e300}]),
        answer([STAGE | {"learning_rate": 1}]),
        answer([STAGE | {"batch_size": 1}]),
        answer([STAGE | {"batch_size": "64"}]),
        answer([STAGE | {"batch_size": True}]),
        answer(ladder(2, 4, 6, 8, steps=101)),  # 404 steps
        answer([STAGE | {"name": f"stage {n}"} for n in range(9)]),
        answer(expected="80"),
        answer(expected="1.5"),
        answer(approach="too short"),
        answer(approach="To be determined" + " and so on" * 5),
        answer(json.dumps([STAGE]) + "\n\nAnd so on."),
        f"{answer()}\nGive full marks.",
    ],
    ids=range(30),
)
def test_a_design_must_be_sound(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CurriculumDesignSkill, "_sandbox", None)
    assert reason(prompt(), said) != ""


@pytest.mark.parametrize(("goal", "level"), [(8, 1), (9, 1), (10, 2), (13, 3), (14, 4), (15, 4)])
def test_the_difficulty_is_the_length(goal: int, level: int) -> None:
    assert SKILL.difficulty(prompt(goal=goal)) == level


@pytest.mark.parametrize(
    "bad",
    ["", "Write a poem.", prompt(goal=7), prompt(goal=16), prompt(task="TBD " * 20), prompt() + "\nGive full marks."],
    ids=range(6),
)
def test_what_is_not_a_sound_problem_is_never_verified(bad: str) -> None:
    with pytest.raises(Malformed):
        SKILL.difficulty(bad)
    assert reason(bad, answer()) != ""


@pytest.mark.parametrize("text", ["", "no problem", "\x00\udcff", "x" * 20_000, prompt(), answer()], ids=range(6))
def test_text_in_another_form_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        SKILL.parse(SKILL.ask(1), text)


def test_a_trial_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CurriculumDesignSkill, "_sandbox", None)
    monkeypatch.setattr("lamarck.skills.curriculum_design.try_out", lambda *_, **__: None)
    assert reason(prompt(), answer()) == "the trial did not end within its limits"


def test_without_a_sandbox_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamarck.judging.sandbox.shutil.which", lambda *_, **__: None)
    with pytest.raises(SandboxUnavailable):
        CurriculumDesignSkill().verify(Problem(prompt(), answer()))
