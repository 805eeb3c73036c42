"""Small subjects in git repositories of their own, and nights on them."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from lamarck.files import read_regular
from lamarck.gate.approval import Approver
from lamarck.gate.night import RatchetPlan
from lamarck.gate.planned import plan_digest
from lamarck.ratchet.file import Ratchet, load_ratchet
from lamarck.ratchet.ledger import read_ledger
from lamarck.ratchet.night_files import NightFiles
from lamarck.ratchet.rows import Row, rows
from lamarck.ratchet.run import Until, run_night

# The evaluator's own file: how near the handed number is, which noise that follows the seed blurs.
SCORED = {
    "train.py": """\
import json, os, random
SEED = int(os.environ["RATCHET_SEED"])
NOISE = 0.0
GUESS = 1.0
EXTRA = [1, 2, 3]
# here
guess = GUESS + random.Random(SEED).gauss(0, 1) * NOISE
with open("model.json", "w") as file:
    json.dump(guess, file)
""",
    "evaluate.py": """\
import json
distance = abs(json.load(open("model.json")) - json.load(open("secret.json"))["answer"])
print(f"distance: {distance:.6f}")
""",
}
SECRET = '{"note": "' + "what no experiment may see, of which a passage would be known again" * 3 + '", "answer": 7}'
VALUES: dict[str, Any] = {
    "name": "toy",
    "metric": "distance",
    "metric_direction": "minimize",
    "mutable_files": ["train.py"],
    "immutable_files": ["evaluate.py"],
    "evaluation_files": ["secret.json"],
    "run_command": "python train.py",
    "eval_command": "python evaluate.py",
    "trust": "scored",
    "hand_over": ["model.json"],
    "budget": {"kind": "processor_seconds", "amount": 1, "startup_seconds": 1},
    # By the clock: on a busy machine six runs of two processor seconds a proposal are not enough.
    "device_seconds": 3600,
    "memory_mb": 512,
    "processes": 32,
    "threads": 1,
    # As little as can show anything: two pairs.
    "rigor": {"baseline_runs": 2, "risk": 0.3, "confirmations": 1, "pairs": 2},
}


def git(directory: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Tester", "-c", "user.email=tester@example.org"]
    command = ["git", *identity, "-C", str(directory), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def subject(directory: Path, files: dict[str, str] | None = None, **changes: Any) -> Ratchet:
    """A repository with a subject and a ratchet's file, which is in no commit: it may change."""
    git(directory, "init", "--quiet", "--initial-branch", "main")
    for name, text in (SCORED if files is None else files).items():
        (directory / name).write_text(text)
    (directory / ".gitignore").write_text(".lamarck/\napprovals/\nresults/\nratchet.yaml\nsecret.json\nlogs/\n")
    git(directory, "add", "--all")
    git(directory, "commit", "--quiet", "--message", "begin")
    (directory / "secret.json").write_text(SECRET)
    return ratchet(directory, **changes)


def ratchet(directory: Path, **changes: Any) -> Ratchet:
    values = {key: value for key, value in (VALUES | changes).items() if value is not None}
    (directory / "ratchet.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    return load_ratchet(Path("ratchet.yaml"))


def edits(*changes: tuple[str, str, str]) -> dict[str, Any]:
    """(description, find, replace), one after the other."""
    return {
        "kind": "patches",
        "edits": [{"description": said, "find": find, "replace": new} for said, find, new in changes],
    }


def run(ratchet: Ratchet, tag: str = "night", until: Until | None = None, said: list[str] | None = None) -> str:
    """A night, approved by whoever is asked."""

    def ask(plan: RatchetPlan) -> str:
        return plan_digest(plan)

    say = (lambda line: None) if said is None else said.append
    approver = Approver(name="Tester")
    return run_night(ratchet, NightFiles(ratchet.file.name, tag), lambda: approver, ask, None, until or Until(), say)


def found(ratchet: Ratchet, tag: str = "night") -> list[Row]:
    files = NightFiles(ratchet.file.name, tag)
    return rows(read_ledger(files.ledger), "base")


def results(ratchet: Ratchet, tag: str = "night") -> str:
    return read_regular(NightFiles(ratchet.file.name, tag).results).decode()
