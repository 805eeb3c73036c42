"""Outcomes and scores of generations of this checkout, or of any git revision: what is compared. Light."""

import re
import subprocess
from collections.abc import Callable
from functools import partial

from lamarck.errors import LamarckError
from lamarck.eval.compare import check_same_ruler
from lamarck.files import parse_json
from lamarck.lineage.artifacts import exam_files
from lamarck.lineage.contents import SampleRow, Scores, parse_content, parse_samples, read_samples, read_scores
from lamarck.lineage.generation import Generation, parse_generation
from lamarck.lineage.records import distrust

IS_HERE = re.compile(r"(?:[\w-]+/)*g\d+")  # a generation of this checkout, not of a revision


def outcomes_of_both(first: str, second: str, exam: str | None = None) -> tuple[list[SampleRow], list[SampleRow]]:
    """Per-item outcomes of two of `g2`, `control/g2`, `REVISION:g2`, or `REVISION` (its last generation): on the
    lineage's own suite, or those of this checkout on an exam, by name.

    Errors: LamarckError when one has none, is partial, or they were measured with different suites, rules or students.
    """
    (scores, ours), (other_scores, theirs) = _evaluation(first, exam), _evaluation(second, exam)
    check_same_ruler(scores, other_scores)
    return ours(), theirs()


def _evaluation(name: str, exam: str | None) -> tuple[Scores, Callable[[], list[SampleRow]]]:
    """eval.json of one of these, and what reads its outcomes: of a revision, DVC may have to fetch them first."""
    if IS_HERE.fullmatch(name):
        generation = parse_generation(name)
        file, samples = exam_files(generation, exam) if exam else (generation.scores, generation.samples)
        if not file.exists():
            raise LamarckError(f"{name} has no scores yet: {file} does not exist")
        here = read_scores(file)
        _refuse_partial(name, here)
        return here, partial(read_samples, samples)
    if exam:
        raise LamarckError(f"{name!r} is not a generation of this checkout, whose exams alone are compared")
    revision, _, member = name.partition(":")
    generation = parse_generation(member) if member else _last_generation(revision)
    scores = scores_at(revision, generation.name)
    if scores is None:
        raise LamarckError(f"{revision} has no {generation.scores}: commit it with that revision's lineage")
    _refuse_partial(name, scores)
    return scores, partial(_samples_at, revision, generation)


def scores_at(revision: str, name: str) -> Scores | None:
    """A generation's eval.json at a git revision; None where that has none.

    Errors: LamarckError where there is no such revision, or where it holds no scores.
    """
    if _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}") is None:
        raise LamarckError(f"{revision!r} is not a git revision{_why_not_here()}")
    path = parse_generation(name).scores
    text = _git("show", f"{revision}:{path}")
    if text is None:
        return None
    return parse_content(Scores, parse_json(text.encode(), path), f"{path} at {revision}")


def _refuse_partial(name: str, scores: Scores) -> None:
    if scores.partial:
        raise LamarckError(f"{name} is only partially evaluated: errors are no scores, so it is not compared")


def _last_generation(revision: str) -> Generation:
    listed = _git("ls-tree", "-r", "--name-only", revision, "results/")
    if listed is None:
        raise LamarckError(f"{revision!r} is neither a generation nor a git revision{_why_not_here()}")
    numbers = [int(match[1]) for match in re.finditer(r"^results/g(\d+)/eval\.json$", listed, re.MULTILINE)]
    if not numbers:
        raise LamarckError(f"the revision {revision} has no results/gN/eval.json")
    return Generation(max(numbers))


def _why_not_here() -> str:
    """What keeps older revisions out of this clone, and how they come."""
    asked = subprocess.run(["git", "rev-parse", "--git-dir"], capture_output=True, text=True)
    if sentence := distrust(asked.stderr):
        return f": {sentence}"
    shallow = (_git("rev-parse", "--is-shallow-repository") or "").strip() == "true"
    return ": this clone is shallow, and `git fetch --unshallow` brings the older ones" if shallow else ""


def _samples_at(revision: str, generation: Generation) -> list[SampleRow]:
    """The outcomes that a revision names: git has the digest (dvc.lock), DVC the bytes."""
    import dvc.api
    from dvc.exceptions import DvcException

    try:
        text = dvc.api.read(str(generation.samples), rev=revision)
    except (DvcException, OSError) as error:
        raise LamarckError(
            f"the outcomes of {generation.name} at {revision} are not in DVC's cache: run `dvc fetch --all-commits`"
        ) from error
    return parse_samples(text.encode(), generation.samples)


def _git(*arguments: str) -> str | None:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None
