"""Raise the lineages of a campaign by the rules that raise every lineage, behind approvals that cover many of them."""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import yaml

from lamarck.below import below
from lamarck.campaign.ledger import Finished, Key, append, append_failed, failed, read_ledger
from lamarck.campaign.members import Campaign, Lineage
from lamarck.config import load_config
from lamarck.errors import LamarckError
from lamarck.files import write_changed, write_text
from lamarck.gate.approval import Approver
from lamarck.gate.approve import answer_once
from lamarck.gate.campaign import CampaignPlan, PlannedMember, campaign_plan, member_of
from lamarck.gate.check import asked_of_campaign, check_approval
from lamarck.gate.plan import read_childs_plan
from lamarck.gate.planned import plan_text
from lamarck.lineage.artifacts import CAMPAIGN_RESULT, PLAN
from lamarck.lineage.dvc import record_campaign
from lamarck.lineage.freshness import examine, is_whole_line
from lamarck.lineage.generation import ALL_STEPS, CampaignStep, Generation, description_file
from lamarck.progress import Advance, count_up

# What Snakemake says: how many steps there are, in its table of them, and how many are done.
STEPS = re.compile(r"^total +(\d+)$")
DONE = re.compile(r"^\d+ of (\d+) steps \(")
TOLD_TO_END = "Terminating processes on user request"

# Shows a plan, and returns the short digest that a human typed.
Ask = Callable[[Campaign, CampaignPlan], str]


class CampaignStopped(LamarckError):
    """A stage failed; the message names the log that says why."""


def run_campaign(campaign: Campaign, approver: Callable[[], Approver], ask: Ask, key: Path | None, jobs: int) -> None:
    """Raise it, and say in dvc.yaml and dvc.lock what is there. Errors: as `raise_campaign`."""
    raise_campaign(campaign, approver, ask, key, jobs)
    if CAMPAIGN_RESULT.why_stale(campaign.name):
        _snakemake(campaign, [str(CAMPAIGN_RESULT.path(campaign.name))], f"{campaign.name}: what it shows", jobs)
    configfile = Path(campaign.file.configfile)
    record_campaign(load_config(configfile), configfile, campaign.name)


def raise_campaign(campaign: Campaign, approver: Callable[[], Approver], ask: Ask, key: Path | None, jobs: int) -> None:
    """Go on until every member is in the ledger, `jobs` stages side by side, asking at every step that waits.

    A killed run goes on where it was. Errors: LamarckError where nobody approved, or that names the log of what failed.
    """
    for step in campaign.steps:
        _raise_plans(campaign, step, jobs)
        plan = step_plan(campaign, step)
        _ask(campaign, step, plan, approver, ask, key)
    while runs := next_members(campaign, jobs):
        _raise(campaign, runs, jobs)


@dataclass
class _Unfinished:
    """Members that a run raises, entered as soon as they are finished: one that is cut short leaves them in the ledger.

    `since`: when the last ones were, in seconds of the monotonic clock.
    """

    campaign: Campaign
    members: list[Key]
    since: float

    def enter_raised(self) -> None:
        self.enter([key for key in self.members if _is_raised(self.campaign, key)])

    def enter(self, raised: Sequence[Key]) -> None:
        if not raised:
            return
        now = time.monotonic()
        append(self.campaign, raised, round((now - self.since) / len(raised), 1))
        self.members = [key for key in self.members if key not in raised]
        self.since = now


def _raise(campaign: Campaign, runs: list[Key], jobs: int) -> None:
    scored = [each for key in runs for each in (campaign.read_off(*key), campaign.proxy_of(*key)) if each]
    seeds = ", ".join(map(str, sorted({seed for _, seed in runs})))
    title = f"{campaign.name}, seed {seeds}, {len(read_ledger(campaign))} members done"
    leave_out = campaign.file.failed_members == "leave out"
    unfinished = _Unfinished(campaign, list(runs), time.monotonic())
    _restore_plans(campaign, runs, jobs)
    targets = [str(campaign.scores_of(each)) for each in scored]
    if _snakemake(campaign, targets, title, jobs, keep_going=leave_out, after_step=unfinished.enter_raised):
        unfinished.enter(unfinished.members)
        return
    unfinished.enter_raised()
    missing = unfinished.members
    first = campaign.file.arms[0].name
    if len(missing) == len(runs) or any(arm == first for arm, _ in missing):
        raise CampaignStopped(f"campaign {campaign.name} stopped: {_log(campaign)} says why; run it again to go on")
    append_failed(campaign, missing)


