"""The options that name a plan's inputs: the same where it is made and where it is made anew, at the gate."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from lamarck.gate.plan import ControlInputs, PlanInputs


def add_plan_inputs(parser: ArgumentParser) -> None:
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--parent-change", type=Path, help="what was trained of the parent, from g2 on")
    parser.add_argument("--curriculum", type=Path, required=True)
    parser.add_argument("--previous-plan", type=Path, help="the parent's plan, from g2 on")
    parser.add_argument("--control-curriculum", type=Path)
    parser.add_argument("--control-parent-change", type=Path)


def plan_inputs(arguments: Namespace) -> PlanInputs:
    control = None
    if arguments.control_curriculum:
        control = ControlInputs(arguments.control_parent_change, arguments.control_curriculum)
    return PlanInputs(
        arguments.weights, arguments.parent_change, arguments.curriculum, arguments.previous_plan, control
    )
