"""Arms side by side: raised by the real rules, under one approval, read off and compared as they are."""

import json
from typing import Any

import pytest
import yaml

from tests.pipeline.conftest import Project

ARMS = [
    {"name": "default", "why": "the first", "scored": "g1"},
    {"name": "unverified", "why": "its control arm", "scored": "control/g1"},
    {
        "name": "no replay",
        "why": "another",
        "strategy": {"replay_per_cell": 0},
        "config": {"control": False},
        "scored": "g1",
    },
]


def write(project: Project, **changes: Any) -> None:
    values = {"description": "Small.", "configfile": "config/default.yaml", "seeds": [1, 2], "arms": ARMS} | changes
    path = project.root / "config/ablations/small.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(json.loads(json.dumps(values))))  # without aliases


def ablate(project: Project, *arguments: str, check: bool = True) -> str:
    command = ("lamarck", "ablate", "config/ablations/small.yaml", "--by", "A Tester", "--jobs", "2")
    return project.run(*command, *arguments, check=check).stdout


@pytest.fixture(scope="module")
def project(blank: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = blank.copy(tmp_path_factory.mktemp("ablation") / "project")
    project.config(generations=1)
    return project


def test_arms_are_raised_under_one_approval_and_compared_by_seed(project: Project) -> None:
    write(project)
    refused = ablate(project, "--digest", "00000000", check=False)
    assert "nothing is run" in refused
    assert not (project.root / "results/ablations").exists()
    # The first two arms share their runs: 2 seeds x (2 + 1) training runs.
    assert "4 lineages, 6 training runs" in refused
    assert "there is nobody to ask here" in ablate(project, check=False)

    document = project.root / "docs/small.md"
    document.write_text("Before.\n<!-- ablation small -->\nold\n<!-- end of ablation small -->\nAfter.\n")
    digest = refused_digest(project)
    ablate(project, "--digest", digest, "--write", "docs/small.md")
    root = project.root / "results/ablations/small"
    table = json.loads((root / "table.json").read_text())
    found = {row["arm"]: row for row in table["arms"]}
    assert list(found) == [arm["name"] for arm in ARMS]
    assert found["default"]["difference"] is None
    for arm in ("unverified", "no replay"):
        pairs = list(zip(found[arm]["scores"], found["default"]["scores"], strict=True))
        assert found[arm]["difference"] == pytest.approx(sum(own - first for own, first in pairs) / 2)
        assert found[arm]["low"] <= found[arm]["difference"] <= found[arm]["high"]
    read_off = sorted(
        json.loads(path.read_text())["score"] for path in root.glob("seed*/*/results/control/g1/eval.json")
    )
    assert sorted(found["unverified"]["scores"]) == read_off
    approvals = [yaml.safe_load(path.read_text()) for path in root.glob("seed*/*/approvals/g1.ok")]
    assert len(approvals) == 4
    assert {(each["approver"]["name"], each["note"]) for each in approvals} == {
        ("A Tester", f"one approval for the ablation small ({digest})")
    }
    text = document.read_text()
    assert text.startswith("Before.\n") and text.endswith("After.\n") and "old" not in text
    assert f"| unverified | control/g1 | {found['unverified']['mean']:.1f} |" in text

    # Run again it does nothing: every lineage is what its inputs make.
    trained = {path: path.stat().st_mtime_ns for path in root.glob("seed*/*/results/g1/adapter/*.safetensors")}
    again = json.loads(ablate(project, "--digest", digest, "--json").partition("\n{")[2].join(["{", ""]))
    assert again["arms"] == table["arms"]
    assert {path: path.stat().st_mtime_ns for path in trained} == trained


def refused_digest(project: Project) -> str:
    """The digest that a person would read off the screen and type."""
    program = (
        "from pathlib import Path; from lamarck.campaign.ablate.plan import plan_ablation; "
        "print(plan_ablation(Path('config/ablations/small.yaml')).digest[:8])"
    )
    return project.run("python", "-c", program).stdout.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"arms": [ARMS[0], ARMS[0]]}, "two arms have the same name"),
        ({"arms": [ARMS[0], {"name": "x", "why": "", "config": {"founder": {}}}]}, "not founder"),
        ({"arms": [ARMS[0], {"name": "x", "why": "", "config": {"recipe": {"rnk": 1}}}]}, "did you mean 'rank'"),
        ({"arms": [ARMS[0], {"name": "x", "why": "", "strategy": {"siz": 1}, "scored": "g1"}]}, "did you mean 'size'"),
        ({"arms": [ARMS[0], {"name": "x", "why": "", "scored": "g7"}]}, "reads g7, but has 1 generations"),
        (
            {"arms": [ARMS[0], {"name": "x", "why": "", "config": {"control": False}, "scored": "control/g1"}]},
            "needs `control: true`",
        ),
        ({"configfile": "config/70b.yaml"}, "given for tiny founders alone"),
        ({"seeds": [1]}, "seeds"),
    ],
)
def test_an_ablation_that_could_not_run_is_refused(project: Project, changes: dict[str, Any], sentence: str) -> None:
    write(project, **changes)
    assert sentence in ablate(project, "--digest", "x", check=False)
