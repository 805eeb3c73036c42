"""How long the plan of a campaign takes: so many lineages of two generations, of which nothing is raised yet.

python -m benchmarks.many_lineages 40
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from lamarck.campaign.members import load_campaign
from lamarck.campaign.run import describe, step_plan
from lamarck.files import write_text
from lamarck.gate.approval import Approver
from lamarck.gate.approve import answer
from lamarck.gate.check import asked_of_campaign
from lamarck.gate.planned import plan_digest, plan_text

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
SEEDS = 2
RUNS = 3
ME = Approver(name="A benchmark")


def main() -> None:
    arms = int(sys.argv[1]) // SEEDS
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        for name in ("Snakefile", "rules", "profiles", "envs", "lamarck", "config"):
            Path(name).symlink_to(ROOT / name)
        values = {
            "description": "Lineages that differ by a step of their training.",
            "configfile": "config/default.yaml",
            "seeds": list(range(1, SEEDS + 1)),
            "arms": [{"name": f"a{arm}", "why": "", "config": {"recipe": {"steps": 300 + arm}}} for arm in range(arms)],
        }
        write_text(Path("many.yaml"), yaml.safe_dump(values))
        started, before = time.perf_counter(), os.times()
        campaign = load_campaign(Path("many.yaml"))
        [step] = campaign.steps
        plan = step_plan(campaign, step)
        answer(asked_of_campaign(step, plan), plan_digest(plan), step.file, step.approval, ME, "", None)
        write_text(step.plan, plan_text(plan))
        describe(campaign)
        wall, user = time.perf_counter() - started, os.times().user - before.user
        print(f"its plan, with {plan.trainings} trainings: {wall:.1f} s, of which {user:.1f} s of a processor")
        targets = [str(campaign.scores_of(campaign.read_off(*key))) for key in campaign.lineages]
        command = [BIN / "snakemake", *targets, "--dry-run", "--configfile", campaign.file.configfile]
        seconds = []
        for _ in range(RUNS):
            started, before = time.perf_counter(), os.times()
            subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, check=True)
            seconds.append((time.perf_counter() - started, os.times().children_user - before.children_user))
        wall, user = min(seconds)
        print(f"snakemake --dry-run of all: {wall:.1f} s, of which {user:.1f} s of a processor")


if __name__ == "__main__":
    main()
