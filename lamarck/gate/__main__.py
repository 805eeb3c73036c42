"""The plan stage: write down the training run that a human is asked about.

    python -m lamarck.gate --config config/default.yaml --generation g1 --weights results/g0/weights \
        --curriculum results/g1/curriculum.jsonl --output results/g1/plan.json \
        --record results/g1/plan.record.json
"""

import argparse
import time
from pathlib import Path

from lamarck.errors import exit_with_sentence
from lamarck.gate.options import add_plan_inputs, plan_inputs
from lamarck.gate.plan import build_plan
from lamarck.gate.planned import plan_digest, write_plan
from lamarck.lineage.artifacts import PLAN
from lamarck.lineage.configured import load_config_of
from lamarck.lineage.digest import short
from lamarck.lineage.generation import parse_generation


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lamarck.gate", description="Plan one generation's training.")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--generation", required=True)
    add_plan_inputs(parser)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--record", type=Path, required=True, help="plan.record.json to write")
    arguments = parser.parse_args()

    started = time.time()
    child = parse_generation(arguments.generation)
    config = load_config_of(arguments.config, child)
    plan = build_plan(config, child, plan_inputs(arguments))
    inputs = PLAN.input_digests(config, child, _given(arguments))
    write_plan(plan, arguments.output, arguments.record, inputs, config.seed, started)
    print(f"{child.name}: plan {short(plan_digest(plan))}, {plan.curriculum.items:,} items, waits for a human")


def _given(arguments: argparse.Namespace) -> dict[str, tuple[Path, ...]]:
    """The files of the command line, as the table of artifacts names a plan's inputs."""
    named = {
        "weights": arguments.weights,
        "change": arguments.parent_change,
        "curriculum": arguments.curriculum,
        "previous_plan": arguments.previous_plan,
        "control_curriculum": arguments.control_curriculum,
        "control_change": arguments.control_parent_change,
    }
    return {name: (path,) for name, path in named.items() if path}


if __name__ == "__main__":
    exit_with_sentence(main)
