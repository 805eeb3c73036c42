"""What autoresearch's users bring, and take away: its template, its table, its tags, what an agent is told."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas
import pytest

from lamarck.judging.sandbox import MIB, Job, Run
from lamarck.ratchet.agents.proposal import AgentContext, told
from lamarck.ratchet.file import RatchetFile, load_ratchet
from lamarck.ratchet.night import DecidedLine, Proposed, Ran
from lamarck.ratchet.night_files import TAG, NightFiles, machine, new_tag
from lamarck.ratchet.plan import read_subject
from lamarck.ratchet.room import ExperimentRoom
from lamarck.ratchet.rows import Row, intervals_tsv, near_misses, results_tsv, rows
from tests.ratchet.subjects import SCORED, subject

TEMPLATE = """\
# autoresearch-config.yaml
name: "my-project"
metric: "the_metric_name"       # what to optimize
metric_direction: "minimize"    # or "maximize"
mutable_files:
  - "the_file_agent_can_edit.py"
immutable_files:
  - "evaluation.py"             # metric computation, cannot be gamed
  - "data_loader.py"            # fixed data pipeline
run_command: "python train.py > run.log 2>&1"
eval_command: "grep '^metric:' run.log"
budget_minutes: 5               # fixed time per experiment
branch_prefix: "autoresearch"   # git branch naming
rules:
  - "Only modify files listed in mutable_files"
  - "Do not install new dependencies"
  - "Simpler solutions preferred over complex ones"
  - "Run indefinitely until interrupted"
