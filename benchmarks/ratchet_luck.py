"""How often a real night keeps a change that changes nothing: at most as often as its risk, and two standard errors.

python benchmarks/ratchet_luck.py --nights 3

The subject fits a line by stochastic gradient descent, hands it over and is scored in a room of its own; what it draws
follows its seed. Every proposal changes a constant that nothing reads, and a night goes on until all of its
confirmations are used.
"""

import argparse
import os
import subprocess
import tempfile
from pathlib import Path

import yaml

from lamarck.gate.approval import Approver
from lamarck.gate.planned import plan_digest
from lamarck.ratchet.file import load_ratchet
from lamarck.ratchet.ledger import read_ledger
from lamarck.ratchet.night import Ran
from lamarck.ratchet.night_files import NightFiles
from lamarck.ratchet.rows import rows
from lamarck.ratchet.run import Until, run_night

RISK = 0.05  # of a night
TRAIN = """\
import json, os, random
UNREAD = 0.5
rng = random.Random(int(os.environ["RATCHET_SEED"]))
slope = offset = 0.0
for step in range(2000):
    x = rng.uniform(-1, 1)
    error = slope * x + offset - (3 * x - 1 + rng.gauss(0, 1))
    slope, offset = slope - 0.05 * error * x, offset - 0.05 * error
json.dump([slope, offset], open("model.json", "w"))
"""
EVALUATE = """\
import json
slope, offset = json.load(open("model.json"))
print(f"distance: {((slope - 3) ** 2 / 3 + (offset + 1) ** 2) ** 0.5:.6f}")
"""
FILE = {
    "name": "luck",
    "metric": "distance",
    "metric_direction": "minimize",
    "mutable_files": ["train.py"],
    "immutable_files": ["evaluate.py"],
    "run_command": "python train.py",
    "eval_command": "python evaluate.py",
    "trust": "scored",
    "hand_over": ["model.json"],
    "budget": {"kind": "processor_seconds", "amount": 5, "startup_seconds": 5},
    "threads": 1,
    "experiments": 1000,
    "device_seconds": 1e6,
    "agent": {"kind": "mutation", "space": {"UNREAD": {"kind": "number", "low": 0, "high": 1}}},
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Real nights in which nothing is better.")
    parser.add_argument("--nights", type=int, default=3)
    parser.add_argument("--confirmations", type=int, default=20, help="Of a night, which is over when they are used.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        Path("train.py").write_text(TRAIN)
        Path("evaluate.py").write_text(EVALUATE)
        git("init", "--quiet")
        git("add", "--all")
        git("commit", "--quiet", "--message", "begin")
        kept = [night(number, given.confirmations) for number in range(1, given.nights + 1)]
    bound = RISK + 2 * (RISK * (1 - RISK) / given.nights) ** 0.5
    print(f"{sum(kept)} of {given.nights} nights kept something: {sum(kept) / given.nights:.1%}, at most {bound:.1%}")


def night(number: int, confirmations: int) -> bool:
    """One whole night, with seeds of its own. Whether it kept anything."""
    rigor = {"risk": RISK, "confirmations": confirmations}
    Path("ratchet.yaml").write_text(yaml.safe_dump(FILE | {"seed": number, "rigor": rigor}))
    ratchet = load_ratchet(Path("ratchet.yaml"))
    files = NightFiles("luck", f"night-{number}")
    run_night(ratchet, files, lambda: Approver(name="benchmark"), plan_digest, None, Until(), lambda _: None)
    lines = read_ledger(files.ledger)
    found = [row for row in rows(lines, "") if row.number]
    confirmed = sum(bool(row.own) for row in found)
    runs = sum(isinstance(line, Ran) for line in lines)
    kept = sum(row.status == "keep" for row in found)
    print(f"night {number}: {len(found)} proposals, {confirmed} confirmations, {runs} runs, {kept} kept", flush=True)
    return kept > 0


def git(*arguments: str) -> None:
    identity = ["-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost"]
    subprocess.run(["git", *identity, *arguments], check=True)


if __name__ == "__main__":
    main()
