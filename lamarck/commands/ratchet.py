"""`lamarck ratchet run|status|report|promote|adopt|compare`: one question to a human, then a night of experiments."""

import datetime
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from lamarck import output
from lamarck.commands.campaign import write_between
from lamarck.commands.typed_digest import Typed, typed_for
from lamarck.errors import LamarckError
from lamarck.gate.approval import Approver
from lamarck.gate.check import asked_of_ratchet, check_approval
from lamarck.gate.journal import journal_of
from lamarck.gate.night import RatchetPlan, read_ratchet_plan
from lamarck.gate.planned import plan_digest
from lamarck.lineage.digest import short
from lamarck.lineage.generation import RATCHETS
from lamarck.output import tell
from lamarck.ratchet.file import Ratchet, RatchetFile, load_ratchet
from lamarck.ratchet.ledger import read_ledger
from lamarck.ratchet.night import Night
from lamarck.ratchet.night_files import NightFiles, last_night, night_of
from lamarck.ratchet.rows import Row, rows, signed
from lamarck.ratchet.run import Until, run_night


def until(experiments: int | None, clock: str | None) -> Until:
    """Errors: LamarckError where `clock` is no time of the day."""
    return Until(experiments, None if clock is None else moment_of(clock))


def run(
    path: Path,
    tag: str | None,
    approver: Callable[[], Approver],
    typed_digest: Typed,
    key: Path | None,
    ends: Until,
    as_json: bool,
) -> None:
    """Ask, run, and print the report. Errors: those of `run_night`."""
    ratchet = load_ratchet(path)
    files = night_of(ratchet.file.name, tag)
    console = output.console(stderr=as_json)

    def ask(plan: RatchetPlan) -> str:
        _say_plan(ratchet, plan, console)
        return typed_for(plan, typed_digest)

    def say(line: str) -> None:
        tell(console, f"{time.strftime('%H:%M:%S')} {line}")

    try:
        why = run_night(ratchet, files, approver, ask, key, ends, say)
    except KeyboardInterrupt:
        why = "you ended it"
    tell(console, f"{files.tag} ended: {why}. `lamarck ratchet run {path}` goes on where there is more to do.")
    if files.plan.exists():
        report(ratchet.file.name, files.tag, as_json)


def status(name: str, tag: str | None, as_json: bool) -> None:
    """What is approved, how far it is, and what was spent."""
    files = last_night(name, tag)
    plan = read_ratchet_plan(files.plan)
    night = replayed(load_ratchet(files.file), files)
    try:
        check_approval(asked_of_ratchet(plan, files.file), plan.approval)
        approval = "approved"
    except LamarckError as error:
        approval = str(error)
    spent = journal_of(f"{RATCHETS}/{plan.ratchet}.{plan.night}", plan_digest(plan)).spent()
    said: dict[str, Any] = {
        "ratchet": name,
        "night": files.tag,
        "approval": approval,
        "experiments": night.number,
        "experiments_at_most": plan.experiments,
        "kept": night.kept,
        "confirmations": night.confirmations,
        "risk_spent": round(night.rigor.share * night.confirmations, 6),
        "allowance_spent": night.spent,
        "device_seconds": round(spent, 1),
        "device_seconds_at_most": plan.device_seconds,
        "sigma": night.sigma,
        "trust": plan.trust,
    }
    if as_json:
        print(json.dumps(said, indent=2))
        return
    console = output.console()
    rigor = night.rigor
    tell(console, f"{name}, night {files.tag}: {night.number} of {plan.experiments} experiments, {approval}")
    tell(console, f"  kept: {len(night.kept)}; a run's standard deviation between seeds: {night.sigma:.3g}")
    tell(
        console,
        f"  {night.confirmations} of {rigor.confirmations} confirmations, so {said['risk_spent']:.2%} of the night's "
        f"risk of {rigor.risk:.0%}",
    )
    tell(console, f"  {spent:.0f} of {plan.device_seconds:.0f} device-seconds")


def replayed(ratchet: Ratchet, files: NightFiles) -> Night:
    """The night as its ledger tells it."""
    file = ratchet.file
    night = Night(file.rigor, file.simplicity, file.sign, file.seed, file.mends)
    for line in read_ledger(files.ledger):
        night.apply(line)
    return night


def report(name: str, tag: str | None, as_json: bool, document: Path | None = None) -> None:
    """Every experiment with what it showed on fresh seeds, and what was kept. `document`: also put the table of all
    nights there, whose proposals are lines of a file beside it."""
    files = last_night(name, tag)
    ratchet = load_ratchet(files.file)
    file = ratchet.file
    plan = read_ratchet_plan(files.plan)
    found = rows(read_ledger(files.ledger), plan.base)
    if document:
        from lamarck.ratchet.evidence import write_evidence

        lines = document.with_suffix("") / f"{name}.jsonl"
        write_between(document, f"ratchet {name}", write_evidence(files, lines))
    if as_json:
        print(json.dumps([_row_json(ratchet, row) for row in found if row.status], indent=2))
        return
    console = output.console()
    console.print(_table(file, found))
    kept = [row for row in found if row.status == "keep"]
    curve = ", ".join(f"{row.metric:.4f} at {row.number}" for row in kept if row.metric is not None)
    tell(console, f"{file.metric} by experiment: {curve}")
    tell(console, f"{len(kept) - 1} kept on {file.branch_prefix}/{files.tag}; {files.results} has the rows.")
    tell(console, "Differences are to the incumbent, on fresh seeds run beside it; more is better; bounds hold for")
    tell(console, f"the whole night, whose risk of keeping anything that is no better is {file.rigor.risk:.0%}. They")
    tell(console, f"chose what was kept, so they flatter it: `lamarck ratchet promote {name}` tries it on other seeds.")
    if file.trust == "printed":
        tell(console, "The subject printed its own metric: nothing of this is evidence of more than what it says.")


