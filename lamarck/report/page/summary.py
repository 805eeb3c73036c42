"""What a reader wants to know first, in sentences: is it better, why, at what cost, who allowed it, what is wrong."""

from collections.abc import Iterable
from typing import Literal

from lamarck.eval.compare import Comparison
from lamarck.eval.interval import Interval
from lamarck.lineage.flags import flag_sentences
from lamarck.report.page import Shown
from lamarck.report.page.gather import ShownLineage
from lamarck.report.page.members import BROKEN, ShownMember
from lamarck.report.page.runs import STAGES
from lamarck.report.page.scores import Score

Tone = Literal["good", "bad", "open"]


class ShortAnswer(Shown):
    question: str
    short: str  # the answer in a few words
    tone: Tone
    sentences: list[str]


def answers(lineage: ShownLineage) -> list[ShortAnswer]:
    """The page's first lines."""
    if not any(member.is_there for member in lineage.members):
        sentence = "results/ is empty: run `snakemake`, and come back when there is something to see."
        return [ShortAnswer(question="What is there?", short="nothing yet", tone="open", sentences=[sentence])]
    return [_better(lineage), _why(lineage), _cost(lineage), _allowed(lineage), _wrong(lineage)]


def last_scored(lineage: ShownLineage) -> Score | None:
    """The latest generation of the main lineage that has a whole score."""
    scored = [
        score for member in main_lane(lineage) if (score := lineage.scores.get(member.name)) and not score.partial
    ]
    return scored[-1] if scored else None


def main_lane(lineage: ShownLineage) -> list[ShownMember]:
    return [member for member in lineage.members if member.lane == ""]


def _better(lineage: ShownLineage) -> ShortAnswer:
    last = last_scored(lineage)
    if last is None:
        sentence = "No generation has a whole score, so nothing can be compared: errors are not zeros."
        return ShortAnswer(question="Is it better?", short="not known", tone="open", sentences=[sentence])
    if last.generation == "g0":
        sentence = f"The founder scores {score_text(last)} of 100 on {last.suite}; no child of it has been scored yet."
        return ShortAnswer(question="Is it better?", short="no child yet", tone="open", sentences=[sentence])
    question = f"Is {last.generation} better than g0?"
    if last.to_founder is None:
        sentence = last.note or "g0 has no whole score to compare it with."
        return ShortAnswer(question=question, short="not known", tone="open", sentences=[sentence])
    found = last.to_founder
    short, tone = _verdict(found)
    sentences = [
        f"{last.generation} scores {score_text(last)} of 100 on {last.suite}, {difference_text(found)} points to g0 "
        f"(95% interval, the same {found.n:,} items paired; {found.child_ahead:,} gained, {found.parent_ahead:,} lost)."
    ]
    if last.to_parent and last.generation != "g1":
        sentences.append(f"To its parent: {difference_text(last.to_parent)}, {last.to_parent.verdict}.")
    sentences += _stopped_short(lineage, last)
    return ShortAnswer(question=question, short=short, tone=tone, sentences=sentences)


def _stopped_short(lineage: ShownLineage, last: Score) -> list[str]:
    """What lies between the last score and where the lineage is meant to go."""
    later = [member for member in main_lane(lineage) if member.number > int(last.generation.removeprefix("g"))]
    partial = [member.name for member in later if member.name in lineage.scores]
    coming = [member.name for member in later if member.name not in lineage.scores]
    sentences = [f"{', '.join(partial)}: evaluated only in part, so without a score."] if partial else []
    return sentences + ([f"Still to come: {', '.join(coming)}."] if coming else [])


def _verdict(found: Comparison) -> tuple[str, Tone]:
    if found.verdict == "better":
        return f"yes, by {found.difference:.1f} points", "good"
    if found.verdict == "worse":
        return f"no: worse by {-found.difference:.1f} points", "bad"
    return "no difference shown", "open"


def _why(lineage: ShownLineage) -> ShortAnswer:
    last, founder = last_scored(lineage), lineage.scores.get("g0")
    sentences = []
    short = "not known"
    if last and founder and last is not founder and not founder.partial:
        moved = {
            tier: shown.score - before.score
            for tier, shown in last.tiers.items()
            if shown.score is not None and (before := founder.tiers.get(tier)) and before.score is not None
        }
        sentences.append(
            "By tier: " + ", ".join(f"{tier} {points:+.1f}" for tier, points in moved.items()) + " points."
        )
    if last and (curriculum := lineage.curricula.get(last.generation)):
        sentences += [sentence for sentence in (curriculum.origin(), curriculum.contents()) if sentence]
    if last and last.to_control:
        found = last.to_control
        short = f"{found.difference:+.1f} points to the control arm"
        sentences.append(
            f"control/{last.generation}, whose teacher's problems were taken unverified, is the comparison: "
            f"{difference_text(found)} points lie between the two. That is about these two models: what verification "
            "is worth takes several seeds of training."
        )
    else:
        sentences.append("There is no scored control arm, so what verification did for it is not known.")
    return ShortAnswer(question="Why?", short=short, tone="open", sentences=sentences)


