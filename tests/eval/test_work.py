"""Of the problems that a model writes those count that take work, whoever writes them, and old suites do not ask."""

import random
import re
from functools import partial
from pathlib import Path

import pytest

from lamarck.engine.rule import RuleEngine
from lamarck.eval.calibrate import _Writer
from lamarck.eval.engineering_tier import run_engineering
from lamarck.eval.filled_forms import FORMS, filled, one_form, one_kind
from lamarck.eval.idle_problems import IDLE
from lamarck.eval.ladders import judge_writing
from lamarck.eval.work import SKILLS, WorkAsked, form_of, judged_engine, most_of_a_form, takes_work
from lamarck.skills import get_skill
from lamarck.suites.sections import WORK_ASKED, WritingTask
from lamarck.suites.suite import Suite, load_suite

SUITES = Path(__file__).parents[2] / "config/suites"
ASK = ("tiny-v3", "tiny-exam-v2", "small-v2", "small-exam-v2")
STEPS = "Start with the list {}. Do this in order: {}. After each, write its first word and the list, all on one line."
RECORD = "Write this as one line of JSON, with digits for numbers and true or false for yes or no: {}."


@pytest.mark.parametrize(
    ("skill", "prompt", "works"),
    [
        ("list_ops", "<t2> 1 2 3 4 | rev rot =>", True),
        ("list_ops", "<t2> 1 2 2 1 | rot swp =>", False),  # two digits alone
        ("list_ops", "<t2> 1 2 3 4 | rev rev =>", False),  # back to the first
        ("list_ops", "<t3> 1 2 3 4 | inc srt srt =>", False),  # two that change nothing
        ("list_ops", "<t4> 1 2 3 4 | rot rev rot rev =>", False),  # two operations in four
        ("arithmetic", "<a2> 4 + 3 + 5 =>", True),
        ("arithmetic", "<a2> 4 + 3 - 3 =>", False),
        ("arithmetic", "<a2> 4 + 1 + 5 =>", False),
        ("arithmetic", "<a2> 4 + 6 + 5 =>", False),  # to 10, and from there
        ("arithmetic", "<a3> 4 - 4 + 7 + 2 =>", False),  # to 0, and from there
        ("json_mode", "<j2> name mia ; age 7 ; =>", True),
        ("json_mode", "<j2> name mia ; city oak ; =>", False),
        ("json_mode", "<j4> name mia ; city oak ; age 7 ; rank 3 ; =>", False),
        ("json_mode", "<j4> name mia ; city oak ; age 7 ; tree elm fir ; =>", True),
        ("plain_steps", STEPS.format("1 2 3 4", "reverse it, swap the ends"), True),
        ("plain_steps", STEPS.format("1 1 1 1", "reverse it, swap the ends"), False),
        ("plain_sums", "Count: Mia has 8 apples, gets 3, loses 5. Write the number after each change.", True),
        ("plain_sums", "Count: Mia has 8 apples, gets 3, loses 3. Write the number after each change.", False),
        ("plain_record", RECORD.format("name is Mia, age is seven"), True),
        ("plain_record", RECORD.format("name is Mia, city is Oslo"), False),
        ("plain_record", RECORD.format("name is Mia, city is Oslo, open is yes, new is no"), True),
        ("plain_record", RECORD.format("name is Mia, city is Oslo, age is two, rank is two"), False),
    ],
)
def test_what_takes_work(skill: str, prompt: str, works: bool) -> None:
    assert get_skill(skill).difficulty(prompt) > 1
    assert takes_work(skill, prompt) is works


def test_fields_in_english_have_no_order() -> None:
    forms = {
        form_of("plain_record", RECORD.format(fields))
        for fields in ("name is Mia, age is two", "rank is two, city is Oslo")
    }
    assert len(forms) == 1
    assert form_of("json_mode", "<j2> age 7 ; name mia ; =>") == ("digit", "word")


def asking(suite: Suite, answer: str) -> list[str]:
    """What the judges see of one text that answers every request to write of the suite."""
    tasks = [task for task in suite.tiers.engineering.tasks if isinstance(task, WritingTask)]
    prompts = [get_skill(task.skill).ask(task.difficulty) for task in tasks]
    return judged_engine(suite, RuleEngine(lambda prompt, rng: answer)).generate(prompts * 2, max_new_tokens=8)


