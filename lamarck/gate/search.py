"""The plan of a whole search of tiny founders: all rounds under one answer, their candidates bound by the space. Light.

Which strategies a later round tries hangs on what the earlier ones came to. So the human is asked about the space that
all of them come from, and about the largest set of members of every round. At the gate a round's own plan must fit into
its round here, and a member's strategy and recipe must be the base's, but for keys of the space, within their ranges.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from lamarck.config import Config
from lamarck.config.strategy import Strategy
from lamarck.errors import LamarckError
from lamarck.files import digest_value, read_regular
from lamarck.gate.campaign import CampaignPlan
from lamarck.gate.planned import Planned, PlanPart, parse_plan
from lamarck.lineage.configured import value_at, without
from lamarck.lineage.generation import CAMPAIGNS

RECIPE = "recipe."  # before the place of a key of the recipe; all others are the strategy's
PROMPTS = "prompts"
Scalar = int | float | str | bool | None


class Freedom(PlanPart):
    """What one key may be: a number between two ends, one of some values, or (`written`) prompts that a model wrote."""

    low: float | None = None
    high: float | None = None
    of: tuple[Scalar, ...] = ()
    written: bool = False

    def __str__(self) -> str:
        if self.written:
            return "as a model writes them"
        if self.low is None or self.high is None:
            return "one of " + ", ".join(map(str, self.of))
        return f"{self.low:g} to {self.high:g}"

    def allows(self, value: Any) -> bool:
        if self.written:
            return value is None or isinstance(value, str)
        if self.low is None or self.high is None:
            return any(type(value) is type(each) and value == each for each in self.of)
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high


class PlannedRound(PlanPart):
    """The largest set of members of one round, or of a comparison on fresh founders: it is the campaign `campaign`."""

    campaign: str
    seeds: tuple[int, ...]
    members: int
    trainings: int
    device_seconds: float


class SearchPlan(Planned):
    """What a human is asked, by `lamarck search` with `command`, or as a part of a ratchet's `night`: all but numbers
    and names are digests. `baseline` is that of the base's strategy and recipe, whose values may lie outside of the
    ranges; `strategy` and `recipe` are the same without the keys of the space."""

    search: str
    command: Literal["run", "study", "night"]
    description: str
    file: str
    founder: str
    engine: str
    suite: str
    machine: str
    baseline: str
    strategy: str
    recipe: str
    space: dict[str, Freedom]
    rounds: tuple[PlannedRound, ...]
    trainings: int
    device_seconds: float


def taught(strategy: Strategy, config: Config) -> str:
    """Digest of all that a child is taught, and of how."""
    return digest_value([strategy.digest(), config.recipe.digest()])


def fixed_strategy(strategy: Strategy, space: Mapping[str, Freedom]) -> str:
    """Digest of all of a strategy that the space leaves alone: its own skills and prompts by their bytes, too."""
    own = {name: part.own_digests(name) for name, part in strategy.skills.items()}
    wording = None if PROMPTS in space else strategy.wording().digest()
    values = without(strategy.model_dump(mode="json"), [key for key in space if not key.startswith(RECIPE)])
    return digest_value([values, own, wording])


def fixed_recipe(config: Config, space: Mapping[str, Freedom]) -> str:
    places = [key.removeprefix(RECIPE) for key in space if key.startswith(RECIPE)]
    return digest_value(without(config.recipe.model_dump(mode="json"), places))


def read_search_plan(path: Path) -> SearchPlan:
    """Read once. Errors: LamarckError for anything but a plan as it is written here."""
    refusal = f"{path} is not a search's plan as `lamarck` writes it: delete it and run the search again"
    return parse_plan(SearchPlan, read_regular(path), refusal)


def check_round(approved: SearchPlan, plan: CampaignPlan) -> None:
    """Does a round's own plan fit into what was approved for the whole search? Errors: LamarckError that says where it
    does not."""
    again = "restore its files, or run the search under another name, which asks again"
    asked = next((each for each in approved.rounds if each.campaign == plan.campaign), None)
    if asked is None:
        raise LamarckError(f"{plan.campaign} is no round of the search {approved.search}: {again}")
    for what, now, most in (
        ("members", len({member.generation.rpartition("/")[0] for member in plan.members}), asked.members),
        ("trainings", plan.trainings, asked.trainings),
        ("device-seconds", plan.device_seconds, asked.device_seconds),
    ):
        if now > most:
            raise LamarckError(f"{plan.campaign} has {now:g} {what}, and {most:g} were approved: {again}")
    for member in plan.members:
        same = {
            "founder": (member.founder, approved.founder),
            "engine": (member.engine, approved.engine),
            "suite": (member.suite, approved.suite),
            "machine": (member.machine, approved.machine),
            "place": (member.generation.startswith(f"{CAMPAIGNS}/{plan.campaign}/"), True),
            "seed": (member.seed in asked.seeds, True),
        }
        if differing := [what for what, (now, then) in same.items() if now != then]:
            raise LamarckError(f"the {', '.join(differing)} of {member.generation} was not approved: {again}")


def check_candidate(approved: SearchPlan, name: str, strategy: Strategy, config: Config) -> None:
    """Is what a member is taught, and how, the base's but for keys of the space? Errors: LamarckError that names it."""
    if taught(strategy, config) == approved.baseline:
        return
    space = approved.space
    for what, now, then in (
        ("strategy", fixed_strategy(strategy, space), approved.strategy),
        ("recipe", fixed_recipe(config, space), approved.recipe),
    ):
        if now != then:
            raise LamarckError(f"the {what} of {name} differs in more than the space of the search {approved.search}")
    for key, freedom in space.items():
        value = value_at(config.recipe if key.startswith(RECIPE) else strategy, key.removeprefix(RECIPE))
        if not freedom.allows(value):
            raise LamarckError(f"{key} of {name} is {value!r}, which the search {approved.search} does not allow")