def _cost(lineage: ShownLineage) -> ShortAnswer:
    total = sum(cost.device_seconds for cost in lineage.costs)
    stages: dict[str, float] = {}
    for cost in lineage.costs:
        stages[cost.stage] = stages.get(cost.stage, 0.0) + cost.device_seconds
    devices = sorted({cost.device for cost in lineage.costs})
    sentences = [
        f"Device-seconds on {', '.join(devices)}, control arms included: "
        + ", ".join(f"{stage} {seconds:,.0f}" for stage, seconds in stages.items())
        + "."
    ]
    if lineage.trainings:
        closest = max(
            lineage.trainings.values(), key=lambda each: each.used_device_seconds / each.ceiling_device_seconds
        )
        sentences.append(
            f"No training may pass its approved ceiling; {closest.generation} came closest, with "
            f"{closest.used_device_seconds:,.0f} of {closest.ceiling_device_seconds:,.0f} seconds."
        )
    sentences.append(_money(lineage))
    return ShortAnswer(question="At what cost?", short=duration(total), tone="open", sentences=sentences)


def _money(lineage: ShownLineage) -> str:
    """Of trainings against the ceiling that somebody approved, of the rest as far as it has a price."""
    priced = [each for each in lineage.trainings.values() if each.dollars_per_hour is not None]
    beside = sum(cost.dollars for cost in lineage.costs if cost.dollars is not None and cost.stage != "training")
    rest = f"Writing and evaluating took ${beside:,.2f} at the configuration's prices." if beside else ""
    if not priced:
        return rest or "No plan names a price: nothing was rented for training."
    used = sum(each.dollars(each.used_device_seconds) for each in priced)
    allowed = sum(each.dollars(each.ceiling_device_seconds) for each in priced)
    trained = f"At the prices in the plans, training took ${used:,.2f} of the ${allowed:,.2f} that the ceilings allow."
    return f"{trained} {rest}".rstrip()


def _allowed(lineage: ShownLineage) -> ShortAnswer:
    gates = [(member, member.gate) for member in lineage.members if member.gate and member.gate.plan]
    sentences = []
    for member, gate in gates[:MOST_SENTENCES]:
        if gate.by and gate.approved_plan == gate.plan:
            signed = ", signed" if gate.signed else ""
            note = f" “{gate.note}”" if gate.note else ""
            plan = _short(gate.plan)
            sentences.append(f"{member.name}: {gate.by}, on {gate.date}{signed} (plan {plan}).{note}")
        else:
            sentences.append(gate.sentence)
    sentences += _and_more(len(gates))
    people = sorted({gate.by for _, gate in gates if gate.by})
    closed = [member.name for member, gate in gates if gate.state != "open" and not _is_trained(member)]
    short = f"{closed[0]} waits for a human" if closed else ", ".join(people) or "nobody was asked yet"
    return ShortAnswer(
        question="Who allowed it?",
        short=short,
        tone="open",
        sentences=sentences or ["No plan has been made, so nobody was asked."],
    )


MOST_SENTENCES = 12


def _and_more(count: int) -> list[str]:
    return [f"… and {count - MOST_SENTENCES} more: see the lineage below."] if count > MOST_SENTENCES else []


def _is_trained(member: ShownMember) -> bool:
    return any(STAGES.get(piece.kind) == "training" and piece.state != "absent" for piece in member.pieces)


def _wrong(lineage: ShownLineage) -> ShortAnswer:
    """Red flags, trainings cut short, partial evaluations, broken artifacts, warnings."""
    sentences = [f"{problem.removesuffix('.')}." for problem in _problems(lineage)]
    if not sentences:
        whole = sum(piece.state == "whole" for member in lineage.members for piece in member.pieces)
        sentence = f"{whole} artifacts were hashed again: each is what its record says. No red flag, nothing partial."
        return ShortAnswer(question="What speaks against it?", short="nothing found", tone="good", sentences=[sentence])
    return ShortAnswer(
        question="What speaks against it?",
        short=f"{len(sentences)} to look at",
        tone="bad",
        sentences=sentences[:MOST_SENTENCES] + _and_more(len(sentences)),
    )


def _problems(lineage: ShownLineage) -> Iterable[str]:
    for member in lineage.members:
        for piece in member.pieces:
            if piece.state in BROKEN:
                digests = f" (stated {_short(piece.stated)}, found {_short(piece.found)})" if piece.found else ""
                yield f"{piece.path} is {piece.state}: {piece.sentence}{digests}"
    for name, sentence in lineage.problems.items():
        yield f"{name}: {sentence}"
    yield from (f"red flag: {training.cut_short}" for training in lineage.trainings.values() if training.cut_short)
    for score in lineage.scores.values():
        if score.partial:
            reasons = "; ".join(f"{task}: {reason}" for task, reason in score.errors.items()) or score.note
            yield f"{score.generation} is only partially evaluated, and has no score: {reasons}"
        yield from flag_sentences(score.generation, score.flags)
    for curriculum in lineage.curricula.values():
        # Which skills it could not fill stands with the curricula.
        yield from (f"curriculum of {curriculum.generation}: {each.split(':')[0]}" for each in curriculum.warnings)


def _short(digest: str | None) -> str:
    return digest[:8] if digest else "none"


def score_text(score: Score) -> str:
    return f"{score.score:.1f}{interval_text(score.interval)}" if score.score is not None else "partial"


def interval_text(found: Interval | None) -> str:
    return f" [{found.low:.1f}, {found.high:.1f}]" if found else ""


def difference_text(found: Comparison) -> str:
    return f"{found.difference:+.1f} [{found.interval.low:+.1f}, {found.interval.high:+.1f}]"


def duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} device-seconds"
    return f"{seconds / 60:.1f} device-minutes" if seconds < 7200 else f"{seconds / 3600:.1f} device-hours"