def test_what_is_withheld_is_no_problem_and_its_repeats_are_none_either() -> None:
    suite = load_suite(SUITES / "small-v2")
    skill = get_skill("plain_sums")
    text = "Count: Mia has 8 apples, gets 3, loses 3. Write the number after each change.\nAnswer: 11 8"
    assert skill.verify(skill.parse("", text)).verified
    shown = asking(suite, text)
    withheld = [seen for seen in shown if seen.startswith("withheld, it takes no work: ")]
    assert len(withheld) == 6  # for each of three cells, twice
    assert not any(rungs["parses"] for rungs in judge_writing(withheld, skill, 2, lambda prompt: False))
    assert asking(load_suite(SUITES / "small-v1"), text) == [text] * 18, "an older suite pays as ever"


@pytest.mark.parametrize("name", SKILLS)
def test_who_has_one_form_is_paid_for_one(name: str) -> None:
    skill, difficulty, samples = get_skill(name), 4, 40
    suite = load_suite(SUITES / ("small-v2" if name.startswith("plain") else "tiny-v3"))
    asked = skill.ask(difficulty)

    def worth(writer: object) -> int:
        engine = WorkAsked(RuleEngine(lambda prompt, rng: writer(rng)), suite)  # type: ignore[operator]
        texts = engine.generate([asked] * samples, max_new_tokens=8)
        return sum(rungs["new"] for rungs in judge_writing(texts, skill, difficulty, lambda prompt: False))

    assert worth(partial(one_form, name, difficulty)) == most_of_a_form(name, difficulty, samples)
    assert worth(partial(one_kind, name, difficulty)) == 0
    assert worth(partial(IDLE[name], difficulty)) == 0


@pytest.mark.parametrize("name", FORMS)
def test_forms_are_filled_with_right_problems(name: str) -> None:
    rng = random.Random(3)
    kinds = FORMS[name][0]
    assert len(kinds) == SKILLS[name][0]
    for difficulty in (1, 2, 3):
        form = tuple(rng.choices(kinds, k=difficulty))
        problem, text = filled(name, form, rng)
        skill = get_skill(name)
        if problem:  # 9 + 9 + 9 is more than any sum may be
            assert skill.verify(skill.parse(skill.ask(difficulty), text)).verified
            assert sorted(form_of(name, problem)) == sorted(form)


def test_other_skills_and_lessons_in_one_part_count_as_they_are() -> None:
    assert takes_work("json_mode", "<j1> name mia ; =>")
    assert most_of_a_form("json_mode", 1, 300) == 201
    suite = load_suite(SUITES / "tiny-v3")
    assert judged_engine(suite, RuleEngine(lambda prompt, rng: "6")).generate(["2 * 3"], max_new_tokens=1) == ["6"]


def test_who_writes_what_counts_has_all_of_it() -> None:
    suite = load_suite(SUITES / "tiny-v3")
    writer = _Writer(suite)
    outcome = run_engineering(suite, judged_engine(suite, RuleEngine(writer.write)))
    written = {task.name for task in suite.tiers.engineering.tasks if isinstance(task, WritingTask)}
    assert {outcome.tasks[task]["score"] for task in written} == {100}


@pytest.mark.parametrize("name", ASK)
def test_no_tiers_floor_is_above_five(name: str) -> None:
    """As `lamarck suite calibrate` wrote it into the README: of all answerers without the skills the best."""
    suite = load_suite(SUITES / name)
    assert suite.scorers["lamarck"] == WORK_ASKED
    floors = re.findall(r"^- Floor of (\w+): ([0-9.]+), by", (suite.path / "README.md").read_text(), re.MULTILINE)
    assert {tier for tier, _ in floors} == {"sanity", "engineering", "teaching"}
    assert max(float(floor) for _, floor in floors) <= 5


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("tiny-v2", "tiny-v3"),
        ("small-v1", "small-v2"),
        ("small-exam-v1", "small-exam-v2"),
    ],
)
def test_what_follows_asks_the_same(old: str, new: str) -> None:
    before, after = load_suite(SUITES / old), load_suite(SUITES / new)
    assert before.items == after.items
    assert before.tiers.teaching == after.tiers.teaching
