"""The trainer of the student is a ruler: it comes to what it came to when it was made."""

import random
from pathlib import Path

import pytest
import torch

from lamarck.config.engine import HFEngineConfig
from lamarck.engine import load_engine
from lamarck.errors import LamarckError
from lamarck.eval.student_training import teach
from lamarck.skills import Problem, get_skill
from lamarck.suites.suite import Suite, load_suite

# Nats of an item's line, prompt and answer, and right answers of 50, after 150 problems of four fields, six times over.
# Weights that differ in the sixth digit, as another processor's sums do, move the first by .003; training without
# dropout by 1.1, with another second-moment decay by 1.1, with a rate a fifth lower by 4.4, in another order by 12.
GOLDEN_NATS, GOLDEN_RIGHT = -72.68, 22
NATS_TOLERANCE, RIGHT_TOLERANCE = 0.5, 3


@pytest.fixture(scope="module")
def tiny() -> Suite:
    return load_suite(Path(__file__).parents[2] / "config/suites/tiny-v2")


def test_the_golden_student(tiny: Suite, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    skill, rng = get_skill("json_mode"), random.Random(0)
    curriculum = [skill.sample(rng, 4) for _ in range(150)]
    tier = tiny.tiers.teaching.model_copy(update={"epochs": 6})
    assert tiny.student
    teach(tier, curriculum, tiny.student, tmp_path / "adapter")
    engine = load_engine(HFEngineConfig(), tiny.student, tmp_path / "adapter")
    items = tiny.items["teaching_json_mode_4"][:50]
    nats = engine.loglikelihoods([f"{item.prompt} {item.target}" for item in items])
    answers = engine.generate([item.prompt for item in items], max_new_tokens=tier.tasks[0].max_new_tokens)
    right = sum(answer.strip() == item.target for answer, item in zip(answers, items, strict=True))
    assert sum(nats) / len(nats) == pytest.approx(GOLDEN_NATS, abs=NATS_TOLERANCE)
    assert right == pytest.approx(GOLDEN_RIGHT, abs=RIGHT_TOLERANCE)


def test_what_cannot_be_trained_is_one_sentence(tiny: Suite, tmp_path: Path) -> None:
    """An answer beyond the cut teaches nothing, and more steps than need no approval are not taken."""
    long = [Problem(" ".join(["<j4>", *["name"] * 200, "=>"]), "{ }")]
    assert tiny.student
    with pytest.raises(LamarckError, match="no example has a token to train on"):
        teach(tiny.tiers.teaching, long, tiny.student, tmp_path)
    endless = tiny.tiers.teaching.model_copy(update={"epochs": 1_000_000})
    with pytest.raises(LamarckError, match="than a suite's student, which every generation teaches gets without"):
        teach(endless, [get_skill("json_mode").sample(random.Random(0), 2)], tiny.student, tmp_path)
