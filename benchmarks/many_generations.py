"""How long the commands take that look at a whole lineage, on many finished generations and their control arms.

python -m benchmarks.many_generations 50
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lamarck.config import load_config
from lamarck.files import read_json, write_json
from lamarck.lineage.freshness import members, survey
from tests.report.page.synthetic import synthetic_record, write_lineage

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
RUNS = 3
COMMANDS = (["lamarck", "status"], ["snakemake", "--dry-run"])
CONFIG = Path("config/default.yaml")


def main() -> None:
    generations = int(sys.argv[1])
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        for name in ("Snakefile", "rules", "profiles", "envs", "lamarck"):
            Path(name).symlink_to(ROOT / name)
        write_lineage(generations, candidates=0, items=200, outcomes=10)
        finish()
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        for program, *arguments in COMMANDS:
            seconds = []
            for _ in range(RUNS):
                started, before = time.perf_counter(), os.times().children_user
                subprocess.run([BIN / program, *arguments], env=environment, capture_output=True, check=True)
                seconds.append((time.perf_counter() - started, os.times().children_user - before))
            wall, user = min(seconds)
            print(f"{program} {' '.join(arguments)}: {wall:.1f} s, of which {user:.1f} s of a processor")


def finish() -> None:
    """Give every artifact the record of what it lies there with: then each is whole, and nothing is to be made."""
    config = load_config(CONFIG)
    for kind, generation in members(config):
        if kind.digest:
            path = kind.record_file(generation)
            own = synthetic_record(kind.digest(generation), kind.input_digests(config, generation), 10.0)
            content = read_json(path) if path.exists() else {}
            write_json(path, content | {"record": own.model_dump(mode="json")})
    stale = [artifact.name for artifact in survey(config) if artifact.stale]
    assert not stale, stale


if __name__ == "__main__":
    main()
