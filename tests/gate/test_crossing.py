"""A child of two parents at the gate: what may be crossed, what is asked, and that nothing else is made."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from lamarck.commands.cross import cross, find_generation
from lamarck.config import Config
from lamarck.config.crossing import AVERAGE, Crossing
from lamarck.errors import LamarckError
from lamarck.files import read_json, write_json, write_text
from lamarck.gate.approval import Approver
from lamarck.gate.approve import approve
from lamarck.gate.check import HumanAnswer, gate_state
from lamarck.gate.crossing import AdmittedCross, ParentFiles, Parents, check_cross, propose_cross
from lamarck.gate.plan import CrossPlan, read_childs_plan
from lamarck.gate.planned import plan_digest, plan_text
from lamarck.gate.review import run_rows
from lamarck.lineage.artifacts import CROSS_PLAN, CROSSED, SCORES, kind_of
from lamarck.lineage.configured import load_config_of
from lamarck.lineage.digest import change_digest
from lamarck.lineage.freshness import members_of_crosses
from lamarck.lineage.generation import TRAINING_RECORD, Generation, parse_generation
from lamarck.lineage.listing import crossed_generations
from tests.merge.test_adapters import make_adapter
from tests.report.page.conftest import lineage, made  # noqa: F401  two generations with control arms, two candidates

CONFIG = Path("config/default.yaml")
FIRST, OTHER = Generation(2), Generation(1, "search/r1/c000")
CHILD = Generation(3, "cross")


def make_real(parent: Generation, seed: int, rank: int) -> None:
    """An adapter in place of the made-up one, with the records that it needs."""
    training = read_json(parent.change / TRAINING_RECORD)
    shutil.rmtree(parent.change)
    make_adapter(parent.change, seed, rank)
    training["record"]["digest"] = change_digest(parent.change)
    write_json(parent.change / TRAINING_RECORD, training)
    record = read_json(parent.scores_record)
    record["record"]["inputs"] |= SCORES.piece_digests(None, parent)
    write_json(parent.scores_record, record)


@pytest.fixture
def parents(lineage: Path) -> Path:  # noqa: F811
    make_real(FIRST, 1, 3)
    make_real(OTHER, 2, 2)
    return lineage


def describe(first: str = FIRST.name, other: str = OTHER.name, to: str = CHILD.name, **changes: object) -> None:
    given = {"method": "concatenate", "weights": (1.0, 1.0), "rank": None, "parameters": ()} | changes
    cross(first, other, to, config_path=CONFIG, as_json=True, **given)  # type: ignore[arg-type]


def own_config() -> Config:
    return load_config_of(CONFIG, CHILD)


def files() -> Parents:
    first, other = (ParentFiles(each.weights, each.change, each.plan) for each in (FIRST, OTHER))
    return first, other


def plan_it() -> CrossPlan:
    plan = propose_cross(own_config(), CHILD, files())
    write_text(CHILD.plan, plan_text(plan))
    return plan


def check(child: Generation = CHILD) -> AdmittedCross:
    answers = (HumanAnswer(FIRST.approval), HumanAnswer(OTHER.approval))
    return check_cross(own_config(), child, CHILD.plan, HumanAnswer(CHILD.approval), files(), answers)


def approved() -> CrossPlan:
    describe()
    plan = plan_it()
    approve(CHILD, plan_digest(plan), Approver(name="A Tester"))
    return plan


def refusal(**changes: object) -> str:
    """And nothing is written."""
    before = sorted(Path("results").rglob("*"))
    with pytest.raises(LamarckError) as error:
        describe(**changes)  # type: ignore[arg-type]
    assert sorted(Path("results").rglob("*")) == before
    return str(error.value)


def test_a_cross_is_described_planned_and_admitted(parents: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = approved()
    assert [each.generation for each in plan.parents] == ["g2", "search/r1/c000/g1"]
    assert "snakemake results/cross/g3/plan.json" in json.loads(capsys.readouterr().out)["next"][0]
    assert gate_state(CHILD, CHILD.plan, CHILD.approval).state == "open"
    admitted = check()
    assert admitted.crossing == Crossing()
    assert check(CHILD.control).crossing == AVERAGE
    assert admitted.pieces == CROSSED.piece_digests(None, CHILD)
    assert dict(run_rows(plan))["crossing"] == "concatenate, weights 1 and 1, of summed rank"
    assert crossed_generations() == [CHILD]
    assert read_childs_plan(CHILD.plan) == plan and isinstance(plan, CrossPlan)


def test_its_budget_is_the_lesser_of_theirs(parents: Path) -> None:
    describe()
    plan = json.loads(OTHER.plan.read_text())
    plan["budget"] |= {"device_seconds": 7.0, "dollars": 2.5}
    write_json(OTHER.plan, plan)
    budget = plan_it().budget
    assert (budget.device_seconds, budget.parent_device_seconds, budget.dollars) == (7.0, 7.0, 2.5)


def test_what_it_has_and_what_it_does_not(parents: Path) -> None:
    """No curriculum, no training of its own; its lineage begins with it."""
    describe()
    found = {(generation.name, kind.name) for _, kind, generation in members_of_crosses(own_config())}
    assert {kind for name, kind in found if name == "cross/g3"} >= {"cross_plan", "crossed", "scores"}
    assert not {kind for _, kind in found} & {"curriculum", "dataset_card", "plan", "adapter"}
    assert {name for name, _ in found} == {"cross/g3", "cross/control/g3"}
    assert not kind_of("plan").belongs_to(CHILD) and CROSS_PLAN.belongs_to(CHILD)
    # What is raised from it replays no curriculum of it, since there is none.
    grandchild = Generation(4, "cross")
    earlier = kind_of("curriculum").input_files(load_config_of(CONFIG, grandchild), grandchild)["earlier"]
    assert [str(path) for path in earlier] == ["results/g1/curriculum.jsonl", "results/g2/curriculum.jsonl"]


def test_another_crossing_is_another_plan(parents: Path) -> None:
    describe()
    before = CROSS_PLAN.input_digests(own_config(), CHILD)
    path = Path("results/cross/lineage.yaml")
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"crossings": {3: {"weights": [0.3, 0.7]}}}))
    after = CROSS_PLAN.input_digests(own_config(), CHILD)
    assert {name for name in before if before[name] != after[name]} == {"crossing"}


def flip(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def test_a_parent_that_changed_since_the_plan_closes_the_gate(parents: Path) -> None:
    approved()
    flip(OTHER.change / "adapter_model.safetensors")
    with pytest.raises(LamarckError, match="the parents of cross/g3 is not what its files say now"):
        check()


def test_a_parents_ceiling_is_one_that_a_human_approved(parents: Path) -> None:
    approved()
    OTHER.approval.unlink()
    with pytest.raises(LamarckError, match="search/r1/c000/g1 is not approved"):
        check()


def test_another_parents_plan_does_not_stand_in(parents: Path) -> None:
    describe()
    swapped = (files()[0], ParentFiles(OTHER.weights, OTHER.change, FIRST.plan))
    with pytest.raises(LamarckError, match="is the plan of g2, not of search/r1/c000/g1"):
        propose_cross(own_config(), CHILD, swapped)


@pytest.mark.parametrize("field", ["crossing", "control", "budget", "seed"])
def test_a_plan_is_rebuilt_not_believed(parents: Path, field: str) -> None:
    plan = json.loads(plan_text(approved()))
    changed = {
        "crossing": plan["crossing"] | {"settings": plan["crossing"]["settings"] | {"weights": [9.0, 9.0]}},
        "control": None,
        "budget": plan["budget"] | {"device_seconds": 1.0},
        "seed": 99,
    }
    write_json(CHILD.plan, plan | {field: changed[field]})
    approve(CHILD, plan_digest(read_childs_plan(CHILD.plan)), Approver(name="A Tester"))
    with pytest.raises(LamarckError, match=f"the {field} of cross/g3 is not what its files say now"):
        check()


def test_no_approval_no_cross(parents: Path) -> None:
    describe()
    plan_it()
    with pytest.raises(LamarckError, match="cross/g3 is not approved"):
        check()


def test_names_with_mistakes(parents: Path) -> None:
    assert "no generation 'contrl/g2': did you mean 'control/g2'?" in refusal(other="contrl/g2")
    assert "did you mean 'ties'" in refusal(method="tiess")
    assert "'concatenate'" in refusal(method="concat")
    assert "ties has no parameter 'densty': did you mean 'density'?" in refusal(
        method="ties", parameters=["densty=0.5"]
    )
    assert "--set density: write NAME=VALUE" in refusal(method="ties", parameters=["density"])
    assert "takes no rank" in refusal(rank=4)
    assert "model_stock weighs its models itself" in refusal(method="model_stock", weights=(0.3, 0.7))
    assert find_generation("g2") == FIRST


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"other": "g2"}, "g2 cannot be crossed with itself"),
        ({"other": "g0"}, "g0 is a founder"),
        ({"to": "cross/g2"}, "a child of g2 and search/r1/c000/g1 is a g3, not a g2"),
        ({"to": "g3"}, "give the child a lineage, as in cross/g3"),
        ({"to": "control/g3"}, "give the child a lineage, as in cross/g3"),
        ({"to": "campaigns/mine/g3"}, "give the child a lineage, as in cross/g3"),
        ({"to": "search/r1/c001/g3"}, "results/search/r1/c001 is there already"),
        ({"to": "cross"}, "is not a generation"),
    ],
)
def test_invalid_parents_and_children(parents: Path, changes: dict, sentence: str) -> None:
    assert sentence in refusal(**changes)


def test_a_lineage_that_is_described_already(parents: Path) -> None:
    describe()
    assert "results/cross is there already" in refusal()


def test_a_parent_that_is_not_finished(parents: Path) -> None:
    shutil.move(OTHER.scores, "aside")
    assert "search/r1/c000/g1 has no scores that hold" in refusal()
    shutil.move("aside", OTHER.scores)
    whole = OTHER.scores.read_bytes()
    write_json(OTHER.scores, json.loads(whole) | {"partial": True, "score": None})
    assert "has no scores that hold" in refusal()
    OTHER.scores.write_bytes(whole)
    flip(OTHER.change / "adapter_model.safetensors")
    assert "is not what its record says" in refusal()
    shutil.rmtree(OTHER.change)
    assert "search/r1/c000/g1 is not trained yet" in refusal()


def test_parents_of_different_founders(parents: Path) -> None:
    describe()
    shutil.copytree(FIRST.weights, "elsewhere")
    flip(Path("elsewhere/model.safetensors"))
    apart = (files()[0], ParentFiles(Path("elsewhere"), OTHER.change, OTHER.plan))
    with pytest.raises(LamarckError, match="are children of different founders"):
        propose_cross(own_config(), CHILD, apart)


def test_parents_of_another_form(parents: Path) -> None:
    describe()
    (OTHER.change / "adapter_config.json").unlink()
    (OTHER.change / "delta.safetensors").write_bytes(b"")
    with pytest.raises(LamarckError, match="was trained as delta, and adapters alone are crossed"):
        propose_cross(own_config(), CHILD, files())


def test_parents_of_another_suite(parents: Path) -> None:
    describe()
    plan = json.loads(OTHER.plan.read_text())
    plan["suite"]["digest"] = "0" * 64
    write_json(OTHER.plan, plan)
    with pytest.raises(LamarckError, match="scores could not be compared"):
        propose_cross(own_config(), CHILD, files())


def test_a_damaged_plan_is_one_sentence(parents: Path) -> None:
    describe()
    for content in ('{"crossing": 1}', "[]", "null", '{"crossing": {"digest"', "[" * 100_000):
        write_text(CHILD.plan, content)
        with pytest.raises(LamarckError, match="is not a plan as `lamarck` writes it"):
            read_childs_plan(CHILD.plan)
    assert parse_generation("cross/g3") == CHILD