"""

FILE = RatchetFile.model_validate(
    {
        "name": "toy",
        "metric": "val_bpb",
        "metric_direction": "minimize",
        "mutable_files": ["train.py"],
        "run_command": "python train.py > run.log 2>&1",
        "eval_command": "grep '^val_bpb:' run.log",
        "budget_minutes": 5,
    }
)


class Room:
    """In the place of a sandbox: keeps what it is asked to run, and says what was printed."""

    def __init__(self, *said: str) -> None:
        self.said, self.jobs = list(said), []  # type: ignore[var-annotated]

    def run_job(self, job: Job, *beside: Job) -> Run:
        self.jobs.append(job)
        said = json.dumps({"code": 0, "said": self.said.pop(0)})
        return Run(exit_code=0, stopped_by=None, stdout=said, stderr="", archive=b"")

    def spec(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.jobs[number].files["spec.json"])
        return found


def test_its_template_is_accepted_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "ratchet.yaml").write_text(TEMPLATE)
    file = load_ratchet(tmp_path / "ratchet.yaml").file
    assert (file.trust, file.sign, file.spending.kind, file.spending.amount) == ("printed", -1, "wall_seconds", 300)
    # Its metric is printed under another name than it has in the file.
    room = Room("", "metric: 0.4\n")
    laboratory = ExperimentRoom(room, file, {}, {})  # type: ignore[arg-type]
    outcome = laboratory.experiment({"the_file_agent_can_edit.py": b""}, 1, file.spending, {})
    assert (outcome.metric, outcome.failure) == (0.4, "")
    assert [room.spec(number)["command"] for number in range(2)] == [file.run_command, file.eval_command]


@pytest.mark.parametrize(
    ("budget", "by_clock", "by_processor"),
    [
        ({"kind": "steps", "amount": 500, "most_seconds": 60}, 60, 120),
        ({"kind": "tokens", "amount": 1e6, "most_seconds": 60}, 60, 120),
        ({"kind": "wall_seconds", "amount": 50, "startup_seconds": 10}, 60, 120),
        ({"kind": "processor_seconds", "amount": 50, "startup_seconds": 10}, None, 60),
    ],
)
def test_every_budget_is_told_and_ended_from_outside(
    budget: Mapping[str, object], by_clock: float | None, by_processor: float
) -> None:
    """The subject counts steps and tokens; the clock, processor time and memory are counted for it, on two cores."""
    values = {"budget_minutes": None, "budget": budget, "threads": 2, "memory_mb": 300}
    file = RatchetFile.model_validate(FILE.model_dump(mode="json", exclude_unset=True) | values)
    room = Room("", "val_bpb: 1.5\n")
    ExperimentRoom(room, file, {}, {}).experiment({"train.py": b""}, 7, file.spending, {})  # type: ignore[arg-type]
    spec, limits = room.spec(0), room.jobs[0].limits
    told = spec["environment"]
    assert (told["RATCHET_BUDGET_KIND"], told["RATCHET_SEED"]) == (budget["kind"], "7")
    assert float(told["RATCHET_BUDGET"]) == budget["amount"]
    assert (spec["seconds"], limits.seconds, limits.memory_bytes) == (by_clock, by_processor, 300 * MIB)


def test_a_night_is_tagged_by_its_day_and_its_machine() -> None:
    assert TAG.fullmatch(new_tag()) and re.fullmatch(rf"[a-z]{{3}}\d\d-{re.escape(machine())}", new_tag())


@pytest.mark.parametrize("changes", [{}, {"immutable_files": ["evaluate.py", "program.md"]}, {"program": "program.md"}])
def test_program_md_tells_the_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]) -> None:
    monkeypatch.chdir(tmp_path)
    made = subject(tmp_path, SCORED | {"program.md": "# What you do here\n"}, **changes)
    assert read_subject(made, NightFiles("toy", "night")).program == "# What you do here\n"


def ran(number: int, metric: float | None, pair: int = 0, candidate: bool = True, **more: object) -> Ran:
    stage = "baseline" if number == 0 else "screen" if pair < 0 else "confirm"
    values = {"proposal": number, "candidate": candidate, "stage": stage, "pair": max(pair, 0), "seed": pair}
    return Ran.model_validate(values | {"metric": metric, "memory_gb": 1.5, "seconds": 1.0} | more)


def proposed(number: int, description: str, **more: object) -> Proposed:
    values = {"number": number, "commit": f"{number:040}", "description": description, "nodes": 0}
    return Proposed.model_validate(values | more)


def closed(number: int, status: str, why: str = "why") -> DecidedLine:
    return DecidedLine.model_validate({"number": number, "status": status, "why": why})


def confirmed(number: int, status: str, own: list[float], description: str = "") -> list[Ran | Proposed | DecidedLine]:
    """A proposal with a screening run and so many pairs, beside an incumbent that always has 1."""
    pairs = [(ran(number, value, pair), ran(number, 1.0, pair, candidate=False)) for pair, value in enumerate(own)]
    runs = [line for pair in pairs for line in pair]
    return [proposed(number, description or f"change {number}"), ran(number, own[0], -1), *runs, closed(number, status)]


BASELINE = [ran(0, 1.0, candidate=False), ran(0, 1.0, 1, candidate=False)]


def test_autoresearch_s_notebook_reads_every_row(tmp_path: Path) -> None:
    """What its analysis.ipynb does with it; a refused change draws no point, and a quotation mark hides none."""
    lines = [
        *BASELINE,
        *confirmed(1, "keep", [0.9, 0.9]),
        proposed(2, '"Half of it, and the rest', refused="it changes a seed alone: that is luck"),
        closed(2, "discard"),
        proposed(3, "too wide"),
        ran(3, None, -1, failure="out of memory"),
        closed(3, "crash", "out of memory"),
        *confirmed(4, "keep", [0.8, 0.7]),
    ]
    path = tmp_path / "results.tsv"
    path.write_text(results_tsv(FILE, rows(lines, "b" * 40)))
    frame = pandas.read_csv(path, sep="\t")
    assert list(frame.columns) == ["commit", "val_bpb", "memory_gb", "status", "description"]
    values = pandas.to_numeric(frame["val_bpb"], errors="coerce")
    status = frame["status"].str.strip().str.upper()
    assert list(status) == ["KEEP", "KEEP", "DISCARD", "CRASH", "KEEP"]
    assert list(values.fillna(-1)) == [1.0, 0.9, -1, 0.0, 0.75]
    assert list(pandas.to_numeric(frame["memory_gb"], errors="coerce")) == [1.5, 1.5, 0.0, 0.0, 1.5]
    kept = values[status == "KEEP"]
    assert list(kept.cummin()) == [1.0, 0.9, 0.75]


def test_a_printed_metric_is_marked_on_every_row_however_long_it_is() -> None:
    lines = [*BASELINE, proposed(1, "long " * 60), closed(1, "discard", "because " * 40)]
    _, *table = results_tsv(FILE, rows(lines, "b" * 40)).splitlines()
    assert len(table) == 2 and all(line.endswith(" [printed by the subject]") for line in table)
    beside = [line.split("\t") for line in intervals_tsv(FILE, rows(lines, "b" * 40)).splitlines()]
    assert [line[beside[0].index("trust")] for line in beside[1:]] == ["printed"]


def test_an_agent_sees_results_log_and_the_best_near_misses_first() -> None:
    """Confirmed, ahead on average, and let go: no others, and no more than three."""
    lines = [
        *BASELINE,
        *confirmed(1, "discard", [0.9, 0.99]),
        *confirmed(2, "discard", [1.2, 1.1]),  # behind
        *confirmed(3, "discard", [0.7, 0.99]),
        *confirmed(4, "keep", [0.5, 0.5]),
        proposed(5, "never confirmed"),
        ran(5, 0.1, -1),
        closed(5, "discard"),
        *confirmed(6, "discard", [0.99, 0.99]),
        *confirmed(7, "discard", [0.8, 0.8]),
    ]
    found = rows(lines, "b" * 40)
    assert [row.number for row in near_misses(FILE, found)] == [7, 3, 1]
    diffs = ("- LR = 1\n+ LR = 2", "- A\n+ B")
    context = AgentContext(8, {"train.py": b""}, {}, "val_bpb", "minimize", "# What you do here", ("No new packages",),
                           results_tsv(FILE, found), "step 9 | loss: 2.5", diffs)  # fmt: skip
    said = told(context)
    for words in ("# What you do here", "No new packages", "change 7", "step 9 | loss: 2.5", *diffs, "lower is better"):
        assert words in said
    for move in ("combine two near-misses", "the opposite of", "a sweep of", "take something away"):
        assert move in said


@pytest.mark.parametrize("caught", [(), ("printed val_bpb", "edited prepare.py")])
def test_what_runs_were_caught_at_is_named_once(caught: tuple[str, ...]) -> None:
    lines = [*BASELINE, proposed(1, "attack", caught=("edited results.tsv",)), ran(1, 1.0, -1, caught=caught),
             ran(1, 1.0, 0, caught=caught), closed(1, "discard")]  # fmt: skip
    row: Row = rows(lines, "b" * 40)[-1]
    assert row.caught == ("edited results.tsv", *caught)
    assert intervals_tsv(FILE, [row]).endswith("\t" + "; ".join(("edited results.tsv", *caught)) + "\n")
