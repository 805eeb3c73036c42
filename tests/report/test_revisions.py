"""What is compared was measured with one ruler: the same suite, rules of scoring and student."""

from pathlib import Path

import pytest

from lamarck.errors import LamarckError
from lamarck.eval.compare import check_same_ruler
from lamarck.files import write_json, write_jsonl
from lamarck.lineage.contents import Scores
from lamarck.lineage.generation import Generation
from lamarck.report.revisions import outcomes_of_both

RULER = {"suite": {"name": "s", "digest": "1"}, "scoring": "2", "student": "3"}


def measured(number: int, **changes: object) -> None:
    generation = Generation(number)
    write_json(
        generation.scores,
        {"generation": generation.name, "partial": False, "tiers": {}, "tasks": {}, **RULER, **changes},
    )
    write_jsonl(generation.samples, [{"task": "a", "index": 0, "item": "i", "answer": "", "score": number}])


@pytest.mark.parametrize("change", [{"suite": {"name": "s", "digest": "0"}}, {"scoring": "0"}, {"student": "0"}])
def test_other_rulers_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, object]) -> None:
    monkeypatch.chdir(tmp_path)
    measured(0)
    measured(1)
    ours, theirs = outcomes_of_both("g1", "g0")
    assert [ours[0]["score"], theirs[0]["score"]] == [1, 0]
    measured(1, **change)
    with pytest.raises(LamarckError, match=rf"g1 and g0 were measured with different rulers \({next(iter(change))}\)"):
        outcomes_of_both("g1", "g0")


def test_scores_from_before_rulers_were_written_down_compare_with_their_like() -> None:
    whole = {"generation": "g1", "partial": False, "tiers": {}, "tasks": {}, **RULER}
    old = {name: value for name, value in whole.items() if name not in ("scoring", "student")}
    check_same_ruler(Scores.model_validate(old), Scores.model_validate(old))
    with pytest.raises(LamarckError, match="evaluate both again"):
        check_same_ruler(Scores.model_validate(whole), Scores.model_validate(old))
