"""A red flag goes up for more than five points lost on a sanity task, and for nothing else."""

from lamarck.report.flags import flag_sentences, lost_points, red_flags


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
