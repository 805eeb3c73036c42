"""The gate: did a human approve exactly this training run? No setting and no flag opens it. Light."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lamarck.config import Config, Machine
from lamarck.config.strategy import load_strategy
from lamarck.errors import LamarckError
from lamarck.files import digest_file
from lamarck.gate.approval import Approval, read_approval, today
from lamarck.gate.plan import Arm, Plan, plan_digest, planned_recipe, read_plan
from lamarck.gate.plan import Machine as PlannedMachine
from lamarck.gate.signature import check_signature
from lamarck.lineage.digest import model_digest, short, suite_digest
from lamarck.lineage.generation import Generation


@dataclass(frozen=True)
class GateState:
    """waiting: nobody has answered. open: approved. refused: there is an answer, and it does not hold."""

    state: Literal["waiting", "open", "refused"]
    sentence: str
    approval: Approval | None = None


def gate_state(generation: Generation, plan: Path, approval: Path) -> GateState:
    """What the plan and the approval say, without hashing what the plan covers: for `lamarck status` and the rules."""
    name = generation.planned_by.name
    if not approval.exists():
        return GateState("waiting", f"{name} waits for a human: {plan} is not approved.")
    try:
        return GateState("open", f"{name} is approved.", check_approval(name, read_plan(plan), approval))
    except LamarckError as error:
        return GateState("refused", f"{error}.")


def check_approval(name: str, plan: Plan, path: Path) -> Approval:
    """The approval at `path`, if it allows `plan` to run now. Errors: LamarckError that says why it does not."""
    approval = check_answer(name, plan, path)
    if approval.expires < today():
        raise LamarckError(f"{path} expired on {approval.expires}: read `lamarck review {name}`, then approve again")
    return approval


def check_answer(name: str, plan: Plan, path: Path) -> Approval:
    """The approval at `path`, if it is a human's yes to `plan`, be it expired since. Errors: LamarckError that says why
    it is none."""
    if not path.exists():
        raise LamarckError(f"{name} is not approved: read `lamarck review {name}`, then `lamarck approve {name}`")
    if plan.generation != name:
        raise LamarckError(f"the plan of {name} is one of {plan.generation}: run snakemake for a new plan")
    approval = read_approval(path, name)
    digest = plan_digest(plan)
    advice = f"read `lamarck review {name}`, then approve again"
    if approval.generation != name:
        raise LamarckError(f"{path} approves {approval.generation}, not {name}: {advice}")
    if approval.plan != digest:
        raise LamarckError(
            f"{path} approves another plan ({short(approval.plan)}), not the present one ({short(digest)}): {advice}"
        )
    if approval.budget_device_seconds < plan.budget.device_seconds:
        raise LamarckError(
            f"{path} allows {approval.budget_device_seconds:g} device-seconds, but the plan has a budget of "
            f"{plan.budget.device_seconds:g}: lower the budget, or approve again"
        )
    check_signature(path, approval.approver)
    return approval


def check_gate(
    config: Config,
    generation: Generation,
    plan: Path,
    approval: Path,
    weights: Path,
    parent_adapter: Path | None,
    curriculum: Path,
) -> Plan:
    """Called by the trainer immediately before it trains: hash again everything the plan covers, as it is now.

    Returns the approved plan. Errors: LamarckError that names what differs from what was approved.
    """
    name = generation.planned_by.name
    approved = read_plan(plan)
    check_approval(name, approved, approval)
    if not curriculum.exists():
        raise LamarckError(f"{curriculum} does not exist: run snakemake, or restore it with `dvc pull`")
    changed = changed_parts(config, generation, approved, weights, parent_adapter, curriculum)
    if changed:
        raise LamarckError(
            f"the {' and the '.join(changed)} of {generation.name} changed after the approval: "
            f"run snakemake for a new plan, then read `lamarck review {name}` and approve again"
        )
    return approved


def changed_parts(
    config: Config, generation: Generation, plan: Plan, weights: Path, parent_adapter: Path | None, curriculum: Path
) -> list[str]:
    """What the plan says of this run, or of its control arm's, that is not so now: every part is hashed again."""
    arm = _arm(plan, generation)
    parts = {
        "parent": (model_digest(weights, parent_adapter), arm.parent.digest),
        "curriculum": (digest_file(curriculum), arm.curriculum.digest),
        "strategy": (load_strategy(config.strategy_of(generation.number)).digest(), plan.strategy.digest),
        # The settings too: they are what the human read.
        "recipe": (planned_recipe(config), plan.recipe),
        "suite": (suite_digest(Path(config.suite)), plan.suite.digest),
        "seed": (config.seed, plan.seed),
        "machine": (_place(config.machines.train), _place(plan.cost.machine)),
        "budget": (
            (config.budget.of(generation.number), config.budget.dollars),
            (plan.budget.device_seconds, plan.budget.dollars),
        ),
    }
    return [part for part, (now, planned) in parts.items() if now != planned]


def _place(machine: Machine | PlannedMachine) -> tuple[str, int]:
    """What a human agreed to rent. Its price and its speed may be known better by now: they close no gate."""
    return machine.gpu, machine.count


def _arm(plan: Plan, generation: Generation) -> Plan | Arm:
    """The part of a plan that speaks of this run: the lineage's own, or its control arm's."""
    if not generation.is_control:
        return plan
    if plan.control is None:
        raise LamarckError(f"the plan of {plan.generation} has no control arm: set `control: true` and plan again")
    return plan.control
