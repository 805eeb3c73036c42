"""Every digest of a lineage against its records, and the records against each other."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lamarck.errors import LamarckError
from lamarck.hub.check import check_lineage
from lamarck.hub.contents import make_manifest
from lamarck.lineage.generation import Generation
from tests.gate.project import flip_last_byte
from tests.report.page.conftest import lineage, made  # noqa: F401  two generations with control arms

LAST = Generation(2)


def edit(path: Path, change: Callable[[dict], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def refusal(root: Path) -> str:
    with pytest.raises(LamarckError) as error:
        check_lineage(root, LAST)
    return str(error.value)


def test_a_lineage_that_is_what_its_records_say(lineage: Path) -> None:  # noqa: F811
    assert check_lineage(lineage, LAST) == set()


@pytest.mark.parametrize(
    "name",
    [
        "results/g0/weights/model.safetensors",
        "results/g0/student/model.safetensors",
        "results/g1/adapter/adapter_model.safetensors",
        "results/control/g2/adapter/adapter_model.safetensors",
        "results/g2/curriculum.jsonl",
        "results/g0/samples.jsonl",
        "results/g2/eval.json",
    ],
)
def test_one_byte_that_differs(lineage: Path, name: str) -> None:  # noqa: F811
    flip_last_byte(lineage / name)()
    assert "is not what its record says" in refusal(lineage)


def test_a_plan_that_was_written_anew(lineage: Path) -> None:  # noqa: F811
    edit(lineage / "results/g1/plan.json", lambda plan: plan.update(seed=2))
    assert refusal(lineage).startswith("results/g1/plan.json is not what its record says")


def test_a_parent_that_was_trained_anew(lineage: Path) -> None:  # noqa: F811
    """Its own record agrees with it; its child's does not."""
    from lamarck.lineage.digest import change_digest

    flip_last_byte(lineage / "results/g1/adapter/adapter_model.safetensors")()
    digest = change_digest(lineage / "results/g1/adapter")
    edit(lineage / "results/g1/adapter/training.json", lambda training: training["record"].update(digest=digest))
    assert refusal(lineage).startswith("results/g2/curriculum.jsonl was made from another parent than the one that is")


@pytest.mark.parametrize("name", ["results/g1/adapter", "results/control/g2/curriculum.jsonl", "results/g2/plan.json"])
def test_what_is_missing(lineage: Path, name: str) -> None:  # noqa: F811
    path = lineage / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert name in refusal(lineage)


def test_an_answer_to_another_plan(lineage: Path) -> None:  # noqa: F811
    approval = lineage / "approvals/g2.ok"
    approval.write_text((lineage / "approvals/g1.ok").read_text())
    assert "approves g1, not g2" in refusal(lineage)


def test_scores_of_an_earlier_training_do_not_count(lineage: Path) -> None:  # noqa: F811
    record = lineage / "results/g2/eval.record.json"
    edit(record, lambda content: content["record"]["inputs"].update(model="0" * 64))
    unscored = check_lineage(lineage, LAST)
    assert unscored == {"g2"}
    files = make_manifest(lineage, LAST, unscored, set()).files
    assert "results/g2/eval.json" not in files
    assert "results/g1/eval.json" in files


def test_a_founder_of_which_only_the_record_is_there(lineage: Path) -> None:  # noqa: F811
    source = lineage / "results/g0/weights/source.json"
    for path in source.parent.iterdir():
        if path != source:
            path.unlink()
    assert check_lineage(lineage, LAST) == set()
    edit(source, lambda content: content["files"].update({"model.safetensors": "0" * 64}))
    assert refusal(lineage) == "results/g0/weights/source.json is not what its record says"
