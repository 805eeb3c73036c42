"""What a ratchet's loop costs beside its experiments: the same experiments as autoresearch's protocol runs them.

python benchmarks/ratchet.py

The subject works for so many seconds of processor time and prints its number. The plain loop edits the file, commits,
runs it, reads the number and resets, as program.md says; the ratchet runs it in rooms and keeps a ledger. Both loops
take turns, and the difference is that of the two medians.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from lamarck.gate.approval import Approver
from lamarck.gate.planned import plan_digest
from lamarck.ratchet.file import load_ratchet
from lamarck.ratchet.ledger import read_ledger
from lamarck.ratchet.night import Ran
from lamarck.ratchet.night_files import NightFiles
from lamarck.ratchet.run import Until, run_night

SECONDS = 3.0
EXPERIMENTS = 8
UPSTREAM = 300.0  # of wall time, an experiment of autoresearch's
TRAIN = """\
import time
GUESS = 1
while time.process_time() < %g:
    pass
print(f"distance: {GUESS}")
"""
FILE = {
    "name": "overhead",
    "metric": "distance",
    "metric_direction": "minimize",
    "mutable_files": ["train.py"],
    "run_command": "python train.py > run.log 2>&1",
    "eval_command": "grep '^distance:' run.log",
    "budget": {"kind": "processor_seconds", "amount": SECONDS, "startup_seconds": 5},
    "threads": 1,
    "agent": {
        "kind": "patches",
        "edits": [
            {"description": "worse", "find": "GUESS = 1", "replace": f"GUESS = {2 + number}"}
            for number in range(EXPERIMENTS)
        ],
    },
}


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        Path("train.py").write_text(TRAIN % SECONDS)
        Path("ratchet.yaml").write_text(yaml.safe_dump(FILE))
        Path(".gitignore").write_text(".lamarck/\napprovals/\nresults/\nrun.log\n")
        git("init", "--quiet")
        git("add", "--all")
        git("commit", "--quiet", "--message", "begin")
        ratchet = load_ratchet(Path("ratchet.yaml"))
        files = NightFiles("overhead", "night")
        approver = Approver(name="benchmark")
        # The baseline, and building the rooms' template, come before any experiment.
        run_night(ratchet, files, lambda: approver, plan_digest, None, Until(moment=time.time() + 1), lambda _: None)
        plain, loop = [], []
        for number in range(1, EXPERIMENTS + 1):
            plain.append(plain_experiment(number))
            started = time.perf_counter()
            before = len(read_ledger(files.ledger))
            run_night(ratchet, files, lambda: approver, plan_digest, None, Until(1), lambda _: None)
            runs = sum(isinstance(line, Ran) for line in read_ledger(files.ledger)[before:])
            loop.append((time.perf_counter() - started) / runs)
    more = statistics.median(loop) - statistics.median(plain)
    print(f"plain loop: median {statistics.median(plain):.2f} s an experiment of {SECONDS:g} s of processor time")
    print(f"ratchet: median {statistics.median(loop):.2f} s, {more:+.2f} s")
    for seconds in (20.0, UPSTREAM):
        print(f"  beside experiments of {seconds:g} s: {more / seconds:.1%}")


def plain_experiment(number: int) -> float:
    started = time.perf_counter()
    text = Path("train.py").read_text()
    Path("train.py").write_text(text.replace("GUESS = 1", f"GUESS = {1 + number}"))
    git("commit", "--quiet", "--all", "--message", "experiment")
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run(str(FILE["run_command"]), shell=True, check=True, env=environment)
    subprocess.run(str(FILE["eval_command"]), shell=True, check=True, capture_output=True)
    git("reset", "--quiet", "--hard", "HEAD~1")
    return time.perf_counter() - started


def git(*arguments: str) -> None:
    identity = ["-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost"]
    subprocess.run(["git", *identity, *arguments], check=True)


if __name__ == "__main__":
    main()
