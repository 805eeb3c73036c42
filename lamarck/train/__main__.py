"""The training stage: behind the gate, the child is made.

    python -m lamarck.train --config config/default.yaml --generation g1 --plan results/g1/plan.json \
        --approval approvals/g1.ok --weights results/g0/weights --curriculum results/g1/curriculum.jsonl \
        --checkpoint results/g1/checkpoint --metrics logs/tensorboard/g1 --output results/g1/adapter
"""

import argparse
import time
from functools import partial
from pathlib import Path

from lamarck.errors import exit_with_sentence
from lamarck.gate.check import check_gate
from lamarck.lineage.configured import load_config_of
from lamarck.lineage.generation import parse_generation
from lamarck.run_lock import take_lock
from lamarck.train.run import Job, make_child


def main() -> None:
    arguments = _arguments()
    started = time.time()
    child = parse_generation(arguments.generation)
    config = load_config_of(arguments.config, child)
    approved = check_gate(
        config,
        child,
        arguments.plan,
        arguments.approval,
        arguments.weights,
        arguments.parent_adapter,
        arguments.curriculum,
    )
    take_lock(arguments.checkpoint / "lock", f"another process is training {child.name}")

    # It imports torch: after everything that can be refused without that.
    from lamarck.train.launch import run_on

    job = Job(
        started,
        config,
        child,
        approved,
        arguments.plan,
        arguments.weights,
        arguments.parent_adapter,
        arguments.curriculum,
        arguments.checkpoint,
        arguments.metrics,
        arguments.output,
        arguments.threads,
    )
    run_on(config.machines.train, partial(make_child, job))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lamarck.train", description="Train an approved generation.")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--generation", required=True)
    parser.add_argument("--plan", type=Path, required=True)
    parser.add_argument("--approval", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--parent-adapter", type=Path)
    parser.add_argument("--curriculum", type=Path, required=True)
    parser.add_argument(
        "--checkpoint", type=Path, required=True, help="directory of the checkpoint; removed at the end"
    )
    parser.add_argument("--metrics", type=Path, required=True, help="directory of the run's metrics, if configured")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of all processes together")
    return parser.parse_args()


if __name__ == "__main__":
    exit_with_sentence(main)
