"""`lamarck evolve ...`: one question to a human, then generations of architectures, and what they come to."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown

from lamarck import output
from lamarck.arch.genome import save_genome
from lamarck.commands.typed_digest import Typed, typed_for
from lamarck.errors import LamarckError
from lamarck.evolve.file import Evolving, evolution_of, load_evolution
from lamarck.evolve.ledger import Ledger
from lamarck.evolve.places import Places, places_of
from lamarck.evolve.pool import Pool
from lamarck.files import read_regular
from lamarck.gate.approval import Approver
from lamarck.gate.check import check_approval
from lamarck.gate.evolution import EvolutionPlan, asked_of_evolution, read_evolution_plan
from lamarck.gate.journal import journal_of
from lamarck.gate.planned import plan_digest
from lamarck.lineage.digest import short
from lamarck.output import tell
from lamarck.run_lock import holding


def run(path: Path, approver: Callable[[], Approver], typed_digest: Typed, key: Path | None, as_json: bool) -> None:
    """Ask, run, and print the report. Errors: those of `run_evolution`."""
    _run(load_evolution(path), approver, typed_digest, key, as_json)


def resume(name: str, approver: Callable[[], Approver], typed_digest: Typed, key: Path | None, as_json: bool) -> None:
    """The same, from the file as it was when the run began."""
    _run(_begun(places_of(name)), approver, typed_digest, key, as_json)


def _run(
    evolving: Evolving, approver: Callable[[], Approver], typed_digest: Typed, key: Path | None, as_json: bool
) -> None:
    from lamarck.engine import prepare_libraries

    prepare_libraries(evolving.file.threads)
    from lamarck.evolve.run import run_evolution  # torch

    console = output.console(stderr=as_json)

    def ask(plan: EvolutionPlan) -> str:
        _say_plan(plan, evolving.file.limits.memory_mb, console)
        return typed_for(plan, typed_digest)

    def say(line: str) -> None:
        tell(console, f"{time.strftime('%H:%M:%S')} {line}")

    try:
        why = run_evolution(evolving, approver, ask, key, say)
    except KeyboardInterrupt:
        why = "you ended it"
    tell(console, f"{evolving.name} ended: {why}. `lamarck evolve resume {evolving.name}` goes on where there is more.")
    if Places(evolving.name).plan.exists():
        report(evolving.name, as_json)


def status(name: str, as_json: bool) -> None:
    places = places_of(name)
    plan, pool = read_evolution_plan(places.plan), _pool(places)
    try:
        check_approval(asked_of_evolution(plan, places.file), plan.approval)
        approval = "approved"
    except LamarckError as error:
        approval = str(error)
    born = pool.ledger.born()
    said: dict[str, Any] = {
        "evolution": name,
        "approval": approval,
        "generations": 1 + max((each.generation for each in born), default=-1),
        "generations_at_most": plan.generations,
        "candidates": len(born),
        "candidates_at_most": plan.candidates,
        "trained_to_the_end": len(pool.full()),
        "controls": sum(each.arm != "repeat" for each in pool.ledger.compared()),
        "controls_at_most": plan.controls,
        "device_seconds": round(journal_of(plan.name, plan_digest(plan)).spent(), 1),
        "device_seconds_at_most": plan.device_seconds,
        "front": [entry.name for entry in pool.front()],
    }
    if as_json:
        print(json.dumps(said, indent=2))
        return
    console = output.console()
    tell(console, f"{name}: {approval}")
    for what in ("generations", "candidates", "controls", "device_seconds"):
        tell(console, f"  {said[what]:g} of {said[f'{what}_at_most']:g} {what.replace('_', '-')}")
    tell(console, f"  the front: {', '.join(said['front']) or 'empty'}")


def report(name: str, as_json: bool) -> None:
    from lamarck.evolve import report as page

    places = places_of(name)
    evolving, pool = _begun(places), _pool(places)
    page.write_report(evolving, pool.ledger, places)
    if as_json:
        print(json.dumps(_as_json(pool), indent=2))
        return
    console = output.console()
    console.print(Markdown(places.report.read_text(encoding="utf-8")))
    tell(console, f"The same page is {places.report}.")


def _as_json(pool: Pool) -> dict[str, Any]:
    from lamarck.evolve.controls import differences

    front = []
    for entry in pool.front():
        born, trained = pool.ledger.birth(entry.name), pool.ledger.trained(entry.name, "full")
        assert trained is not None
        values = {name: None if value == float("inf") else value for name, value in pool.values(born, trained).items()}
        line = [each.candidate for each in pool.ancestors(entry.name)]
        front.append({"candidate": entry.name, "how": born.how, "line": line, "objectives": values})
    rows = [each for each in pool.ledger.compared() if each.arm != "repeat"]
    controls = [
        {"candidate": name, "arm": each.arm, "values": each.values, "low": each.low, "high": each.high}
        for name in dict.fromkeys(row.candidate for row in rows)
        for each in differences(rows, name)
    ]
    luck = dict(zip(pool.objectives, pool.tolerance, strict=True))
    return {"front": front, "controls": controls, "luck": luck}


def archive(name: str, as_json: bool) -> None:
    from lamarck.evolve.pool import COUNTS
    from lamarck.evolve.report import archive_lines

    pool = _pool(places_of(name))
    if as_json:
        held = pool.archive()
        rows = [
            {"elite": entry.name, "bits_per_byte": -entry.values[0], "niche": dict(zip(COUNTS, niche, strict=True))}
            for niche, entry in held.items()
        ]
        print(json.dumps(rows, indent=2))
        return
    output.console().print(Markdown("\n".join(archive_lines(pool))))


def export_seed(name: str, candidate: str, path: Path) -> None:
    genome = _pool(places_of(name)).ledger.birth(candidate).read()
    save_genome(genome, path)
    print(f"{path}: put it first among the `seeds` of an evolution's file, and it is evaluated first")


def ablate(name: str, candidate: str, path: Path) -> None:
    from lamarck.evolve.ablation import write_ablation

    places = places_of(name)
    genome = _pool(places).ledger.birth(candidate).read()
    taken = write_ablation(_begun(places), candidate, genome, path)
    print(f"{path}: {candidate} and {len(taken)} genomes without a part of it; `lamarck evolve run {path}` trains them")


def prune(name: str, as_json: bool) -> None:
    from lamarck.evolve.pruning import prune as delete

    places = places_of(name)
    with holding(places.lock, f"another process is at work on the evolution {name}"):
        gone, freed = delete(_pool(places), places)
    if as_json:
        print(json.dumps({"deleted": gone, "bytes": freed}))
        return
    print(f"{len(gone)} directories of weights deleted, {freed / 1e6:.1f} MB")


def _begun(places: Places) -> Evolving:
    return evolution_of(places.name, places.file, read_regular(places.file))


def _pool(places: Places) -> Pool:
    return Pool(_begun(places), Ledger(places))


def _say_plan(plan: EvolutionPlan, memory_mb: float, console: Console) -> None:
    tell(console, f"{plan.evolution}: {plan.generations} generations, {plan.candidates} candidates at most")
    for path, digest in plan.seeds.items():
        tell(console, f"  seed       {path} {short(digest)}")
    tell(console, f"  text       {short(plan.text)}")
    tell(console, f"  parents    {plan.selection}, by {', '.join(plan.objectives)}")
    tell(
        console,
        f"  rungs      {plan.short_tokens:,} tokens, then {plan.full_tokens:,}; {plan.largest:,} parameters at most",
    )
    tell(console, f"  memory     {memory_mb:,g} MB at most of one training; {plan.machine}")
    tell(console, f"  beside     {plan.repeats} repeats of the first seed, {plan.controls} trainings of controls")
    tell(
        console,
        f"One approval covers all of it: {plan.device_seconds / 3600:.2f} device-hours at most. "
        f"Its short digest: {short(plan_digest(plan))}.",
    )