def _restore_plans(campaign: Campaign, runs: list[Key], jobs: int) -> None:
    """Make the plans of children that are there again, where those are stale, before anything is trained.

    Snakemake trains whatever a plan that it makes leads to; one that was there when it began, and is what it was,
    costs no training. Parents come first: their children's plans name them.
    """
    lineages = {campaign.lineages[key].id: campaign.lineages[key] for key in runs}.values()
    for number in range(1, max(lineage.config.generations for lineage in lineages) + 1):
        children = [
            (lineage, child)
            for lineage in lineages
            for child in lineage.children()
            if child.number == number and not lineage.parents and child.change.exists()
        ]
        stale = [str(child.plan) for lineage, child in children if examine(PLAN, child, lineage.config).stale]
        if stale:
            leave_out = campaign.file.failed_members == "leave out"
            _snakemake(campaign, stale, f"{campaign.name}: plans that are to be made again", jobs, leave_out)


def _is_raised(campaign: Campaign, key: Key) -> bool:
    own = campaign.read_off(*key), campaign.proxy_of(*key)
    if not all(campaign.scores_of(each).exists() for each in own if each):
        return False  # what is there is hashed, and this is asked after every step of a run
    config = load_config(Path(campaign.file.configfile))
    return all(is_whole_line(campaign.scores_kind(), each, config) for each in own if each)


def next_members(campaign: Campaign, at_once: int = 1) -> list[Key]:
    """The members to raise before the next look at the ledger: those of a seed, as far as their arms still go on, and
    of the seeds behind it until they are `at_once` lineages. Where a look decides who goes on it comes first."""
    done = read_ledger(campaign)
    if campaign.file.race:
        from lamarck.campaign.race import race_of

        return [(run.candidate, int(run.block)) for run in race_of(campaign, done).next_runs]
    first, *going = (arm.name for arm in campaign.file.arms)
    looks = campaign.file.failed_members == "leave out"
    runs: list[Key] = []
    for count, seed in enumerate(campaign.file.seeds, start=1):
        runs += [(arm, seed) for arm in (first, *going) if (arm, seed) not in done]
        lineages = {campaign.lineages[key].id for key in runs}
        if runs and (looks or count in campaign.file.keep or len(lineages) >= at_once):
            return runs
        lost = failed(done)
        going = [arm for arm in going if arm not in lost]
        if count in campaign.file.keep:
            ahead = {arm: _mean_difference(campaign, done, arm, first, count) for arm in going}
            going = sorted(going, key=lambda arm: -ahead[arm])[: campaign.file.keep[count]]
    return runs


def _mean_difference(campaign: Campaign, done: Mapping[Key, Finished], arm: str, first: str, count: int) -> float:
    scores = [(done[arm, seed].score, done[first, seed].score) for seed in campaign.file.seeds[:count]]
    return sum(own - other for own, other in scores if own is not None and other is not None) / count


def step_plan(campaign: Campaign, step: CampaignStep) -> CampaignPlan:
    """What is asked at a step: its largest set of members. Errors: LamarckError where a member's own plan is needed,
    and missing."""
    members = tuple(_member(campaign, step, lineage, child) for lineage, child in campaign.trained_at(step))
    return campaign_plan(step, campaign.file.description, campaign.file_digest, members)


def _member(campaign: Campaign, step: CampaignStep, lineage: Lineage, child: Generation) -> PlannedMember:
    own = None if step.step == ALL_STEPS else read_childs_plan(child.plan)
    return member_of(lineage.config, child, lineage.decided_by, campaign.suite, own)


def _raise_plans(campaign: Campaign, step: CampaignStep, jobs: int) -> None:
    """What a step asks about by its own plans has to be there first."""
    if step.step != ALL_STEPS:
        describe(campaign)
        plans = [str(child.plan) for _, child in campaign.trained_at(step)]
        _snakemake(campaign, plans, f"{campaign.name}: plans of {step.step}", jobs)


