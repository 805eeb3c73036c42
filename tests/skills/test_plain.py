"""The skills in plain English for small chat models, and the suite that asks them."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from lamarck.engine.rule import RuleEngine
from lamarck.eval.calibrate import _references, _Writer
from lamarck.eval.degenerate import COPIER, degenerates
from lamarck.eval.engineering_tier import run_engineering
from lamarck.eval.sanity import run_sanity
from lamarck.eval.work import judged_engine
from lamarck.skills import PLAIN, Malformed, Problem, get_skill, words_of
from lamarck.skills.plain import PlainSkill
from lamarck.suites.designs import DESIGNS
from lamarck.suites.suite import CORPUS, ENGINEERING, SANITY, Suite, load_suite, prompt_of

SUITES = Path(__file__).parents[2] / "config/suites"
SMALL = ("small-v2", "small-exam-v2")
CELLS = [(skill, difficulty) for skill in PLAIN for difficulty in skill.difficulties]
MOST_OF_A_TIER = 5.0


def problems(skill: PlainSkill, difficulty: int, number: int = 30) -> list[Problem]:
    rng = random.Random(f"{skill.name}{difficulty}")
    return [skill.sample(rng, difficulty) for _ in range(number)]


@pytest.mark.parametrize(("skill", "difficulty"), CELLS, ids=lambda value: getattr(value, "name", str(value)))
def test_the_generator_is_right(skill: PlainSkill, difficulty: int) -> None:
    for problem in problems(skill, difficulty):
        assert skill.verify(problem).verified
        assert skill.difficulty(problem.prompt) == difficulty
        asked, text = skill.written(problem.prompt, problem.completion)
        assert asked == skill.ask(difficulty)
        assert skill.parse(asked, f"Here it is:\n{text}") == problem
        assert "\n" not in problem.prompt + problem.completion


@pytest.mark.parametrize("skill", PLAIN, ids=lambda skill: skill.name)
def test_the_example_of_the_request_is_right_and_another_word_is_not(skill: PlainSkill) -> None:
    assert skill.verify(skill.example).verified
    for problem in problems(skill, 3):
        words = problem.completion.split()
        for place in range(len(words)):
            changed = [*words[:place], "17", *words[place + 1 :]]
            assert changed == words or not skill.verify(Problem(problem.prompt, " ".join(changed))).verified
        assert not skill.verify(Problem(problem.prompt, f"{problem.completion} {words[-1]}")).verified


def test_a_records_values_have_their_types() -> None:
    record = get_skill("plain_record")
    prompt = record.sample(random.Random(0), 1).prompt.rpartition(": ")[0] + ": age is two, open is yes."
    assert record.verify(Problem(prompt, '{"age": 2, "open": true}')).verified
    assert record.verify(Problem(prompt, '{ "age":2,"open":true }')).verified
    for wrong in (
        '{"age": 2.0, "open": true}',
        '{"age": 2, "open": 1}',
        '{"age": "2", "open": true}',
        '{"open": true, "age": 2}',
    ):
        assert not record.verify(Problem(prompt, wrong)).verified


@pytest.mark.parametrize(
    "prompt", ["age is one.", "age is two, age is two.", "age are two.", "dog is two.", "age is two", ""]
)
def test_a_sentence_that_is_not_a_record_is_refused(prompt: str) -> None:
    record = get_skill("plain_record")
    head = record.sample(random.Random(0), 1).prompt.rpartition(": ")[0]
    with pytest.raises(Malformed):
        record.difficulty(f"{head}: {prompt}")


def test_spaces_are_counted_exactly() -> None:
    sums, record = get_skill("plain_sums"), get_skill("plain_record")
    drawn = {next(iter(sums.what_varies(each.prompt))) for each in problems(sums, 1, 4000)}  # type: ignore[arg-type]
    assert (
        len(drawn)
        == sums.space(1)
        == sum(1 for total in range(21) for step in range(-9, 10) if step and 0 <= total + step <= 20)
    )
    one, two = record.space(1), record.space(2)
    assert one == 4 * 5 + 4 * 11 + 2 * 2 + 2 * 20
    assert two == one**2 - (4 * 25 + 4 * 121 + 2 * 4 + 2 * 400)


def test_the_students_words_are_those_of_every_problem() -> None:
    words = set(words_of("plain_record"))
    assert len(words) < 400
    for difficulty in range(1, 8):
        for problem in problems(get_skill("plain_record"), difficulty, 200):  # type: ignore[arg-type]
            assert words.issuperset(f"{problem.prompt} {problem.completion}".split())


@pytest.mark.parametrize("name", SMALL)
def test_the_suite_holds_what_its_design_says(name: str) -> None:
    suite, design = load_suite(SUITES / name), DESIGNS[name]
    tasks = [*suite.sanity_tasks, *suite.tiers.engineering.tasks]
    assert {task.skill for task in tasks} == {skill.name for skill in PLAIN}  # type: ignore[union-attr]
    assert max(task.max_new_tokens for task in tasks if task.name in suite.items) == 64
    assert suite.tiers.teaching.student.kind == "shipped"
    assert len(suite.corpus) == design.lines
    for task in tasks:
        for item in suite.items.get(task.name, ()):
            assert get_skill(task.skill).verify(Problem(item.prompt, item.target)).verified  # type: ignore[union-attr]
    for line in suite.corpus:
        assert any(_reads(skill, prompt_of(line)) for skill in PLAIN), "a corpus line's prompt is a problem"


def _reads(skill: PlainSkill, prompt: str) -> bool:
    try:
        return skill.difficulty(prompt) in skill.difficulties
    except Malformed:
        return False


def without_corpus(suite: Suite) -> Suite:
    return replace(suite, lm_eval_tasks={name: it for name, it in suite.lm_eval_tasks.items() if name != CORPUS})


@pytest.mark.parametrize("name", SMALL)
def test_who_has_none_of_the_skills_gets_next_to_nothing(name: str) -> None:
    """The best of them for each task; the teaching tier is in the README's table."""
    suite = without_corpus(load_suite(SUITES / name))
    best: dict[str, float] = {}
    for each in degenerates(suite):
        engine = judged_engine(suite, RuleEngine(each.answer))
        tasks = dict(run_sanity(suite, engine).tasks) if SANITY in each.tiers else {}
        tasks |= run_engineering(suite, engine).tasks if ENGINEERING in each.tiers else {}
        best |= {task: max(best.get(task, 0.0), figures["score"]) for task, figures in tasks.items()}
        if each.name == COPIER:
            assert max(figures["score"] for figures in tasks.values()) == 0
    for tier in (SANITY, ENGINEERING):
        weights = suite.weights[tier]
        assert sum(weights[task] * best[task] for task in weights) / sum(weights.values()) <= MOST_OF_A_TIER


def test_who_knows_everything_gets_everything() -> None:
    suite = without_corpus(load_suite(SUITES / SMALL[0]))
    references, writer = _references(suite), _Writer(suite)
    knows = RuleEngine(lambda prompt, rng: references.get(prompt) or writer.write(prompt, rng))
    engine = judged_engine(suite, knows)
    for tier, run in ((SANITY, run_sanity), (ENGINEERING, run_engineering)):
        assert run(suite, engine).score(suite.weights[tier]) == 100


def test_a_model_of_words_writes_what_is_asked_of_a_chat_model() -> None:
    """The student's answers are JSON as it stands: words with single spaces between them."""
    for problem in problems(get_skill("plain_record"), 7):  # type: ignore[arg-type]
        assert " ".join(problem.completion.split()) == problem.completion == json.dumps(json.loads(problem.completion))
