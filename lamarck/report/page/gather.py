"""Everything that the page shows, from results/ and approvals/ alone. Light."""

from collections.abc import Mapping, Sequence

from lamarck.config import Config
from lamarck.report.page.curricula import Curriculum, find_curricula
from lamarck.report.page.members import Member, find_members
from lamarck.report.page.outcomes import Outcomes
from lamarck.report.page.runs import Cost, Training, find_costs, find_trainings
from lamarck.report.page.scores import Score, find_scores
from lamarck.report.page.shown import Shown
from lamarck.report.page.texts import Answers, Pack, pack_answers, pack_curricula


class Reward(Shown):
    """What a teacher's way of teaching came to: the grandchild's score is its reward, the child's only a proxy."""

    teacher: str
    strategy: str | None  # digest of the strategy with which it wrote its child's curriculum
    proxy: float | None
    reward: float | None


class Lineage(Shown):
    """What every part of the page is drawn from, texts apart."""

    planned: int
    members: list[Member]
    scores: dict[str, Score]
    curricula: dict[str, Curriculum]
    trainings: dict[str, Training]
    costs: list[Cost]
    rewards: list[Reward]
    problems: dict[str, str]  # generation -> why something of it cannot be shown


class Texts(Shown):
    """The texts of models, packed."""

    curricula: list[Pack]
    answers: Answers | None
    problems: dict[str, str]


def gather(config: Config, outcomes: Outcomes) -> Lineage:
    members = find_members(config)
    scores = find_scores(config, members, outcomes)
    curricula, broken_cards = find_curricula(members)
    trainings, broken_trainings = find_trainings(members)
    return Lineage(
        planned=config.generations,
        members=members,
        scores=scores,
        curricula=curricula,
        trainings=trainings,
        costs=find_costs(members),
        rewards=_rewards(members, scores),
        problems=broken_cards | broken_trainings,
    )


def gather_texts(members: Sequence[Member], outcomes: Outcomes) -> Texts:
    curricula, broken_curricula = pack_curricula(members)
    answers, broken_answers = pack_answers(members, outcomes)
    return Texts(curricula=curricula, answers=answers, problems=broken_curricula | broken_answers)


def _rewards(members: Sequence[Member], scores: Mapping[str, Score]) -> list[Reward]:
    """One row for every teacher whose child was scored."""
    by_name = {member.name: member for member in members}
    found = []
    for child in members:
        if not child.parent or child.name not in scores:
            continue
        piece = next(piece for piece in child.pieces if piece.kind == "curriculum")
        grandchild = by_name.get(f"{child.lane}g{child.number + 1}")
        found.append(
            Reward(
                # The founder teaches every lane: its row is told apart by whom it taught.
                teacher=child.parent if child.number > 1 or not child.lane else f"{child.parent} for {child.lane}",
                strategy=piece.record.inputs.get("strategy") if piece.record else None,
                proxy=scores[child.name].score,
                reward=scores[grandchild.name].score if grandchild and grandchild.name in scores else None,
            )
        )
    return found
