"""A red flag goes up where a sanity task was shown to be lost, and for a training that was cut short."""

from pathlib import Path

import numpy as np
import pytest

from lamarck.errors import LamarckError
from lamarck.lineage.contents import Scores, SpentBudget, TrainingReport
from lamarck.lineage.flags import Answered, cut_short, cut_short_among, flag_sentences, lost_points, red_flags
from lamarck.lineage.generation import TRAINING_RECORD, Generation
from lamarck.lineage.records import make_record


def scores(**tasks: float) -> Scores:
    figures = {
        name: {"tier": "sanity" if name.startswith("sane") else "engineering", "score": score, "n": 200}
        for name, score in tasks.items()
    }
    suite = {"name": "suite", "digest": "0"}
    return Scores.model_validate({"generation": "g1", "partial": False, "suite": suite, "tiers": {}, "tasks": figures})


def test_flags() -> None:
    founder = scores(sane_1=80, sane_2=80, sane_3=80, hard=80)
    child = scores(sane_1=65, sane_2=75, sane_3=99, hard=0, sane_4=0)
    assert red_flags(child, founder) == {"sane_1": 15}
    assert red_flags(founder, founder) == {}
    assert red_flags(scores(sane_1=0), scores(sane_1=0)) == {}
    assert flag_sentences("g2", {"sane_1": 5.1}) == ["red flag: g2 is 5.1 points below g0 on sane_1"]


def test_as_many_points_are_chance_on_few_items_and_none_on_many() -> None:
    """Five points, which used to be a flag: the limit is that of the test, one-sided at .05."""
    assert lost_points({"sane": Answered(75, 200)}, {"sane": Answered(80, 200)}) == {}
    assert lost_points({"sane": Answered(75, 2000)}, {"sane": Answered(80, 2000)}) == {"sane": 5}
    # 160 and 147 of 200: z = 1.51 by hand; 160 and 144: 1.87, above 1.645.
    assert lost_points({"sane": Answered(73.5, 200)}, {"sane": Answered(80, 200)}) == {}
    assert lost_points({"sane": Answered(72, 200)}, {"sane": Answered(80, 200)}) == {"sane": 8}


def test_a_generation_that_is_no_worse_seldom_gets_a_flag() -> None:
    """Over five tasks of 200 items, answered anew: a limit of five points flags far more of them."""
    draws = np.random.default_rng(1).binomial(200, 0.7, (1000, 2, 5)) / 2
    founders, children = (
        [{str(task): Answered(score, 200) for task, score in enumerate(row)} for row in draws[:, side].tolist()]
        for side in (0, 1)
    )
    flagged = sum(bool(lost_points(own, before)) for own, before in zip(children, founders, strict=True))
    five_points = int(((draws[:, 0] - draws[:, 1]) > 5).any(axis=1).sum())
    assert flagged <= 50 + 2 * (1000 * 0.05 * 0.95) ** 0.5 < five_points


def test_a_training_cut_short() -> None:
    budget = SpentBudget(ceiling_device_seconds=120.0, used_device_seconds=120.2, stopped_by="ceiling")
    training = TrainingReport(
        generation="g1",
        record=make_record("0", {}, 1, "cpu", 130.0, 120.2),
        recipe={"steps": 300},
        budget=budget,
        steps=158,
        examples=5,
        tokens=1000,
        tokens_per_second=8.0,
        log=[],
    )
    sentence = "g1 was trained for 158 of its 300 steps, then its ceiling of 120 device-seconds ended that"
    assert cut_short(training) == sentence
    assert flag_sentences("g1", {}, [sentence]) == [f"red flag: {sentence}"]
    ended = budget.model_copy(update={"stopped_by": "steps"})
    assert cut_short(training.model_copy(update={"budget": ended, "steps": 300})) is None


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"budget": 1}'])
def test_an_invalid_record_is_one_sentence(tmp_path: Path, text: str) -> None:
    child = Generation(1)
    path = tmp_path / child.change / TRAINING_RECORD
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(LamarckError, match=r"training\.json"):
        cut_short_among(child.line, tmp_path)
