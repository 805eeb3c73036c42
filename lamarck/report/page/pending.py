"""What a person needs to see of one plan before answering it. Light."""

import math
import random
from collections import Counter
from collections.abc import Sequence

from lamarck.config import Config
from lamarck.curriculum.item import Item, read_curriculum
from lamarck.errors import LamarckError
from lamarck.gate.plan import Plan, read_plan
from lamarck.gate.planned import plan_digest
from lamarck.gate.review import run_rows
from lamarck.lineage.digest import short
from lamarck.lineage.generation import Generation
from lamarck.report.page import Shown
from lamarck.report.page.gather import ShownLineage, Texts, gather
from lamarck.report.page.members import BROKEN, ShownMember
from lamarck.report.page.outcomes import Outcomes
from lamarck.report.page.summary import ShortAnswer
from lamarck.report.page.texts import pack_curricula, visible

SHOWN_ITEMS = 20
GRAM = 3  # characters


class ShownItem(Shown):
    line: int
    skill: str
    difficulty: int
    prompt: str
    completion: str
    reasoning: str
    task: str
    teacher: str
    verdict: str
    bits: float  # mean surprise of its character trigrams under the curriculum's own, in bits


class ShownCellChange(Shown):
    """One skill at one difficulty, beside the curriculum before."""

    name: str
    asked: int
    kept: int
    kept_before: int | None
    pass_rate: float
    pass_rate_before: float | None


class Pending(Shown):
    generation: str
    digest: str
    run: list[tuple[str, str]]
    price: list[str]  # a sentence, where its machine has one
    cells: list[ShownCellChange]
    before: str | None  # the generation whose curriculum stands beside
    measures: list[tuple[str, float, float | None, float | None]]  # name, here, in g0's own, in the one before
    chosen: list[ShownItem]
    unusual: list[ShownItem]
    items: int


def gather_pending(config: Config, generation: Generation) -> tuple[Pending, ShownLineage, Texts]:
    """The plan of `generation`, the lineage so far, and the curricula of it and of its parent.

    Errors: LamarckError where there is no plan or no curriculum, or one is broken.
    """
    if generation.is_crossed:
        raise LamarckError(
            f"{generation.name} is a child of two parents and has no curriculum to show on a page: read "
            f"`lamarck review {generation.name}`"
        )
    plan = read_plan(generation.plan)
    digest = plan_digest(plan)
    items = list(read_curriculum(generation.curriculum))
    lineage = gather(config, Outcomes())
    before = generation.parent.name if generation.parent.name in lineage.curricula else None
    shown = {generation.name, before, generation.control.name}
    curricula, broken = pack_curricula([member for member in lineage.members if member.name in shown])
    pending = Pending(
        generation=generation.name,
        digest=short(digest),
        run=run_rows(plan),
        price=_price(plan),
        cells=_cells(lineage, generation.name, before),
        before=before,
        measures=_measures(lineage, generation, before),
        chosen=_chosen(items, digest),
        unusual=_unusual(items),
        items=len(items),
    )
    return pending, lineage, Texts(curricula=curricula, answers=None, problems=broken)


def _price(plan: Plan) -> list[str]:
    per_hour = plan.cost.machine.dollars_per_hour
    if per_hour is None:
        return []
    arms = 2 if plan.control else 1
    most = arms * plan.budget.device_seconds / 3600 * per_hour
    both = ", of both arms" if plan.control else ""
    return [f"The ceiling{both} at that price: ${most:,.2f}."]


def questions(pending: Pending, lineage: ShownLineage) -> list[ShortAnswer]:
    """The page's first lines."""
    curriculum = lineage.curricula[pending.generation]
    member = next(member for member in lineage.members if member.name == pending.generation)
    facts = dict(pending.run)
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in curriculum.dropped.items())
    return [
        ShortAnswer(
            question="What would be trained on?",
            short=f"{curriculum.items:,} items",
            tone="open",
            sentences=[
                curriculum.origin(),
                *([curriculum.contents()] if curriculum.contents() else []),
                f"Left out: {dropped}.",
                *_edits(member),
            ],
        ),
        ShortAnswer(
            question="At what cost?",
            short=facts["ceiling"].split(";")[0],
            tone="open",
            sentences=[f"{facts['cost']}.", f"On {facts['machine']}.", *pending.price],
        ),
        _standing(member),
        _concerns(member, lineage),
    ]


