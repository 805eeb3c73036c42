"""Which strategy earned what: scores of children and grandchildren, routed to who wrote the curriculum. Light.

gN's model writes, under a strategy, the curriculum that makes g(N+1); g(N+1) writes the one that makes g(N+2). So the
strategy that gN used is rewarded with the score of g(N+2), its grandchild. The child's score, known a generation
earlier, is only a proxy; how far it can be trusted is the rank correlation of the two.
"""

import statistics
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel
from rich import box
from rich.table import Table
from rich.text import Text

from lamarck.lineage.contents import read_card, read_scores
from lamarck.lineage.digest import short
from lamarck.lineage.generation import Generation

LEAST_PAIRS = 10  # of which a rank correlation can say anything: of nine, .6 is within the reach of chance


class StrategyScores(BaseModel):
    """What the teachers that used a strategy earned it: teacher -> score, 0..100. `gains`: rewards, to the score of the
    control arm's grandchild."""

    digest: str
    path: str
    proxies: dict[str, float]
    rewards: dict[str, float]
    gains: dict[str, float]


class Routing(BaseModel):
    """`rank_correlation`: Spearman's, of proxies and rewards over all `pairs`, each to its control arm's; None for
    fewer than ten, or where one side is the same throughout."""

    by_strategy: list[StrategyScores]
    pairs: int
    rank_correlation: float | None


def route_rewards(generations: int, lineage: str = "") -> Routing:
    """The scores of g1 .. gN, routed to the strategies of `lineage`, in the order of their use.

    Errors: LamarckError where a curriculum's record is damaged.
    """
    found: dict[str, StrategyScores] = {}
    pairs = []
    for number in range(generations):
        child = Generation(number + 1, lineage)
        teacher = child.parent
        if not child.card.exists():
            break
        card = read_card(child.card)
        digest = card.record.inputs["strategy"]
        fresh = StrategyScores(digest=digest, path=card.strategy, proxies={}, rewards={}, gains={})
        entry = found.setdefault(digest, fresh)
        proxy, reward = proxy_of(teacher, lineage), reward_of(teacher, lineage)
        if proxy is not None:
            entry.proxies[teacher.name] = proxy
        if reward is not None:
            entry.rewards[teacher.name] = reward
        control = Generation(teacher.number, lineage).control
        child_control, grandchild_control = proxy_of(control, control.lineage), reward_of(control, control.lineage)
        if reward is not None and grandchild_control is not None:
            entry.gains[teacher.name] = round(reward - grandchild_control, 6)
            if proxy is not None and child_control is not None:
                pairs.append((proxy - child_control, reward - grandchild_control))
    return Routing(by_strategy=list(found.values()), pairs=len(pairs), rank_correlation=rank_correlation(pairs))


def proxy_of(teacher: Generation, lineage: str) -> float | None:
    """The child's score."""
    return _score(Generation(teacher.number + 1, lineage))


def reward_of(teacher: Generation, lineage: str) -> float | None:
    """The grandchild's score."""
    return _score(Generation(teacher.number + 2, lineage))


def _score(generation: Generation) -> float | None:
    """The score of a generation; None while there is none, and for a partial one: errors are not rewards."""
    if not generation.scores.exists():
        return None
    scores = read_scores(generation.scores)
    return None if scores.partial else scores.score


def rank_correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Spearman's rank correlation, -1..1, equal values sharing their mean rank; None where it is not defined."""
    if len(pairs) < LEAST_PAIRS:
        return None
    first, second = (_ranks(side) for side in zip(*pairs, strict=True))
    if len(set(first)) == 1 or len(set(second)) == 1:
        return None
    return round(statistics.correlation(first, second), 6)


def _ranks(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    return [ordered.index(value) + (ordered.count(value) + 1) / 2 for value in values]


def rewards_table(routing: Routing) -> Table | None:
    """Strategy by strategy, what its teachers earned it; None before there is a reward."""
    if not any(strategy.rewards for strategy in routing.by_strategy):
        return None
    table = Table(box=box.SIMPLE_HEAD, caption=_caption(routing))
    for heading in ("strategy", "used by"):
        table.add_column(heading)
    for heading in ("proxy", "reward", "over control"):
        table.add_column(heading, justify="right")
    for strategy in routing.by_strategy:
        name = f"{Path(strategy.path).stem} ({short(strategy.digest)})"
        for teacher in strategy.proxies:
            reward = strategy.rewards.get(teacher)
            shown = "" if reward is None else f"{reward:.1f}"
            gain = strategy.gains.get(teacher)
            gained = "" if gain is None else f"{gain:+.1f}"
            table.add_row(Text(name), teacher, f"{strategy.proxies[teacher]:.1f}", shown, gained)
            name = ""
    return table


def _caption(routing: Routing) -> str:
    meaning = "proxy: the child's score; reward: the grandchild's"
    if routing.rank_correlation is None:
        return meaning
    return (
        f"{meaning}\nrank correlation of proxy and reward, each to the control's, over {routing.pairs} teachers: "
        f"{routing.rank_correlation:+.2f}"
    )
