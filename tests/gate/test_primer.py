"""The gate of a primer: g0's own training, which nothing opens but an answer to exactly it."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from lamarck.config import Config
from lamarck.config.primer import Primer, load_primer
from lamarck.curriculum.primer import draw
from lamarck.curriculum.suite_overlap import Contamination
from lamarck.errors import LamarckError
from lamarck.files import digest_file, write_json, write_jsonl
from lamarck.gate import review
from lamarck.gate.allowance import approved
from lamarck.gate.approve import approve
from lamarck.gate.check import gate_state
from lamarck.gate.edit import edit_curriculum
from lamarck.gate.plan import read_plan
from lamarck.gate.planned import plan_digest
from lamarck.gate.primer import AdmittedPrimer, check_primer, main
from lamarck.lineage.digest import short
from lamarck.lineage.generation import Generation
from tests.curriculum.lines import card
from tests.gate.project import ME, config

G0 = Generation(0)
UNPRIMED = Path("results/g0/unprimed")
PRIMER = {
    "description": "for tests",
    "skills": {"json_mode": {"share": 1, "difficulties": [1, 2]}},
    "size": 20,
    "recipe": {"epochs": 12},
    "device_seconds": 60,
}


def settings(**founder: Any) -> Config:
    return config(founder={"kind": "local", "path": "model", "primer": "primer.yaml"} | founder)


@pytest.fixture(autouse=True)
def primer_planned(planned: None) -> None:
    """A primer of a model that lies there, planned and approved."""
    Path("primer.yaml").write_text(yaml.safe_dump(PRIMER))
    Path("config.yaml").write_text(yaml.safe_dump(settings().model_dump(mode="json")))
    UNPRIMED.mkdir(parents=True)
    for path in Path("results/g0/weights").iterdir():
        (UNPRIMED / path.name).write_bytes(path.read_bytes())
    items = [item for cell in draw(load_primer(Path("primer.yaml")), Contamination([]), 0) for item in cell.kept]
    write_jsonl(G0.curriculum, (item.model_dump(mode="json") for item in items))
    plan()
    assert gate_state(G0, G0.plan, G0.approval).state == "waiting"
    approve(G0, short(plan_digest(read_plan(G0.plan))), ME)


def plan() -> None:
    with pytest.MonkeyPatch.context() as patch:
        files = ("--weights", UNPRIMED, "--curriculum", G0.curriculum, "--output", G0.plan)
        record = ("--record", "results/g0/plan.record.json")
        patch.setattr("sys.argv", ["primer", "--config", "config.yaml", *map(str, files), *record])
        main()


def admitted() -> AdmittedPrimer:
    return check_primer(settings(), G0, G0.plan, G0.approval, UNPRIMED, G0.curriculum)


def test_an_approved_primer_is_admitted_with_its_own_ceiling() -> None:
    found = admitted()
    assert (len(found.items), found.plan.cost.steps) == (20, 4)
    allowance = approved(found, G0)
    assert (allowance.name, allowance.device_seconds) == ("g0", 60)
    assert allowance.journal and allowance.journal.path.parent.name == "g0"
    # What the approval, the journal and the record name are the bytes of the plan's file.
    assert found.pieces["plan"] == allowance.journal.path.stem == digest_file(G0.plan)


def change_item() -> None:
    lines = G0.curriculum.read_text().splitlines(keepends=True)
    G0.curriculum.write_text("".join(lines[1:]))


def change_weights() -> None:
    with next(UNPRIMED.glob("*.safetensors")).open("ab") as file:
        file.write(b"x")


def change_primer(**changes: Any) -> None:
    Path("primer.yaml").write_text(yaml.safe_dump(PRIMER | changes))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (change_item, r"curriculum\.digest.*curriculum\.items"),
        (change_weights, r"parent\.digest"),
        (lambda: change_primer(recipe={"steps": 400}), r"recipe\.digest"),
        (lambda: change_primer(device_seconds=6000), r"budget\.device_seconds"),
    ],
    ids=["item", "weights", "steps", "ceiling"],
)
def test_what_was_changed_since_closes_it(change: Any, named: str) -> None:
    """The wrong implementation: a plan that is believed."""
    change()
    with pytest.raises(LamarckError, match=rf"is not what its files say now \(.*{named}"):
        admitted()
    plan()
    with pytest.raises(LamarckError, match="approves another plan"):
        admitted()


def test_no_answer_and_no_primer_are_sentences() -> None:
    with pytest.raises(LamarckError, match=r"names none in founder\.primer"):
        check_primer(settings(primer=None), G0, G0.plan, G0.approval, UNPRIMED, G0.curriculum)
    G0.approval.unlink()
    with pytest.raises(LamarckError, match="g0 is not approved: read `lamarck review g0`, then `lamarck approve g0`"):
        admitted()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"recipe": {"quantize": "nf4"}}, "set recipe.quantize to none"),
        ({"skills": {"json_mode": {"share": 0.5, "difficulties": [1]}}}, "add up to 0.5, not 1"),
        ({"sise": 3}, "did you mean 'size'?"),
        ({"skills": {}}, "skills"),
    ],
)
def test_a_primer_that_could_not_be_is_refused(changes: dict[str, Any], sentence: str) -> None:
    change_primer(**changes)
    with pytest.raises(LamarckError, match=sentence):
        load_primer(Path("primer.yaml"))


def test_no_item_of_a_primer_is_a_suites() -> None:
    """A problem that a suite holds, and difficulties that there are not."""
    primer = load_primer(Path("primer.yaml"))
    first = next(item for cell in draw(primer, Contamination([]), 0) for item in cell.kept)
    cells = draw(primer, Contamination([first.prompt]), 0)
    assert sum(cell.dropped["in the suite"] for cell in cells) >= 1
    assert first.prompt not in [item.prompt for cell in cells for item in cell.kept]
    assert sum(len(cell.kept) for cell in cells) == 20
    unknown = Primer.model_validate(PRIMER | {"skills": {"json_mode": {"share": 1, "difficulties": [99]}}})
    with pytest.raises(LamarckError, match=r"difficulties of json_mode that there are not: \[99\]"):
        draw(unknown, Contamination([]), 0)


def test_the_review_says_what_it_is() -> None:
    """The wrong implementation: a page about a generation's curriculum, with commands that g0 does not have."""
    items = [item for cell in draw(load_primer(Path("primer.yaml")), Contamination([]), 0) for item in cell.kept]
    write_json(G0.card, card(items, "g0", "the skills' own generators", dropped={}))
    console = Console(record=True, width=200)
    review.show(G0, console)
    shown = console.export_text()
    assert "a primer, drawn from generators" in shown and "Left out: nothing." in shown
    assert "lamarck approve g0" in shown and "--edit" not in shown
    with pytest.raises(LamarckError, match=r"drawn by its file, founder\.primer"):
        edit_curriculum(settings(), G0, "A Tester")
