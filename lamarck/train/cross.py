"""The crossing stage: behind the gate, a child is made of two parents' adapters. No optimizer step is taken.

    python -m lamarck.train.cross --config config/default.yaml --generation cross/g3 \
        --plan results/cross/g3/plan.json --approval approvals/cross/g3.ok \
        --weights results/g0/weights --change results/g2/adapter --parent-plan results/g2/plan.json \
        --parent-approval approvals/g2.ok --other-weights results/g0/weights \
        --other-change results/other/g2/adapter --other-parent-plan results/other/g2/plan.json \
        --other-parent-approval approvals/other/g2.ok --output results/cross/g3/adapter
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from lamarck.engine import prepare_libraries
from lamarck.errors import LamarckError, exit_with_sentence
from lamarck.files import atomic_directory, every_byte_read, write_json, write_text
from lamarck.gate.allowance import Spending, approved
from lamarck.gate.check import HumanAnswer
from lamarck.gate.crossing import AdmittedCross, Parents, add_parents, check_cross, parents_given
from lamarck.lineage.configured import load_config_of
from lamarck.lineage.contents import CrossingReport, SpentBudget
from lamarck.lineage.digest import change_digest
from lamarck.lineage.generation import TRAINING_RECORD, Generation, parse_generation
from lamarck.lineage.records import Record, make_record
from lamarck.merge.crossing import Crossed, cross
from lamarck.progress import count_up
from lamarck.run_lock import take_lock
from lamarck.seeds import seed_for
from lamarck.train.cross_card import CARD, cross_card
from lamarck.train.own_copy import copy_change


def main() -> None:
    arguments = _arguments()
    started = time.time()
    child = parse_generation(arguments.generation)
    config = load_config_of(arguments.config, child)
    with own_copies(parents_given(arguments)) as parents:
        with every_byte_read():  # nothing that is remembered of a file opens the gate
            answer = HumanAnswer(arguments.approval, arguments.campaign_plan)
            said = (
                HumanAnswer(arguments.parent_approval, arguments.parent_campaign_plan),
                HumanAnswer(arguments.other_parent_approval, arguments.other_parent_campaign_plan),
            )
            admitted = check_cross(config, child, arguments.plan, answer, parents, said)
        allowance = approved(admitted, child)
        assert allowance.journal  # an approved one has it
        take_lock(allowance.journal.lock, f"another process is crossing {child.name}")
        prepare_libraries(1)  # more threads would sum in another order
        seed = seed_for(config.seed, "cross", str(child.number))
        with atomic_directory(arguments.output) as directory, allowance.spending(1, leads=True) as spending:
            crossed = _cross(child, admitted, parents, directory, seed, spending)
            record = make_record(
                change_digest(directory), admitted.pieces, seed, "cpu", time.time() - started, spending.spent()
            )
            write_json(directory / TRAINING_RECORD, _report(child, admitted, crossed, spending, record).written())
    print(f"{child.name}: {sentence(admitted, crossed)}")


@contextmanager
def own_copies(parents: Parents) -> Iterator[Parents]:
    """`parents` with copies of their adapters that nobody else can write: what the gate hashes is what is read.

    Errors: LamarckError where one cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="lamarck-") as directory:
        copied = []
        for number, parent in enumerate(parents):
            copied.append(replace(parent, change=copy_change(parent.change, Path(directory) / str(number))))
        first, other = copied
        yield first, other


def _cross(
    child: Generation, admitted: AdmittedCross, parents: Parents, directory: Path, seed: int, spending: Spending
) -> Crossed:
    """Errors: LamarckError where the ceiling is spent before all is crossed: half a child is not kept."""
    most = admitted.plan.budget.device_seconds

    with count_up(f"{child.name} is crossed", "modules") as counted:

        def advance(modules: int) -> None:
            counted(modules)
            if spending.spent() >= most:
                raise LamarckError(
                    f"the {most:g} device-seconds of {child.name}, the lesser of its parents', are spent before all "
                    "of it is crossed: choose `concatenate`, which takes none to speak of"
                )

        adapters = (parents[0].change, parents[1].change)
        with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".cross-") as beside:
            made = Path(beside) / "adapter"
            crossed = cross(adapters, made, admitted.crossing, seed, advance)
            for path in sorted(made.iterdir()):
                path.rename(directory / path.name)
    write_text(directory / CARD, cross_card(child, admitted.plan, admitted.crossing, crossed))
    return crossed


def _report(
    child: Generation, admitted: AdmittedCross, crossed: Crossed, spending: Spending, record: Record
) -> CrossingReport:
    return CrossingReport(
        generation=child.name,
        record=record,
        parents=[parent.model_dump(mode="json") for parent in admitted.plan.parents],
        crossing=admitted.crossing.model_dump(mode="json"),
        rank=crossed.rank,
        residual=crossed.residual.model_dump(mode="json") if crossed.residual else None,
        budget=SpentBudget(
            ceiling_device_seconds=admitted.plan.budget.device_seconds,
            used_device_seconds=round(spending.spent(), 3),
            attempts=spending.attempts,
            stopped_by="end",
        ),
    )


def sentence(admitted: AdmittedCross, crossed: Crossed) -> str:
    """What was made, and what was lost where it was cut."""
    names = " and ".join(parent.generation for parent in admitted.plan.parents)
    lost = f", which leaves out {crossed.residual.total:.2%} of it (Frobenius)" if crossed.residual else ", exactly"
    return f"{names} by {admitted.crossing.method}, rank {crossed.rank}{lost}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lamarck.train.cross", description="Cross two approved parents.")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--generation", required=True)
    parser.add_argument("--plan", type=Path, required=True)
    parser.add_argument("--approval", type=Path, required=True)
    parser.add_argument("--campaign-plan", type=Path, help="what the approval answers, for a member of a campaign")
    add_parents(parser)
    for prefix, whose in (("", "the first parent's"), ("other-", "the second parent's")):
        parser.add_argument(f"--{prefix}parent-approval", type=Path, required=True, help=f"of {whose} plan")
        parser.add_argument(f"--{prefix}parent-campaign-plan", type=Path, help=f"what {whose} approval answers")
    parser.add_argument("--output", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    exit_with_sentence(main)
