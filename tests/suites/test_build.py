"""The frozen suite: the same bytes every time, small spaces left to the learners, and nothing leaks."""

import random
from itertools import islice
from pathlib import Path

import pytest

from lamarck.config.tiny import SkillShare, TinyFounder
from lamarck.errors import LamarckError
from lamarck.files import digest_directory
from lamarck.skills import Problem, get_skill
from lamarck.skills.corpus import corpus
from lamarck.suites.build import FEWEST_ITEMS, HELD_OUT_SHARE, build_suite
from lamarck.suites.designs import Design
from lamarck.suites.sections import SuiteTask
from lamarck.suites.suite import Suite, held_out_prompts, load_suite, prompt_of

SKILLS = {"json_mode": (1,), "arithmetic": (1, 2), "list_ops": (1,)}
WORLD = TinyFounder(kind="tiny", skills={name: SkillShare(share=1, weights=(2, 1)) for name in SKILLS})


def test_the_same_seed_makes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("once", "again"):
        build_suite(tmp_path / name / "suite", 7, WORLD, Design(SKILLS))
    other = build_suite(tmp_path / "other" / "suite", 8, WORLD, Design(SKILLS))
    once, again = (digest_directory(tmp_path / name / "suite") for name in ("once", "again"))
    assert once == again
    assert digest_directory(other.path) != once
    assert "arithmetic_1" not in other.items, "135 problems are too few to hold 20 out"


def asked(suite: Suite) -> list[SuiteTask]:
    """Every task with held-out items."""
    tiers = suite.tiers
    return [
        task
        for tier in (tiers.sanity, tiers.engineering, tiers.teaching)
        for task in tier.tasks
        if task.name in suite.items
    ]


def test_a_suite_that_exists_is_left_alone(suite: Suite) -> None:
    before = digest_directory(suite.path)
    with pytest.raises(LamarckError, match="frozen"):
        build_suite(suite.path, 7, WORLD, Design(SKILLS))
    assert digest_directory(suite.path) == before


def test_items_are_right_and_many_but_never_a_tenth_of_a_space(suite: Suite) -> None:
    lines = [prompt_of(line) for line in suite.corpus]
    for task in asked(suite):
        skill, items = get_skill(task.skill), suite.items[task.name]
        assert FEWEST_ITEMS <= len(items) <= Design.items
        every = [item.prompt for found in suite.items.values() for item in found] + lines
        held_out = {prompt for prompt in every if prompt.startswith(skill.ask(task.difficulty))}
        assert len(held_out) <= HELD_OUT_SHARE * skill.space(task.difficulty)
        rng = random.Random(0)
        hits = sum(skill.sample(rng, task.difficulty).prompt in held_out for _ in range(2000))
        assert hits < 1.3 * HELD_OUT_SHARE * 2000  # four standard errors above the limit
        assert all(skill.verify(Problem(item.prompt, item.target)).verified for item in items)
        assert all(len(item.target.split()) < task.max_new_tokens for item in items)


def test_corpus_is_apart_from_the_items(suite: Suite) -> None:
    items = {item.prompt for found in suite.items.values() for item in found}
    lines = {prompt_of(line) for line in suite.corpus}
    assert not items & lines
    assert len(lines) == len(suite.corpus) <= Design.lines


def test_held_out_prompts_stay_out_of_a_founders_corpus(suite: Suite) -> None:
    held_out = held_out_prompts(suite)
    drawn = {problem.prompt for _, problem in islice(corpus(WORLD, 0, held_out), 5000)}
    assert len(drawn) > 1000
    assert not drawn & held_out


def test_every_file_is_small(suite: Suite) -> None:
    assert max(path.stat().st_size for path in suite.path.rglob("*") if path.is_file()) < 1_000_000
    assert load_suite(suite.path) == suite
