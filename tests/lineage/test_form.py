"""In which form a child lies there, and where one is still to be made: its plan says so, and before that its recipe."""

from pathlib import Path

import pytest

from lamarck.config import Config, load_config
from lamarck.files import write_json, write_text
from lamarck.lineage.artifacts import PARENT, PLAN, found_kind, kind_of, trained_kind
from lamarck.lineage.freshness import members
from lamarck.lineage.generation import Generation

ROOT = Path(__file__).parents[2]
G1, G2 = Generation(1), Generation(2)


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config").symlink_to(ROOT / "config")


def config(form: str) -> Config:
    shipped = load_config(ROOT / "config/default.yaml")
    return shipped.model_copy(update={"recipe": shipped.recipe.model_copy(update={"form": form})})


def plan(child: Generation, **settings: str) -> None:
    write_json(child.plan, {"recipe": {"settings": settings}})


def test_the_plan_says_in_which_form_a_child_is() -> None:
    for form in ("adapter", "weights"):  # both lie there: one is of an earlier plan
        (G1.directory / form).mkdir(parents=True)
    plan(G1, form="weights")
    assert (G1.form, G1.change) == ("weights", Path("results/g1/weights"))
    assert found_kind(G1).name == "whole" and kind_of("whole").belongs_to(G1) and not kind_of("adapter").belongs_to(G1)
    plan(G1)  # from before there was another form
    assert G1.form == "adapter"


@pytest.mark.parametrize("damaged", ["", "[]", "{}", '{"recipe": null}', '{"recipe": {"settings": {"form": "x"}}}'])
def test_without_a_plan_that_says_so_it_is_what_lies_there(damaged: str) -> None:
    assert G1.change == Path("results/g1/adapter")
    (G1.directory / "delta").mkdir(parents=True)
    write_text(G1.plan, damaged)
    assert G1.form == "delta"
    assert G1.find_change(Path("elsewhere")) == Path("elsewhere/results/g1/adapter")


def test_what_is_still_to_be_made_has_the_form_of_the_recipe() -> None:
    plan(G1)
    (G1.directory / "adapter").mkdir()
    for form, name in (("adapter", "adapter"), ("delta", "delta"), ("weights", "whole")):
        changed = config(form)
        assert PARENT.files(changed, G2) == {"weights": (Path("results/g0/weights"),), "change": (G1.directory / form,)}
        assert PLAN.input_files(changed, G2)["control_change"] == (G1.control.directory / form,)
        made = {kind.name for kind, each in members(changed) if each == G1}
        assert {"adapter", "delta", "whole"} & made == {name} == {trained_kind(changed).name}


def test_a_parent_of_another_lineage_has_its_own_form() -> None:
    write_text(Path("results/cross/lineage.yaml"), "parents: {1: [g1]}\n")
    write_text(Path("results/whole/lineage.yaml"), "overlay: {recipe: {form: weights}}\n")
    write_text(Path("results/onward/lineage.yaml"), "parents: {1: [whole/g1]}\n")

    def parent(child: Generation) -> Path:
        files = PARENT.files(config("delta"), child)
        assert files
        return files["change"][0]

    assert parent(Generation(1, "onward")) == Path("results/whole/g1/weights")  # to be made, as its lineage says
    plan(G1)
    (G1.directory / "adapter").mkdir()
    assert parent(Generation(1, "cross")) == Path("results/g1/adapter")  # there, as it was planned
