"""A project in the working directory whose g1 and its control arm are planned, and the hands to change it."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from lamarck.config import Config
from lamarck.config.section import check_section
from lamarck.curriculum.item import Item, ItemVerdict, Teacher, item_id
from lamarck.errors import LamarckError
from lamarck.files import digest_file, write_json, write_jsonl
from lamarck.gate.approval import Approver
from lamarck.gate.approve import approve
from lamarck.gate.check import Admitted, HumanAnswer, check_gate
from lamarck.gate.plan import ControlInputs, Plan, PlanInputs, build_plan
from lamarck.gate.planned import plan_digest
from lamarck.lineage.artifacts import PLAN
from lamarck.lineage.digest import short
from lamarck.lineage.generation import Generation
from lamarck.lineage.records import make_record
from lamarck.skills import get_skill

ROOT = Path(__file__).parents[2]
G1 = Generation(1)
G2 = Generation(2)
ME = Approver(name="A Tester", contact="tester@example.org")


def config(**changes: object) -> Config:
    values = yaml.safe_load((ROOT / "config/default.yaml").read_text()) | {
        "suite": "suite",
        "strategy": "strategy.yaml",
        "budget": {"device_seconds": 120},
    }
    return check_section(values | changes, Config, "test")


def write_curriculum(path: Path, seed: int, number: int = 5) -> None:
    rng = random.Random(seed)
    items = []
    for _ in range(number):
        problem = get_skill("json_mode").sample(rng, 2)
        items.append(
            Item(
                id=item_id("json_mode", problem.prompt, problem.completion),
                skill="json_mode",
                difficulty=2,
                prompt=problem.prompt,
                completion=problem.completion,
                teacher=Teacher(generation="g0", digest="0"),
                verdict=ItemVerdict(verified=True, by="json_mode", score=1.0),
                strategy="0",
            )
        )
    write_jsonl(path, [item.model_dump(mode="json", exclude_none=True) for item in items])


def make_plan(settings: Config) -> Plan:
    return build_plan(settings, G1, inputs(settings))


def inputs(settings: Config) -> PlanInputs:
    """Of g1's plan."""
    control = ControlInputs(None, G1.control.curriculum) if settings.control else None
    return PlanInputs(G1.weights, None, G1.curriculum, None, control)


def make_grandchild_plan(
    settings: Config, previous: Path | None = G1.plan, adapter: Path | None = G1.change, child: Generation = G2
) -> Plan:
    G1.change.mkdir(exist_ok=True)
    (G1.change / "adapter_model.safetensors").write_bytes(b"trained")
    return build_plan(settings, child, PlanInputs(G1.weights, adapter, G1.curriculum, previous, None))


def write_plan(settings: Config) -> None:
    write_json(G1.plan, make_plan(settings).model_dump(mode="json"))
    record = make_record(digest_file(G1.plan), PLAN.input_digests(settings, G1), 0, "cpu", 0.1, 0.0)
    write_json(PLAN.record_file(G1), {"record": record.model_dump(mode="json")})


def say_yes(key: Path | None = None) -> None:
    approve(G1, short(plan_digest(make_plan(config()))), ME, key=key)


def check(settings: Config, generation: Generation = G1) -> Admitted:
    return check_gate(settings, generation, G1.plan, HumanAnswer(G1.approval), inputs(settings), None)


def refusal(settings: Config | None = None, generation: Generation = G1) -> str:
    with pytest.raises(LamarckError) as error:
        check(settings or config(), generation)
    return str(error.value)


def edit_approval(**changes: object) -> None:
    content = yaml.safe_load(G1.approval.read_text())
    G1.approval.write_text(yaml.safe_dump(content | changes))


def append_line_end(path: Path) -> Callable[[], Config]:
    def change() -> Config:
        with path.open("ab") as file:
            file.write(b"\n")
        return config()

    return change


def flip_last_byte(path: Path) -> Callable[[], Config]:
    def change() -> Config:
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        return config()

    return change
