"""`lamarck campaign run|status|report`: one question to a human a step, then every arm over every seed, and a table."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from lamarck import output
from lamarck.campaign.ledger import read_ledger
from lamarck.campaign.members import Campaign, load_campaign
from lamarck.campaign.run import Ask, is_approved, run_campaign, step_plan
from lamarck.commands.typed_digest import Typed, typed_for
from lamarck.errors import LamarckError
from lamarck.files import write_text
from lamarck.gate.approval import Approver
from lamarck.gate.campaign import CEILINGS, CampaignPlan
from lamarck.gate.planned import plan_digest
from lamarck.lineage.digest import short
from lamarck.lineage.listing import campaign_file
from lamarck.output import tell

BEGIN, END = "<!-- {name} -->", "<!-- end of {name} -->"


def run(
    path: Path,
    approver: Callable[[], Approver],
    typed_digest: Typed,
    key: Path | None,
    jobs: int,
    document: Path | None,
    as_json: bool,
) -> None:
    """Ask, run, and print the table; write it between its marks in `document`, if one is named.

    Errors: LamarckError when the digest typed is not the step's, or an arm failed.
    """
    campaign = load_campaign(path)
    run_campaign(campaign, approver, asking(output.console(stderr=as_json), typed_digest), key, jobs)
    report(campaign, document, as_json)


def asking(console: Console, typed_digest: Typed) -> Ask:
    """How a human is asked about a step: `typed_digest` is the answer, or a function that shows a question."""

    def ask(campaign: Campaign, plan: CampaignPlan) -> str:
        _say(campaign, plan, console)
        return typed_for(plan, typed_digest)

    return ask


def named(name: str) -> Campaign:
    """The campaign as it last ran here, or as it ships. Errors: LamarckError where there is none of that name."""
    return load_campaign(campaign_file(name))


def status(name: str, as_json: bool) -> None:
    """What is approved, how far it is, and how it goes on: also where nothing but its ledger is here."""
    campaign = named(name)
    done = read_ledger(campaign)
    spent = sum(row.device_seconds for row in done.values())
    steps: list[dict[str, Any]] = []
    for step in campaign.steps:
        try:
            plan = step_plan(campaign, step)
        except LamarckError as error:
            steps.append({"step": step.step, "state": str(error)})
            continue
        state = "approved" if is_approved(step, plan) else "waits for a human"
        said = {ceiling: getattr(plan, ceiling) for ceiling in CEILINGS}
        steps.append({"step": step.step, "state": state, **said, "ceilings": ceilings_of(plan)})
    whole: dict[str, Any] = {
        "campaign": campaign.name,
        "finished": len(done),
        "members": len(campaign.lineages),
        "lineages": len(campaign.distinct),
        "device_seconds_of_finished": round(spent, 3),
        "steps": steps,
        "goes_on": f"lamarck campaign run {campaign_file(name)}",
    }
    if as_json:
        print(json.dumps(whole, indent=2))
        return
    console = output.console()
    tell(console, f"{campaign.name}: {len(done)} of {len(campaign.lineages)} members are finished")
    for each in steps:
        ceiling = f", ceilings of {each['ceilings']}" if "ceilings" in each else ""
        tell(console, f"  step {each['step']}: {each['state']}{ceiling}")
    tell(console, f"  finished members were trained for {spent:.0f} device-seconds")
    if len(done) < len(campaign.lineages):
        tell(console, f"  `{whole['goes_on']}` goes on")


def report(campaign: Campaign, document: Path | None, as_json: bool) -> None:
    """Print the table as the ledger has it; write it between its marks in `document`, if one is named."""
    from lamarck.campaign import table  # scipy: half a second

    if document:
        write_between(document, f"campaign {campaign.name}", table.as_markdown(campaign))
    if as_json:
        print(json.dumps(table.result_of(campaign), indent=2))
        return
    found = table.rows(campaign)
    console = output.console()
    console.print(table.as_table(found))
    tell(console, f"{table.finished(campaign)}; {campaign.ledger} has them")
    for sentence in table.as_sentences(found):
        console.print(sentence, style="red", markup=False, highlight=False)
    if campaign.file.race:
        _say_race(campaign, console)


def _say_race(campaign: Campaign, console: Console) -> None:
    from lamarck.campaign.race import race_of
    from lamarck.campaign.racing import verdicts

    for standing in verdicts(race_of(campaign, read_ledger(campaign))):
        why = f" ({standing.reason})" if standing.reason else ""
        tell(
            console,
            f"  race: {standing.candidate}: {standing.verdict}{why}, after {standing.blocks} seeds, "
            f"p {standing.p_adjusted:.3f} for the whole campaign",
        )


def _say(campaign: Campaign, plan: CampaignPlan, console: Console) -> None:
    tell(console, campaign.file.description)
    for arm in campaign.file.arms:
        tell(console, f"  {arm.name:<28} {arm.why}")
    lineages, written = len(campaign.writers), len({writer.id for writer in campaign.writers.values()})
    shared = f"Their founders write {written} curricula for {lineages} of them. " if written < lineages else ""
    tell(
        console,
        f"{len(campaign.file.seeds)} seeds, {len(campaign.distinct)} lineages, {plan.trainings} training runs, with "
        f"ceilings of {ceilings_of(plan)} in all. {shared}Results go to {campaign.directory}. "
        f"Its short digest: {short(plan_digest(plan))}.",
    )


def ceilings_of(plan: CampaignPlan) -> str:
    """Every sum that an answer allows, and what has none."""
    hours = {"training": plan.device_seconds, "writing": plan.writing_seconds, "evaluating": plan.evaluating_seconds}
    given = [f"{seconds / 3600:,.2f} device-hours of {work}" for work, seconds in hours.items() if seconds is not None]
    given += [] if plan.dollars is None else [f"${plan.dollars:,.2f}"]
    without = [work for work, seconds in hours.items() if seconds is None]
    return ", ".join(given) + (f" (none for {' and '.join(without)})" if without else "")


def write_between(document: Path, name: str, table: str) -> None:
    """Put a table between the marks of what it shows.

    Errors: LamarckError for a document without the two marks: a table is never put where nobody expects it."""
    text = document.read_text(encoding="utf-8") if document.exists() else ""
    begin, end = BEGIN.format(name=name), END.format(name=name)
    if begin not in text or end not in text:
        raise LamarckError(
            f"{document} has no place for the table: put the lines {begin!r} and {end!r} where it belongs"
        )
    before, _, rest = text.partition(begin)
    write_text(document, f"{before}{begin}\n\n{table}\n{end}{rest.partition(end)[2]}")
