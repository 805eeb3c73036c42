"""What is compared was measured with one ruler: the same suite, rules of scoring and student."""

import subprocess
from pathlib import Path

import pytest

from lamarck.errors import LamarckError
from lamarck.eval.compare import check_same_ruler
from lamarck.files import write_json, write_jsonl
from lamarck.lineage.contents import Scores
from lamarck.lineage.generation import Generation
from lamarck.lineage.records import code_state
from lamarck.ratchet.subject import repository_of
from lamarck.report.revisions import outcomes_of_both, scores_at
from lamarck.run_lock import take_lock
from lamarck.serve.rented import _tracked

RULER = {"suite": {"name": "s", "digest": "1"}, "scoring": "2", "student": "3"}


def measured(number: int, **changes: object) -> None:
    generation = Generation(number)
    write_json(
        generation.scores,
        {"generation": generation.name, "partial": False, "tiers": {}, "tasks": {}, **RULER, **changes},
    )
    write_jsonl(
        generation.samples,
        [{"task": "a", "index": 0, "item": "i", "prompt": "", "target": "", "answer": "", "score": number}],
    )


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


@pytest.mark.parametrize("change", [{"scoring": "0"}, {"student": "0"}])
def test_other_rulers_are_refused_across_revisions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, object]
) -> None:
    """Another student or scorer under the same suite. Wrong: to compare the suites' digests alone."""
    monkeypatch.chdir(tmp_path)
    measured(0)
    measured(1, **change)
    subprocess.run(["git", "init", "--quiet"], check=True)
    subprocess.run(["git", "add", "results"], check=True)
    said = ["-c", "user.name=A Tester", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *said, "commit", "--quiet", "--message", "before"], check=True)
    measured(1)
    with pytest.raises(LamarckError, match="g1 and g0 were measured with different rulers"):
        outcomes_of_both("HEAD:g1", "g0")


def test_scores_from_before_rulers_were_written_down_compare_with_their_like() -> None:
    whole = {"generation": "g1", "partial": False, "tiers": {}, "tasks": {}, **RULER}
    old = {name: value for name, value in whole.items() if name not in ("scoring", "student")}
    check_same_ruler(Scores.model_validate(old), Scores.model_validate(old))
    with pytest.raises(LamarckError, match="evaluate both again"):
        check_same_ruler(Scores.model_validate(whole), Scores.model_validate(old))


def test_a_checkout_that_git_does_not_trust_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's: records then name no commit, and what needs git's history says why there is none."""
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "--quiet"], check=True)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert (code_state().commit, code_state().dirty) == (None, None)
    for needs_git in (lambda: scores_at("HEAD", "g1"), _tracked, lambda: repository_of(tmp_path)):
        with pytest.raises(LamarckError, match="git does not trust this directory"):
            needs_git()


def test_a_checkout_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    """Also where it belongs to whoever asks, as on a read-only file system."""
    (tmp_path / "file").touch()
    with pytest.raises(LamarckError, match="run in a checkout of your own"):
        take_lock(tmp_path / "file/run.lock", "")