def _table(file: RatchetFile, found: Iterable[Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("", "commit", file.metric, "status", "change, and what it showed"):
        table.add_column(heading, overflow="fold")
    for row in found:
        if row.status:
            metric = "" if row.metric is None else f"{row.metric:.6f}"
            said = "\n".join(part for part in (row.description, row.why, _shown(file, row)) if part)
            table.add_row(str(row.number), row.commit[:7], metric, row.status, said)
    return table


def _shown(file: RatchetFile, row: Row) -> str:
    """`+0.03368 [-0.02, +0.09] over 12 pairs`; too few pairs have no bounds."""
    pairs, middle, low, high = row.confirmed(file)
    if middle is None:
        return ""
    bounds = "" if low is None and high is None else f" [{signed(low)}, {signed(high)}]"
    return f"{middle:+.4g}{bounds} over {pairs} pairs"


def promote(name: str, tag: str | None, as_json: bool) -> None:
    """Run what was kept beside the unmodified files, pair by pair, and say what that showed."""
    from lamarck.ratchet.promotion import promote as run_promotion

    console = output.console(stderr=as_json)
    found = run_promotion(last_night(name, tag), lambda line: tell(console, line))
    if as_json:
        print(json.dumps(found.as_json(), indent=2))
        return
    tell(console, found.sentence)


def adopt(name: str, tag: str | None, to: Path | None) -> None:
    """Write what was kept, with its evidence, where configurations can name it."""
    from lamarck.ratchet.adopt import adopt as write

    files = last_night(name, tag)
    path = write(files, to)
    as_what = "`strategy: FILE`" if load_ratchet(files.file).file.chain else "`founder: {kind: tiny, recipe: FILE}`"
    print(f"{path}: name it in a configuration, {as_what}")


def compare(first: str, second: str, as_json: bool) -> None:
    """What two branches both kept, and what one alone did."""
    from lamarck.ratchet.branches import compare as found_in

    found = found_in(Path(), first, second)
    if as_json:
        print(json.dumps([each.as_json() for each in found], indent=2))
        return
    console = output.console()
    for kind in ("both", first, second):
        tell(console, "kept on both, universal as far as these two machines go:" if kind == "both" else f"{kind}:")
        for each in found:
            if each.where == kind:
                tell(console, f"  {each.commit[:7]} {each.description} {each.difference}")
    tell(console, "What one machine alone kept: `agent: {kind: branch, branch: ...}` tries it on the other.")


def _row_json(ratchet: Ratchet, row: Row) -> dict[str, Any]:
    pairs, middle, low, high = row.confirmed(ratchet.file)
    return {
        "experiment": row.number,
        "commit": row.commit,
        "metric": row.metric,
        "status": row.status,
        "trust": ratchet.file.trust,
        "description": row.description,
        "why": row.why,
        "claim": row.claim or None,
        "pairs": pairs,
        "difference": middle,
        "low": low,
        "high": high,
        "p_value": row.p_value,
        "caught": list(row.caught),
    }


def _say_plan(ratchet: Ratchet, plan: RatchetPlan, console: Console) -> None:
    file = ratchet.file
    tell(console, f"{file.name}, night {plan.night}: {plan.experiments} experiments at most, from {plan.base[:7]}")
    for what, digests in (("may change", plan.subject), ("scores", plan.evaluator), ("data", plan.data)):
        for name, digest in digests.items():
            tell(console, f"  {what:<10} {name} {short(digest)}")
    if file.chain:
        tell(console, f"  raised     lineages of {file.chain.configfile}, to {file.chain.scored}")
        for key, freedom in (plan.raised.space if plan.raised else {}).items():
            tell(console, f"  {key:<28} {freedom}")
        if plan.raised is None:
            tell(console, "  its founder is not pretrained here: every training of an experiment asks for itself")
    else:
        tell(console, f"  run        {plan.run_command}")
        tell(console, f"  evaluated  {plan.eval_command} ({plan.trust})")
    tell(console, f"  agent      {plan.agent}")
    tell(
        console,
        f"One approval covers all of it: {plan.device_seconds / 3600:.1f} device-hours at most. "
        f"Its short digest: {short(plan_digest(plan))}.",
    )


def moment_of(clock: str) -> float:
    """The next time that a clock here says HH:MM. Errors: LamarckError."""
    try:
        at = datetime.datetime.strptime(clock, "%H:%M").time()
    except ValueError:
        raise LamarckError(f"--until {clock}: give a time of the day, such as 07:30") from None
    now = datetime.datetime.now()
    then = datetime.datetime.combine(now.date(), at)
    return (then if then > now else then + datetime.timedelta(days=1)).timestamp()