def _ask(
    campaign: Campaign,
    step: CampaignStep,
    plan: CampaignPlan,
    approver: Callable[[], Approver],
    ask: Ask,
    key: Path | None,
) -> None:
    """Go on under the approval that is there, or write the one that a human gives now."""
    asked = asked_of_campaign(step, plan)
    if step.search:  # its human was asked when the search began
        check_approval(asked, step.approval)
    else:
        note = f"campaign {campaign.name}"
        answer_once(asked, step.file, step.approval, lambda: ask(campaign, plan), approver, note, key)
    write_text(step.plan, plan_text(plan))
    describe(campaign)


def is_approved(step: CampaignStep, plan: CampaignPlan) -> bool:
    try:
        check_approval(asked_of_campaign(step, plan), step.approval)
    except LamarckError:
        return False
    return True


def describe(campaign: Campaign) -> None:
    """Write the files by which the rules know the campaign's lineages."""
    step = campaign.steps[0]
    write_changed(step.file, campaign.content.decode("utf-8"))
    for lineage in campaign.distinct:
        overlay = {
            "seed": lineage.config.seed,
            "suite": lineage.config.suite,
            "founder": lineage.config.founder.model_dump(mode="json"),
        }
        founder = {"founder": lineage.founder, "overlay": overlay}
        write_changed(description_file(lineage.founder), _yaml(founder))
        write_changed(lineage.strategy_file, _yaml(lineage.strategy.model_dump(mode="json")))
        number = lineage.config.generations
        crossed = (
            {
                "parents": {number: [parent.name for parent in lineage.parents]},
                "crossings": {number: lineage.crossing.model_dump(mode="json", exclude_defaults=True)},
            }
            if lineage.crossing
            else {}
        )
        own = crossed | {
            "founder": lineage.founder,
            "approved_at_once": step.step == ALL_STEPS,
            "overlay": _overlay(campaign, lineage),
        }
        own |= {"search": step.search} if step.search else {}
        writer = campaign.writers.get(lineage.id, lineage)
        own |= {"curricula": {1: Generation(1, writer.id).name}} if writer is not lineage else {}
        write_changed(description_file(lineage.id), _yaml(own))


def _overlay(campaign: Campaign, lineage: Lineage) -> dict[str, object]:
    """The keys, to the sections, in which a lineage's configuration is another than the campaign's file names."""
    base = load_config(Path(campaign.file.configfile)).model_dump(mode="json")
    return {key: value for key, value in lineage.config.model_dump(mode="json").items() if value != base[key]}


def _yaml(values: object) -> str:
    return yaml.dump(values, Dumper=_Plain, sort_keys=False, allow_unicode=True)


class _Plain(yaml.SafeDumper):
    """Without aliases, which no reader of ours takes."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _log(campaign: Campaign) -> Path:
    return Path("logs/campaigns") / f"{campaign.name}.log"


def _snakemake(
    campaign: Campaign,
    targets: Iterable[str],
    title: str,
    jobs: int,
    keep_going: bool = False,
    after_step: Callable[[], None] = lambda: None,
) -> bool:
    """Whether all was made, which is false only with `keep_going`.

    Errors: CampaignStopped, which names the log; another LamarckError where a signal ended it, which is no fault of
    what was to be made.
    """
    program = Path(sys.executable).parent / "snakemake"
    # Before the option, which takes every word that follows it for a file of configuration.
    command = [str(program), "--cores", str(jobs), *dict.fromkeys(targets), "--configfile", campaign.file.configfile]
    command += ["--keep-going"] if keep_going else []
    log = _log(campaign)
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("a", encoding="utf-8") as kept,
        ExitStack() as shown,
        below(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process,
    ):
        assert process.stdout
        on_step: Advance | None = None
        ended = False
        for line in process.stdout:
            kept.write(line)
            kept.flush()
            ended = ended or line.startswith(TOLD_TO_END)
            done = DONE.match(line)
            if on_step is None and (steps := done or STEPS.match(line)):
                on_step = shown.enter_context(count_up(title, "steps", int(steps[1])))
            if on_step and done:
                on_step(1)
                after_step()
    if process.returncode and (ended or process.returncode > 128):
        raise LamarckError(f"campaign {campaign.name}: a signal ended its snakemake: run it again to go on")
    if process.returncode and not keep_going:
        raise CampaignStopped(f"campaign {campaign.name} stopped: {log} says why; run it again to go on")
    return process.returncode == 0
