"""The lineage in Markdown, for a pull request: first answers, scores, and what changed since a base revision."""

import html
import re
from collections.abc import Iterable
from pathlib import Path

from lamarck.errors import LamarckError
from lamarck.eval.compare import compare
from lamarck.lineage.generation import CONTROL
from lamarck.report.page.gather import ShownLineage
from lamarck.report.page.runs import PARTS, spent, spent_by_generation
from lamarck.report.page.scores import Score
from lamarck.report.page.summary import answers, difference_text, score_text
from lamarck.report.revisions import outcomes_of_both, scores_at
from lamarck.suites.suite import suite_kinds, suite_weights

# What Markdown or HTML would take for its own.
MARKUP = re.compile(r"([\\`*_\[\]|#~])")


def report_markdown(lineage: ShownLineage, base: str | None, suite: Path) -> str:
    """`base`: the git revision to compare with. Errors: LamarckError where it is not a revision, or has no scores."""
    lines = ["## The lineage", ""]
    for answer in answers(lineage):
        sentences = " ".join(_text(sentence) for sentence in answer.sentences)
        lines.append(f"- **{_text(answer.question)} {_text(answer.short)}.** {sentences}")
    if lineage.scores:
        lines += ["", *_scores(_arms(lineage))]
    if lineage.costs:
        lines += ["", "### What each generation took", "", *_costs(lineage)]
    if base is not None:
        lines += ["", f"### Since {_text(base)}", "", *_since(lineage, base, suite)]
    return "\n".join(lines) + "\n"


def _arms(lineage: ShownLineage) -> list[Score]:
    """The lineage and its control arm: candidates beside them would bury both."""
    arms = {member.name for member in lineage.members if member.lane in ("", CONTROL)}
    return [score for name, score in lineage.scores.items() if name in arms]


def _scores(scores: Iterable[Score]) -> list[str]:
    rows = [
        (
            score.generation,
            score_text(score),
            *("" if each is None else difference_text(each) for each in (score.to_parent, score.to_founder)),
            ", ".join(f"{task} −{points:.1f}" for task, points in score.flags.items()),
        )
        for score in scores
    ]
    return _table(("generation", "score", "to its parent", "to g0", "red flags"), rows)


def _costs(lineage: ShownLineage) -> list[str]:
    """What each generation of the lineage and its control arm took, and all of them."""
    arms = {member.name for member in lineage.members if member.lane in ("", CONTROL)}
    costs = [cost for cost in lineage.costs if cost.generation in arms]
    rows = [
        (
            each.generation,
            *(f"{each.seconds[part]:,.0f}" for part in PARTS),
            f"{each.all_seconds:,.0f}",
            "" if each.dollars is None else f"${each.dollars:,.2f}",
        )
        for each in [*spent_by_generation(costs), spent("all", costs)]
    ]
    return _table(("device-seconds", *PARTS, "all", "dollars"), rows)


def _since(lineage: ShownLineage, base: str, suite: Path) -> list[str]:
    """Every generation beside the one of the same name at `base`, paired where DVC has its outcomes."""
    rows = []
    for score in _arms(lineage):
        before = scores_at(base, score.generation)
        if before is None:
            rows.append((score.generation, "", score_text(score), "new"))
            continue
        past = "partial" if before.partial or before.score is None else f"{before.score:.1f}"
        rows.append((score.generation, past, score_text(score), _change(score, base, suite)))
    return _table(("generation", "before", "now", "difference"), rows)


def _change(score: Score, base: str, suite: Path) -> str:
    try:
        now, before = outcomes_of_both(score.generation, f"{base}:{score.generation}")
        found = compare(now, before, suite_weights(suite), suite_kinds(suite))
    except LamarckError as error:
        return f"not compared: {error}"
    return f"{difference_text(found)}, {found.verdict}"


def _table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    return [_row(headings), "|" + "---|" * len(headings), *(_row(tuple(_text(cell) for cell in row)) for row in rows)]


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _text(text: str) -> str:
    return MARKUP.sub(r"\\\1", html.escape(" ".join(text.split()), quote=False))
