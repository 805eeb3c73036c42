"""`lamarck ablate`: one question to a human, then every arm over every seed, and a table."""

import json
import os
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from lamarck import output
from lamarck.campaign.ablate.plan import ROOT, AblationPlan, plan_ablation
from lamarck.campaign.ablate.run import raise_lineages
from lamarck.errors import LamarckError
from lamarck.files import write_json, write_text
from lamarck.gate.approval import Approver
from lamarck.lineage.digest import short
from lamarck.progress import count_up

BEGIN, END = "<!-- ablation {name} -->", "<!-- end of ablation {name} -->"


def show(
    path: Path,
    approver: Approver,
    typed_digest: str | Callable[[str], str],
    key: Path | None,
    jobs: int,
    document: Path | None,
    as_json: bool,
) -> None:
    """Ask, run, and print the table; write it between its marks in `document`, if one is named.

    Errors: LamarckError when the digest typed is not the ablation's, or an arm failed.
    """
    plan = plan_ablation(path)
    console = output.console(stderr=as_json)
    _say(plan, console)
    question = f"To approve all of that, type its short digest ({short(plan.digest)}): "
    typed = typed_digest if isinstance(typed_digest, str) else typed_digest(question)
    if typed.strip() not in (short(plan.digest), plan.digest):
        raise LamarckError(f"{typed.strip()!r} is not the digest of {path}: nothing is run")
    root = ROOT / plan.name
    approve = ["--by", approver.name, "--note", f"one approval for the ablation {plan.name} ({short(plan.digest)})"]
    if approver.contact:
        approve += ["--contact", approver.contact]
    if key:
        approve += ["--key", str(key.resolve())]
    with count_up(f"{plan.name} is run", "lineages", len(plan.distinct)) as on_done:
        raise_lineages(plan, root, approve, jobs, on_done)

    from lamarck.campaign.ablate.table import as_markdown, as_sentences, as_table, rows  # scipy: half a second

    found = rows(plan, root)
    table = {"digest": plan.digest, "seeds": plan.ablation.seeds, "arms": [row._asdict() for row in found]}
    write_json(root / "table.json", table)
    if document:
        _write(document, plan.name, as_markdown(found))
    if as_json:
        print(json.dumps(table, indent=2))
    else:
        console.print(as_table(found))
        for sentence in as_sentences(found):
            console.print(sentence, style="red", markup=False, highlight=False)


def default_jobs() -> int:
    """Lineages side by side: each keeps one core busy."""
    return len(os.sched_getaffinity(0))


def _say(plan: AblationPlan, console: Console) -> None:
    console.print(plan.ablation.description, markup=False, highlight=False)
    for arm in plan.ablation.arms:
        console.print(f"  {arm.name:<28} {arm.why}", markup=False, highlight=False)
    console.print(
        f"{len(plan.ablation.seeds)} seeds, {len(plan.distinct)} lineages, {plan.trainings} training runs, with "
        f"ceilings of {plan.ceiling_seconds / 3600:.1f} device-hours in all. Results go to {ROOT / plan.name}. "
        f"Its short digest: {short(plan.digest)}.",
        markup=False,
        highlight=False,
    )


def _write(document: Path, name: str, table: str) -> None:
    """Errors: LamarckError for a document without the two marks: a table is never put where nobody expects it."""
    text = document.read_text(encoding="utf-8") if document.exists() else ""
    begin, end = BEGIN.format(name=name), END.format(name=name)
    if begin not in text or end not in text:
        raise LamarckError(
            f"{document} has no place for the table: put the lines {begin!r} and {end!r} where it belongs"
        )
    before, _, rest = text.partition(begin)
    write_text(document, f"{before}{begin}\n\n{table}\n{end}{rest.partition(end)[2]}")