def _edits(member: ShownMember) -> list[str]:
    return [
        piece.record.human_edited.sentence() for piece in member.pieces if piece.record and piece.record.human_edited
    ]


def _standing(member: ShownMember) -> ShortAnswer:
    gate = member.gate
    approved = gate is not None and gate.state == "open"
    short_answer = f"approved by {gate.by} on {gate.date}" if gate and approved else "nobody yet"
    sentence = "" if gate is None else gate.sentence
    return ShortAnswer(
        question="Who allowed it?",
        short=short_answer,
        tone="good" if approved else "open",
        sentences=[sentence or "The approval holds for exactly this plan."],
    )


def _concerns(member: ShownMember, lineage: ShownLineage) -> ShortAnswer:
    """What its own curriculum warns of, and what is broken in it or in its parent."""
    family = [each for each in lineage.members if each.name in (member.name, *member.parents)]
    sentences = [
        f"{piece.path} is {piece.state}: {piece.sentence}"
        for each in family
        for piece in each.pieces
        if piece.state in BROKEN
    ]
    sentences += lineage.curricula[member.name].warnings
    return ShortAnswer(
        question="What speaks against it?",
        short=f"{len(sentences)} to look at" if sentences else "nothing found",
        tone="bad" if sentences else "good",
        sentences=sentences or ["Nothing is broken, and the curriculum is as large as was asked."],
    )


def _cells(lineage: ShownLineage, name: str, before: str | None) -> list[ShownCellChange]:
    earlier = {(cell.skill, cell.difficulty): cell for cell in lineage.curricula[before].cells} if before else {}
    changes = []
    for cell in lineage.curricula[name].cells:
        past = earlier.get((cell.skill, cell.difficulty))
        changes.append(
            ShownCellChange(
                name=f"{cell.skill} {cell.difficulty}",
                asked=cell.asked,
                kept=cell.kept,
                kept_before=past.kept if past else None,
                pass_rate=cell.pass_rate,
                pass_rate_before=past.pass_rate if past else None,
            )
        )
    return changes


def _measures(
    lineage: ShownLineage, generation: Generation, before: str | None
) -> list[tuple[str, float, float | None, float | None]]:
    """The guard-rails, beside the founder's own curriculum (the first one) and the one before."""
    first = Generation(1, generation.prefix).name
    past = [
        lineage.curricula[name].measures if name and name != generation.name and name in lineage.curricula else {}
        for name in (first, before)
    ]
    here = lineage.curricula[generation.name].measures
    return [(name, value, past[0].get(name), past[1].get(name)) for name, value in here.items()]


def _chosen(items: Sequence[Item], digest: str) -> list[ShownItem]:
    """At random, by the plan's digest: neither the teacher nor who shows the page can choose them."""
    places = random.Random(digest).sample(range(len(items)), min(SHOWN_ITEMS, len(items)))
    surprise = _surprise(items)
    return [_shown(items[place], place, surprise[place]) for place in sorted(places)]


def _unusual(items: Sequence[Item]) -> list[ShownItem]:
    """Those whose character trigrams are rarest in this curriculum: what a template or a rule did not write."""
    surprise = _surprise(items)
    places = sorted(range(len(items)), key=lambda place: -surprise[place])[:SHOWN_ITEMS]
    return [_shown(items[place], place, surprise[place]) for place in places]


def _surprise(items: Sequence[Item]) -> list[float]:
    """Mean self-information, in bits, of each item's trigrams under the frequencies in all of them."""
    grams = [Counter(_trigrams(f"{item.prompt} {item.completion}")) for item in items]
    counts: Counter[str] = Counter()
    for own in grams:
        counts.update(own)
    total = counts.total()
    bits = {gram: math.log2(total / count) for gram, count in counts.items()}
    return [sum(bits[gram] * count for gram, count in own.items()) / own.total() for own in grams]


def _trigrams(text: str) -> list[str]:
    return [text[place : place + GRAM] for place in range(len(text) - GRAM + 1)] or [text]


def _shown(item: Item, place: int, bits: float) -> ShownItem:
    verdict = (
        f"verified by {item.verdict.by}, score {item.verdict.score:g}" if item.verdict.verified else "not verified"
    )
    return ShownItem(
        line=place + 1,
        skill=item.skill,
        difficulty=item.difficulty,
        prompt=visible(item.prompt),
        completion=visible(item.completion),
        reasoning=visible(item.reasoning),
        task=item.task,
        teacher=item.teacher.generation,
        verdict=visible(verdict),
        bits=bits,
    )
