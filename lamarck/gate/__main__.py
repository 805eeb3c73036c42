"""The plan stage: write down the training run that a human is asked about.

    python -m lamarck.gate --config config/default.yaml --generation g1 --weights results/g0/weights \
        --curriculum results/g1/curriculum.jsonl --output results/g1/plan.json
"""

import argparse
from pathlib import Path

from lamarck.config import load_config
from lamarck.errors import exit_with_sentence
from lamarck.files import write_json
from lamarck.gate.plan import ControlInputs, build_plan, plan_digest, short
from lamarck.lineage import parse_generation


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lamarck.gate", description="Plan one generation's training.")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--generation", required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--parent-adapter", type=Path)
    parser.add_argument("--curriculum", type=Path, required=True)
    parser.add_argument("--previous-plan", type=Path, help="the parent's plan, from g2 on")
    parser.add_argument("--control-curriculum", type=Path)
    parser.add_argument("--control-parent-adapter", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()

    child = parse_generation(arguments.generation)
    control = None
    if arguments.control_curriculum:
        parent = child.control.parent.name
        control = ControlInputs(parent, arguments.control_parent_adapter, arguments.control_curriculum)
    plan = build_plan(
        load_config(arguments.config),
        child,
        arguments.weights,
        arguments.parent_adapter,
        arguments.curriculum,
        arguments.previous_plan,
        control,
    )
    write_json(arguments.output, plan.model_dump(mode="json"))
    print(f"{child.name}: plan {short(plan_digest(plan))}, {plan.curriculum.items:,} items, waits for a human")


if __name__ == "__main__":
    exit_with_sentence(main)
