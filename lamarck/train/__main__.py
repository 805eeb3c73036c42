"""The training stage: behind the gate, the child is made.

    python -m lamarck.train --config config/default.yaml --generation g1 --plan results/g1/plan.json \
        --approval approvals/g1.ok --weights results/g0/weights --curriculum results/g1/curriculum.jsonl \
        --checkpoint results/g1/checkpoint --metrics logs/tensorboard/g1 --output results/g1/adapter

It gets everything that the plan is made from, because the gate makes the plan anew: for a control arm the lineage's own
files, too, and the other way round.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from lamarck.errors import exit_with_sentence
from lamarck.files import every_byte_read
from lamarck.gate.allowance import approved
from lamarck.gate.check import HumanAnswer, check_gate
from lamarck.gate.options import add_plan_inputs, plan_inputs
from lamarck.gate.plan import PlanInputs
from lamarck.heavy_imports import heavy_imports
from lamarck.lineage.configured import load_config_of
from lamarck.lineage.generation import parse_generation
from lamarck.run_lock import take_lock
from lamarck.train.own_copy import copy_change
from lamarck.train.run import TrainingJob, make_child


def main() -> None:
    arguments = _arguments()
    started = time.time()
    child = parse_generation(arguments.generation)
    config = load_config_of(arguments.config, child)
    with own_parent_change(plan_inputs(arguments), child.is_control) as (inputs, parent_change):
        with every_byte_read():  # nothing that is remembered of a file opens the gate
            answer = HumanAnswer(arguments.approval, arguments.campaign_plan)
            parents = arguments.parent_approval and HumanAnswer(
                arguments.parent_approval, arguments.parent_campaign_plan
            )
            admitted = check_gate(config, child, arguments.plan, answer, inputs, parents)
        busy = f"another process is training {child.name}"
        take_lock(arguments.checkpoint / "lock", busy)
        allowance = approved(admitted, child)
        if allowance.journal:
            take_lock(allowance.journal.lock, busy)  # also where the checkpoint is another one
            spent = allowance.journal.spent()
            print(f"{child.name}: {spent:.1f} of {allowance.device_seconds:g} approved device-seconds are spent")

        # torch: after everything that can be refused without that.
        with heavy_imports():
            from lamarck.train.launch import run_on

        job = TrainingJob(
            started,
            config,
            child,
            admitted,
            allowance,
            inputs.weights,
            parent_change,
            arguments.checkpoint,
            arguments.metrics,
            arguments.output,
            arguments.threads,
        )
        run_on(config.machines.train, partial(make_child, job))


@contextmanager
def own_parent_change(inputs: PlanInputs, of_control: bool) -> Iterator[tuple[PlanInputs, Path | None]]:
    """`inputs` with a copy of the child that this arm starts from, and where that lies, which nobody else can write.

    Its bytes are read once: what the gate hashes is what is loaded. Errors: LamarckError where it cannot be read.
    """
    control = inputs.control if of_control else None
    change = control.parent_change if control else inputs.parent_change
    if change is None:
        yield inputs, None
        return
    with tempfile.TemporaryDirectory(prefix="lamarck-") as directory:
        copy = copy_change(change, Path(directory))
        if control:
            yield replace(inputs, control=replace(control, parent_change=copy)), copy
        else:
            yield replace(inputs, parent_change=copy), copy


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lamarck.train", description="Train an approved generation.")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--generation", required=True)
    parser.add_argument("--plan", type=Path, required=True)
    parser.add_argument("--approval", type=Path, required=True)
    parser.add_argument("--parent-approval", type=Path, help="of the parent's plan, from g2 on")
    parser.add_argument("--campaign-plan", type=Path, help="what the approval answers, for a member of a campaign")
    parser.add_argument("--parent-campaign-plan", type=Path, help="the same of the parent's approval")
    add_plan_inputs(parser)
    parser.add_argument(
        "--checkpoint", type=Path, required=True, help="directory of the checkpoint; removed at the end"
    )
    parser.add_argument("--metrics", type=Path, required=True, help="directory of the run's metrics, if configured")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of all processes together")
    return parser.parse_args()


if __name__ == "__main__":
    exit_with_sentence(main)
