"""Does inheritance beat training from nothing, and evolution random search and a plain Llama? The files, and the table.

    python benchmarks/evolve.py files          # an evolution's file for each arm and repeat, below results/evidence/
    lamarck evolve run results/evidence/...    # each asks a human, as any evolution does
    python benchmarks/evolve.py rows           # enters what is over into benchmarks/evolve.jsonl, and prints the table

All arms train as many candidates on as many tokens, so that their whole compute is equal but for what genomes cost. Of
each run counts what its survivor comes to on seeds that chose nothing, all that its line read included; the Llama is
the one that the evolving arm's controls train beside it, on as many tokens. A row is one run; until all are there the
table says how many of how many.
"""

import json
import sys
from pathlib import Path

import yaml
from scipy import stats

from lamarck.evolve.file import evolution_of
from lamarck.evolve.ledger import Compared, Ledger
from lamarck.evolve.places import Places
from lamarck.files import read_regular, write_text

BASE = Path("config/evolve/smoke.yaml")
FILES = Path("results/evidence")
ROWS = Path("benchmarks/evolve.jsonl")
REPEATS = 5
ARMS: dict[str, dict[str, object]] = {
    "evolution": {},
    "scratch": {"inherit": False},
    "random": {"proposer": "random"},
}


def name_of(arm: str, repeat: int) -> str:
    return f"evidence-{arm}-{repeat}"


def write_files() -> None:
    base = yaml.safe_load(BASE.read_text(encoding="utf-8"))
    for repeat in range(REPEATS):
        for arm, changes in ARMS.items():
            own = {"description": f"Evidence: {arm}, repeat {repeat}.", "seed": 1000 + repeat}
            path = FILES / f"{name_of(arm, repeat)}.yaml"
            write_text(path, yaml.safe_dump(base | changes | own, sort_keys=False))
            print(f"lamarck evolve run {path}")


def finished(arm: str, repeat: int) -> list[dict[str, object]]:
    """The rows of a run, none while its controls are not done; the evolving arm has its Llama's as well."""
    places = Places(name_of(arm, repeat))
    if not places.plan.exists():
        return []
    file = evolution_of(places.name, places.file, read_regular(places.file)).file
    rows = [each for each in Ledger(places).compared() if each.arm != "repeat"]
    wanted = len(file.controls.seeds) * file.controls.survivors
    found = []
    for control, said in (("line", arm), ("llama", "llama")):
        scored = [row for row in rows if row.arm == control and row.scores is not None]
        if len(scored) == wanted and (control == "line" or arm == "evolution"):
            found.append({"arm": said, "repeat": repeat, "bits_per_byte": _mean(scored), "tokens": scored[0].tokens})
    return found


def _mean(rows: list[Compared]) -> float:
    scores = [row.scores.bits_per_byte for row in rows if row.scores is not None]
    return round(sum(scores) / len(scores), 6)


def enter_rows() -> None:
    known = [json.loads(line) for line in ROWS.read_text(encoding="utf-8").splitlines()] if ROWS.exists() else []
    by_key = {(row["arm"], row["repeat"]): row for row in known}
    for repeat in range(REPEATS):
        for arm in ARMS:
            by_key |= {(row["arm"], row["repeat"]): row for row in finished(arm, repeat)}
    rows = [by_key[key] for key in sorted(by_key)]
    if rows:
        write_text(ROWS, "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows))
    print(f"{len(rows)} of {REPEATS * (len(ARMS) + 1)} rows")
    own = {row["repeat"]: row["bits_per_byte"] for row in rows if row["arm"] == "evolution"}
    for arm in ("scratch", "random", "llama"):
        theirs = {row["repeat"]: row["bits_per_byte"] for row in rows if row["arm"] == arm}
        values = [own[repeat] - theirs[repeat] for repeat in own if repeat in theirs]
        if len(values) > 1:
            bounds = stats.ttest_1samp(values, 0).confidence_interval(0.95)
            mean = sum(values) / len(values)
            interval = f"[{bounds.low:+.4f}, {bounds.high:+.4f}]"
            print(f"evolution to {arm}: {mean:+.4f} bits a byte {interval}, {len(values)} pairs")


if __name__ == "__main__":
    {"files": write_files, "rows": enter_rows}[sys.argv[1]]()
