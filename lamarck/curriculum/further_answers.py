"""Several answers to one problem: which of them the child will learn. Light."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from lamarck.curriculum.item import ItemVerdict
from lamarck.skills import Problem, Skill, Verdict


@dataclass(frozen=True)
class CandidateAnswer:
    """An answer to a problem, and the reasoning that led to it, empty where the model showed none."""

    problem: Problem
    reasoning: str
    asked_to: Literal["solve", "write"]  # for the answer alone, or for the problem with it


@dataclass(frozen=True)
class Chosen:
    candidate: CandidateAnswer
    verdict: ItemVerdict


def choose(
    skill: Skill,
    candidates: Sequence[CandidateAnswer],
    how: Literal["first", "shortest", "vote"],
    judge: Callable[[Problem], Verdict],
) -> Chosen | None:
    """The answer to keep, or None where none holds."""
    if how == "vote":
        return _elected(skill, candidates, judge)
    verified = (each for each in candidates if judge(each.problem).verified)
    best = min(verified, key=_length, default=None) if how == "shortest" else next(verified, None)
    return None if best is None else Chosen(best, ItemVerdict(verified=True, by=skill.name, score=1.0))


def _elected(skill: Skill, candidates: Sequence[CandidateAnswer], judge: Callable[[Problem], Verdict]) -> Chosen | None:
    """What at least half of the candidates say, and more of them than say anything else: self-consistency (Wang et al.
    2022, arXiv:2203.11171). The verifier has the last word where it has one; a lone answer is no vote."""
    said = [skill.said(each.problem.completion) for each in candidates]
    counts = Counter(each for each in said if each is not None).most_common(2)
    if not counts or 2 * counts[0][1] < len(candidates) or (len(counts) == 2 and counts[0][1] == counts[1][1]):
        return None
    winner, votes = counts[0]
    supporters = [each for each, answer in zip(candidates, said, strict=True) if answer == winner]
    judged = [(each, judge(each.problem)) for each in supporters]
    verified = next((each for each, judgement in judged if judgement.verified), None)
    if verified is not None:
        return Chosen(verified, ItemVerdict(verified=True, by=f"{skill.name}, vote", score=1.0))
    undecided = next((each for each, judgement in judged if judgement.undecided), None)
    if undecided is None or votes < 2:
        return None
    return Chosen(undecided, ItemVerdict(verified=True, by="vote", score=votes / len(candidates)))


def _length(candidate: CandidateAnswer) -> int:
    """In characters, of all that the child would read: short reasoning is worth as much as a short answer."""
    return len(candidate.problem.completion) + len(candidate.reasoning)
