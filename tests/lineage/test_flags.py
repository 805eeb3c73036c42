"""A red flag goes up for more than five points lost on a sanity task, and for a training that was cut short."""

from pathlib import Path

import pytest

from lamarck.errors import LamarckError
from lamarck.lineage.flags import cut_short, cut_short_among, flag_sentences, lost_points, red_flags
from lamarck.lineage.generation import ADAPTER_RECORD, Generation


def scores(**tasks: float) -> dict[str, object]:
    return {
        "tasks": {
            name: {"tier": "sanity" if name.startswith("sane") else "engineering", "score": score}
            for name, score in tasks.items()
        }
    }


def test_flags() -> None:
    founder = scores(sane_1=80, sane_2=80, sane_3=80, hard=80)
    child = scores(sane_1=74.9, sane_2=75, sane_3=99, hard=0, sane_4=0)
    assert red_flags(child, founder) == {"sane_1": 5.1}
    assert red_flags(founder, founder) == {}
    differences = {"sane_1": -5.1, "sane_2": -5.0, "sane_3": 19.0, "hard": -80.0}
    assert lost_points(differences, ["sane_1", "sane_2", "sane_3"]) == {"sane_1": 5.1}
    assert flag_sentences("g2", {"sane_1": 5.1}) == ["red flag: g2 is 5.1 points below g0 on sane_1"]


def test_a_training_cut_short() -> None:
    budget = {"ceiling_device_seconds": 120.0, "used_device_seconds": 120.2, "stopped_by": "ceiling"}
    training = {"budget": budget, "steps": 158, "recipe": {"steps": 300}}
    sentence = "g1 was trained for 158 of its 300 steps, then its ceiling of 120 device-seconds ended that"
    assert cut_short("g1", training) == sentence
    assert flag_sentences("g1", {}, [sentence]) == [f"red flag: {sentence}"]
    assert cut_short("g1", training | {"budget": budget | {"stopped_by": "steps"}, "steps": 300}) is None


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"budget": 1}'])
def test_a_record_that_is_none_is_a_sentence(tmp_path: Path, text: str) -> None:
    child = Generation(1)
    path = tmp_path / child.adapter / ADAPTER_RECORD
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(LamarckError, match=r"training\.json"):
        cut_short_among(child.line, tmp_path)
