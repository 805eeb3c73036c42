"""A subject that is a teaching strategy: an experiment raises a lineage, and the metric is its grandchild's score.

The one mutable file is data, so nothing of it runs in a room: the rules that raise every lineage do it, stage by stage,
and each training passes the gate. Where the founder is pretrained here, the night's one approval lets it through: what
the agent may change is a space, and `raised` in the plan says which seeds there may be, and the ceilings. With any
other founder the experiment stops at its gate, and a human answers there.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lamarck import strict_yaml
from lamarck.campaign.ledger import read_ledger
from lamarck.campaign.members import Campaign, load_campaign
from lamarck.campaign.run import CampaignStopped, raise_campaign
from lamarck.config import Config, load_config
from lamarck.config.section import check_section
from lamarck.config.strategy import Strategy, load_strategy
from lamarck.errors import LamarckError
from lamarck.files import digest_bytes, digest_value, write_changed
from lamarck.gate.approval import Approver
from lamarck.gate.campaign import CampaignPlan
from lamarck.gate.search import PlannedRound, SearchPlan, fixed_recipe, fixed_strategy, taught
from lamarck.lineage.configured import merged, with_changes
from lamarck.lineage.digest import suite_digest
from lamarck.lineage.generation import RATCHETS
from lamarck.ratchet.file import ExperimentBudget, MutationAgent, RatchetFile
from lamarck.ratchet.night import seeds_of
from lamarck.ratchet.night_files import NightFiles
from lamarck.ratchet.room import ExperimentOutcome
from lamarck.run_lock import check_no_run
from lamarck.search.approval import freedom_of
from lamarck.search.space import Value, nested

SIDES = 2  # a seed is one of a candidate, and of the incumbent beside it


def base_of(file: RatchetFile) -> Config:
    """The configuration whose strategy is the subject. Errors: LamarckError."""
    assert file.chain
    return with_changes(load_config(Path(file.chain.configfile)), file.chain.config, f"{file.name}: chain.config")


def raised_by(file: RatchetFile, night: str, subject: bytes, content: bytes) -> SearchPlan | None:
    """What the lineages of a night may be, as its plan says it; None: it stops at the gates of each of them.

    `subject`: the strategy as the night begins with it; `content`: the ratchet's file. Errors: LamarckError for a
    strategy that is none, and for a space that it does not have.
    """
    assert file.chain and isinstance(file.agent, MutationAgent)
    base = base_of(file)
    strategy = _strategy(subject, base)
    for key, kind in file.agent.space.items():
        for end in kind.ends:
            _changed(strategy, key, end, f"{file.name}: agent.space: {key}")
    if base.founder.kind != "tiny":
        return None
    space = {name: freedom_of(key) for name, key in file.agent.space.items()}
    generations = int(file.chain.scored[1:])
    arms = 1 + base.control
    ceiling = sum(base.budget.of(number) for number in range(1, generations + 1))
    rounds = tuple(
        PlannedRound(
            campaign=campaign_name(file.name, night, seed),
            seeds=(seed,),
            members=SIDES,
            trainings=SIDES * generations * arms,
            device_seconds=SIDES * ceiling * arms,
        )
        for seed in sorted(seeds_of(file))
    )
    return SearchPlan(
        search=f"{file.name}.{night}",
        command="night",
        description=f"The lineages of the night {night} of {file.name}.",
        file=digest_bytes(content),
        founder=base.founder.digest(),
        engine=base.engine.digest(),
        suite=suite_digest(Path(base.suite)),
        machine=digest_value(list(base.machines.train.place)),
        baseline=taught(strategy, base),
        strategy=fixed_strategy(strategy, space),
        recipe=fixed_recipe(base, space),
        space=space,
        rounds=rounds,
        trainings=sum(each.trainings for each in rounds),
        device_seconds=sum(each.device_seconds for each in rounds),
    )


def campaign_name(ratchet: str, night: str, seed: int) -> str:
    return f"{ratchet}-{night}-{seed}"


class ChainRoom:
    """Where the experiments of such a subject are: each side of a seed is a member of that seed's campaign."""

    def __init__(self, file: RatchetFile, files: NightFiles) -> None:
        self._file = file
        self._files = files

    def experiment(
        self, mutable: Mapping[str, bytes], seed: int, budget: ExperimentBudget, environment: Mapping[str, str]
    ) -> ExperimentOutcome:
        """Errors: LamarckError where nobody approved the lineage, another run is under way, a signal ended this one, or
        the disk is full. A strategy that is none, or that cannot be raised, is no error."""
        check_no_run()  # what fails for that is no strategy's fault
        started = time.monotonic()
        (content,) = mutable.values()
        try:
            base = base_of(self._file)
            arm, campaign = self._campaign(_strategy(content, base), seed, base.founder.kind == "tiny")
            raise_campaign(campaign, _nobody, _ask_there, None, self._file.cores)
        except (CampaignStopped, StrategyRefused) as error:
            return ExperimentOutcome(None, str(error), time.monotonic() - started, 0.0, str(error))
        seconds = time.monotonic() - started
        score = read_ledger(campaign)[arm, seed].score
        # What its trainings may take is in their own ceilings; of the rest, the clock is looked at when it is over.
        late = f"overrun: it took more than the {budget.limit:g} seconds that it may" if seconds > budget.limit else ""
        return ExperimentOutcome(None if late else score, late, seconds, 0.0, "")

    def _campaign(self, strategy: Strategy, seed: int, at_once: bool) -> tuple[str, Campaign]:
        """The campaign of a seed, with this strategy among its arms, and the name of that arm. `at_once`: the night's
        approval covers it."""
        assert self._file.chain
        path = self._files.directory / "campaigns" / f"{campaign_name(self._file.name, self._files.tag, seed)}.yaml"
        name = strategy.digest()[:12]
        arms: dict[str, dict[str, Any]] = {}
        if path.exists():
            arms = {each["name"]: each for each in strict_yaml.load(path)["arms"]}
        arms[name] = {
            "name": name,
            "why": "a strategy of the night",
            "strategy": strategy.model_dump(mode="json"),
            "scored": self._file.chain.scored,
        }
        values = {
            "description": f"Seed {seed} of the night {self._files.tag} of {self._file.name}.",
            "configfile": self._file.chain.configfile,
            "config": self._file.chain.config | {"generations": int(self._file.chain.scored[1:])},
            "seeds": [seed],
            "arms": list(arms.values()),
            "ledger": str(self._files.directory / "members.jsonl"),
            "search": f"{RATCHETS}/{self._file.name}.{self._files.tag}" if at_once else None,
        }
        write_changed(path, yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
        return name, load_campaign(path)


class StrategyRefused(LamarckError):
    """The file is no strategy; the message names the key."""


def _strategy(content: bytes, base: Config) -> Strategy:
    """Errors: StrategyRefused."""
    try:
        strategy = check_section(strict_yaml.loads(content, "the strategy"), Strategy, "the strategy")
        strategy.wording()
    except LamarckError as error:
        raise StrategyRefused(str(error)) from error
    # A campaign's arm says in which keys it differs, so what the configuration's strategy has cannot be taken away.
    own, others = (each.model_dump(mode="json") for each in (strategy, load_strategy(Path(base.strategy))))
    if merged(others, own) != own:
        raise StrategyRefused(f"the strategy: its skills, or another list of names, are not those of {base.strategy}")
    return strategy


def _changed(strategy: Strategy, key: str, value: Value, source: str) -> None:
    """Errors: LamarckError where a strategy has no such key, or it does not take the value."""
    with_changes(strategy, nested({key: value}), source)


def _nobody() -> Approver:
    raise LamarckError("an experiment has nobody to ask: the night's approval is all that it has")


def _ask_there(campaign: Campaign, plan: CampaignPlan) -> str:
    path = next(iter(campaign.steps)).file
    raise LamarckError(
        f"{campaign.name} trains through the chain, and its founder is not pretrained here, so a human answers at each "
        f"of its gates: `lamarck campaign run {path}` asks and goes on; then run the ratchet again"
    )
