"""What is planned, and what is refused before a human is asked."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from lamarck.errors import LamarckError
from lamarck.files import write_json, write_jsonl
from lamarck.gate.plan import build_plan
from lamarck.gate.planned import plan_digest
from lamarck.gate.review import run_rows
from lamarck.lineage.generation import Generation
from lamarck.models.parameters import count_parameters
from tests.gate.project import (
    G1,
    append_line_end,
    config,
    inputs,
    make_grandchild_plan,
    make_plan,
    write_curriculum,
    write_plan,
)

RECIPE = config().recipe.model_dump(mode="json")


def test_parameters_are_counted_from_the_headers() -> None:
    assert count_parameters(G1.weights) == 17


def test_the_same_files_give_the_same_plan_wherever_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path.with_name(tmp_path.name + "-elsewhere")
    shutil.copytree(tmp_path, copy)
    here = G1.plan.read_bytes()
    monkeypatch.chdir(copy)
    write_plan(config())
    assert G1.plan.read_bytes() == here
    assert str(tmp_path).encode() not in here
    assert plan_digest(make_plan(config())) == hashlib.sha256(here).hexdigest()


@pytest.mark.parametrize("content", [None, b"abc", b"\xff" * 20, b"\x02" + b"\x00" * 7 + b"[]"])
def test_weights_that_are_no_safetensors_are_refused(content: bytes | None) -> None:
    (G1.weights / "model.safetensors").unlink()
    if content is not None:
        (G1.weights / "model.safetensors").write_bytes(content)
    with pytest.raises(LamarckError, match="safetensors"):
        make_plan(config())


@pytest.mark.parametrize("arm", [G1, G1.control])
def test_a_curriculum_without_items_is_not_planned(arm: Generation) -> None:
    arm.curriculum.write_text("")
    with pytest.raises(LamarckError, match=f"{arm.curriculum} has no items"):
        make_plan(config())


def test_a_child_may_not_have_more_than_its_parent() -> None:
    with pytest.raises(LamarckError, match="more than the 120 of its parent"):
        make_grandchild_plan(config(budget={"device_seconds": 121}))
    assert make_grandchild_plan(config(budget={"device_seconds": 119})).budget.parent_device_seconds == 120


def test_a_child_may_not_cost_more_than_its_parent() -> None:
    previous = Path("previous.json")
    planned = make_plan(config(budget={"device_seconds": 120, "dollars": 5}))
    write_json(previous, planned.model_dump(mode="json"))
    cheaper = make_grandchild_plan(config(budget={"device_seconds": 120, "dollars": 4}), previous)
    assert cheaper.budget.dollars == 4
    with pytest.raises(LamarckError, match=r"g2 has a ceiling of 6 in `budget\.dollars`, its parent 5"):
        make_grandchild_plan(config(budget={"device_seconds": 120, "dollars": 6}), previous)
    with pytest.raises(LamarckError, match=r"g2 has no ceiling in `budget\.dollars`, its parent 5"):
        make_grandchild_plan(config(), previous)


def test_the_ceiling_holds_in_a_lineage_under_a_prefix() -> None:
    child = Generation(2, "search/r1/c03")
    previous = Path("previous.json")
    write_json(previous, make_plan(config()).model_dump(mode="json") | {"generation": child.parent.name})
    with pytest.raises(LamarckError, match="search/r1/c03/g2 asks for 121 device-seconds"):
        make_grandchild_plan(config(budget={"device_seconds": 121}), previous, child=child)


@pytest.mark.parametrize("override", [-5.0, 0.0])
def test_a_budget_that_is_not_a_positive_number_is_no_way_round_the_ceiling(override: float) -> None:
    with pytest.raises(LamarckError, match="must be a positive number"):
        make_grandchild_plan(config(budget={"device_seconds": 120, "overrides": {2: override}}))


@pytest.mark.parametrize("override", [float("nan"), float("inf"), "inf", "nan"])
def test_an_infinite_number_is_not_a_setting(override: object) -> None:
    with pytest.raises(LamarckError, match=r"budget\.overrides\.2: Input should be a finite number"):
        config(budget={"device_seconds": 120, "overrides": {2: override}})


def test_leaving_out_the_parents_plan_is_no_way_round_the_ceiling() -> None:
    with pytest.raises(LamarckError, match="g2 needs the plan of its parent g1, not None"):
        make_grandchild_plan(config(), previous=None)


def test_another_lineages_plan_is_not_the_parents() -> None:
    with pytest.raises(LamarckError, match="needs the plan of its parent search/g1, not g1"):
        make_grandchild_plan(config(), child=Generation(2, "search"))


def test_the_founder_has_no_plan() -> None:
    with pytest.raises(LamarckError, match="is the founder, which has no plan"):
        build_plan(config(), G1, replace(inputs(config()), previous_plan=G1.plan))


def test_a_parent_is_planned_with_its_adapter_and_the_founder_without() -> None:
    with pytest.raises(LamarckError, match="g1 is not the founder alone"):
        make_grandchild_plan(config(), adapter=None)
    with pytest.raises(LamarckError, match="g0 is the founder"):
        build_plan(config(), G1, replace(inputs(config()), parent_change=G1.change))


def test_a_new_suite_is_a_new_lineage() -> None:
    append_line_end(Path("suite/suite.yaml"))()
    with pytest.raises(LamarckError, match="the suite suite changed"):
        make_grandchild_plan(config())


def test_an_exam_guides_no_lineage() -> None:
    Path("suite/suite.yaml").write_text("name: suite\nexam: true\n")
    with pytest.raises(LamarckError, match="suite is an exam"):
        build_plan(config(), G1, inputs(config()))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", "line 6 is not valid JSON"),
        ('{"id": "x"}', "line 6: skill"),
        ('{"id": 1}', "line 6: id"),
        ('{"id": "x", "id": "x"}', "line 6 is not valid JSON: a key stands twice"),
        ('{"id": NaN}', "line 6 is not valid JSON: NaN is not JSON"),
        ('{"difficulty": 1e999}', "line 6 is not valid JSON: 1e999 is too large"),
        (f'{{"difficulty": {"9" * 5000}}}', "line 6 is not valid JSON: an integer is too long"),
        ("[" * 100_000, "line 6 is not valid JSON: it is nested too deep"),
    ],
)
def test_a_broken_curriculum_names_the_line(line: str, sentence: str) -> None:
    with G1.curriculum.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(LamarckError, match=sentence):
        make_plan(config())


def test_text_that_cannot_be_written_is_refused() -> None:
    row = json.loads(G1.curriculum.read_text().splitlines()[0])
    with G1.curriculum.open("a") as file:
        file.write(json.dumps(row | {"prompt": "\ud800"}) + "\n")
    with pytest.raises(LamarckError, match=r"line 6: .*[uU]nicode"):
        make_plan(config())


def test_an_unknown_key_in_a_curriculum_is_refused() -> None:
    rows = [json.loads(line) for line in G1.curriculum.read_text().splitlines()]
    write_jsonl(G1.curriculum, [row | {"extra": 1} for row in rows])
    with pytest.raises(LamarckError, match="line 1: extra"):
        make_plan(config())


def test_the_plan_says_where_it_is_trained_and_what_that_takes() -> None:
    machine = make_plan(config()).cost.machine
    assert (machine.gpu, machine.count, machine.dollars) == ("here", 1, 0)
    assert machine.memory_gib is not None and machine.memory_gib < 0.1
    assert machine.device_hours is not None and 0 < machine.device_hours < 0.1


def test_rented_training_has_a_price_and_what_does_not_fit_is_not_planned() -> None:
    machine = make_plan(config(machines={"train": {"gpu": "H100 SXM"}})).cost.machine
    assert machine.dollars is not None and machine.dollars > 0
    with pytest.raises(LamarckError, match="train does not fit"):
        make_plan(config(machines={"train": {"gpu": "A40"}}, recipe={**RECIPE, "max_tokens": 10_000_000}))


def test_what_a_child_does_next_has_its_dollars_in_the_plan_and_the_review() -> None:
    """Ceilings at the prices of config/machines.yaml, both arms. On this machine nothing: digests stay as they were."""
    assert "then" not in json.loads(G1.plan.read_text())["cost"]
    machines = {"train": {"gpu": "H100 SXM"}, "eval": {"gpu": "B200", "count": 4}, "curriculum": {"gpu": "B200"}}
    budget = {"device_seconds": 3600, "evaluating_seconds": 7200}
    plan = make_plan(config(machines=machines, budget=budget | {"writing_seconds": 3600}))
    assert plan.cost.then is not None
    evaluating, writing = plan.cost.then.evaluating, plan.cost.then.writing
    assert (evaluating.gpu, evaluating.count, evaluating.dollars) == ("B200", 4, 27.2)  # 2 arms x 2 h x $6.79
    assert writing.dollars == 13.6
    rows = dict(run_rows(plan))
    assert "evaluated 7200 device-seconds (4 x B200, at most $27.20); to write" in rows["then"]
    assert rows["in all"].startswith("at most $48.7")  # and an hour of either arm at $3.99
    rows = dict(run_rows(make_plan(config(machines=machines, budget=budget))))
    assert rows["in all"].endswith("writing can cost more: there is no ceiling, or no price")
    assert "in all" not in dict(run_rows(make_plan(config())))


def test_an_architecture_that_cannot_be_counted_is_planned_without_an_estimate() -> None:
    (G1.weights / "config.json").write_text('{"model_type": "gpt2"}')
    assert make_plan(config()).cost.machine.memory_gib is None


def test_a_plan_says_what_the_optimizers_state_takes() -> None:
    """LoRA of rank 16, whose matrices are 16 wide on one side; AdamW by default, as ever, is not mentioned."""
    assert "optimizer" not in json.loads(G1.plan.read_text())["cost"]
    planned = make_plan(config(recipe={**RECIPE, "optimizer": {"kind": "apollo", "rank": 20}})).cost.optimizer
    shape = json.loads((G1.weights / "config.json").read_text())
    wide, inner = shape["hidden_size"], shape["intermediate_size"]
    assert min(wide, inner) >= 16
    longer = [wide] * 8 + [wide, inner, wide, inner, inner, wide]  # of A and of B of each of seven layers
    assert planned is not None and planned.kind == "apollo"
    assert planned.clipped == shape["num_hidden_layers"] * 14
    assert planned.state_bytes == shape["num_hidden_layers"] * sum(2 * 16 * side * 4 + 8 for side in longer)
    (G1.weights / "config.json").write_text('{"model_type": "gpt2"}')
    unknown = make_plan(config(recipe={**RECIPE, "optimizer": {"kind": "apollo-mini"}})).cost.optimizer
    assert unknown is not None and unknown.state_bytes is None


def test_steps_of_epochs_grow_with_the_items_and_are_planned_for_both_arms() -> None:
    """Wrong: a plan that says the recipe's 300, or a control arm with steps of its own."""
    once = {key: value for key, value in RECIPE.items() if key != "steps"} | {"epochs": 10, "batch_size": 2}
    lines = G1.control.curriculum.read_text().splitlines(keepends=True)
    G1.control.curriculum.write_text("".join(lines[1:]))
    plan = make_plan(config(recipe=once))
    assert (plan.curriculum.items, plan.control and plan.control.curriculum.items) == (5, 4)
    assert (plan.cost.steps, plan.cost.examples) == (25, 50)
    assert "25 steps of 2 (10 times over the curriculum)" in dict(run_rows(plan))["training"]
    write_curriculum(G1.curriculum, seed=3, number=7)
    more = make_plan(config(recipe=once))
    assert more.cost.steps == 35 and more.cost.flops > plan.cost.flops
    assert "times over" not in dict(run_rows(make_plan(config())))["training"]
