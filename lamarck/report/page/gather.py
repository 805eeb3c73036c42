"""Everything that the page shows, from results/ and approvals/ alone. Light."""

from collections.abc import Sequence

from lamarck.config import Config
from lamarck.errors import LamarckError
from lamarck.lineage.generation import CONTROL
from lamarck.lineage.reward import Routing, route_rewards
from lamarck.report.page import Shown
from lamarck.report.page.curricula import ShownCurriculum, find_curricula
from lamarck.report.page.members import ShownMember, find_members
from lamarck.report.page.outcomes import Outcomes
from lamarck.report.page.runs import ShownCost, Training, find_costs, find_trainings
from lamarck.report.page.scores import Score, find_scores
from lamarck.report.page.texts import Pack, PackedAnswers, pack_answers, pack_curricula


class ShownLineage(Shown):
    """What every part of the page is drawn from, texts apart."""

    planned: int
    members: list[ShownMember]
    scores: dict[str, Score]
    curricula: dict[str, ShownCurriculum]
    trainings: dict[str, Training]
    costs: list[ShownCost]
    rewards: dict[str, Routing]  # of the main lineage and of its control arm
    problems: dict[str, str]  # generation, or part of the page -> why something of it cannot be shown


class Texts(Shown):
    """The texts of models, packed."""

    curricula: list[Pack]
    answers: PackedAnswers | None
    problems: dict[str, str]


def gather(config: Config, outcomes: Outcomes) -> ShownLineage:
    members = find_members(config)
    scores = find_scores(config, members, outcomes)
    curricula, broken_cards = find_curricula(members)
    trainings, broken_trainings = find_trainings(members)
    rewards, broken_rewards = find_rewards(members)
    return ShownLineage(
        planned=config.generations,
        members=members,
        scores=scores,
        curricula=curricula,
        trainings=trainings,
        costs=find_costs(config, members, trainings),
        rewards=rewards,
        problems=broken_cards | broken_trainings | broken_rewards,
    )


def gather_texts(members: Sequence[ShownMember], outcomes: Outcomes) -> Texts:
    curricula, broken_curricula = pack_curricula(members)
    answers, broken_answers = pack_answers(members, outcomes)
    return Texts(curricula=curricula, answers=answers, problems=broken_curricula | broken_answers)


def find_rewards(members: Sequence[ShownMember]) -> tuple[dict[str, Routing], dict[str, str]]:
    """Arm -> what its strategies earned, and arm -> why that cannot be said."""
    found: dict[str, Routing] = {}
    broken: dict[str, str] = {}
    for arm, lane in (("main", ""), ("control", CONTROL)):
        last = max((member.number for member in members if member.lane == lane), default=0)
        try:
            found[arm] = route_rewards(last, lane)
        except (LamarckError, KeyError, TypeError) as error:
            broken[f"rewards of the {arm} arm"] = str(error)
    return found, broken
