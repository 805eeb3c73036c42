"""One approval of a whole search covers the candidates of its space, in its rounds, and nothing beside or above."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lamarck.config import Config
from lamarck.config.strategy import load_strategy
from lamarck.errors import LamarckError
from lamarck.files import digest_value, write_json, write_text
from lamarck.gate.approve import answer
from lamarck.gate.campaign import campaign_plan, member_of
from lamarck.gate.check import Admitted, HumanAnswer, asked_of_ratchet, asked_of_search, check_gate, check_trained
from lamarck.gate.night import RatchetPlan
from lamarck.gate.plan import PlanInputs, build_plan
from lamarck.gate.planned import plan_digest, plan_text
from lamarck.gate.search import Freedom, PlannedRound, SearchPlan, fixed_recipe, fixed_strategy, taught
from lamarck.lineage.generation import CampaignStep, Generation, description_file
from tests.gate.project import G1, ME, write_curriculum

CHILD = Generation(1, "campaigns/breed-r2/r2-c01/s1")
STEP = CampaignStep("breed-r2", "all", "breed")
SPACE = {"size": Freedom(low=100, high=900), "recipe.rank": Freedom(low=2, high=8), "ordering": Freedom(of=("mixed",))}


def settings(**changes: Any) -> Config:
    """The baseline, and what differs: its own rank, 16, lies outside of the space."""
    from tests.gate.project import config

    base = config(control=False)
    strategy = Path(base.strategy)
    values = yaml.safe_load(strategy.read_text()) | changes.pop("taught", {})
    own = Path("results", CHILD.lineage, "strategy.yaml")
    write_text(own, yaml.safe_dump(values))
    return config(**{"control": False, "strategy": str(own), **changes})


@pytest.fixture(autouse=True)
def member() -> None:
    write_text(description_file(CHILD.lineage), yaml.safe_dump({"approved_at_once": True, "search": "breed"}))
    write_curriculum(CHILD.curriculum, 5)


def planned_search(**changes: Any) -> SearchPlan:
    config = settings()
    strategy = load_strategy(Path(config.strategy))
    made = build_plan(config, CHILD, PlanInputs(G1.weights, None, CHILD.curriculum, None, None))
    first = PlannedRound(
        campaign="breed-r2", seeds=(1,), members=1, trainings=1, device_seconds=made.budget.device_seconds
    )
    return SearchPlan(
        search="breed",
        command="run",
        description="Small.",
        file="0" * 64,
        founder=config.founder.digest(),
        engine=config.engine.digest(),
        suite=made.suite.digest,
        machine=digest_value(list(config.machines.train.place)),
        baseline=taught(strategy, config),
        strategy=fixed_strategy(strategy, SPACE),
        recipe=fixed_recipe(config, SPACE),
        space=SPACE,
        rounds=(first.model_copy(update=changes),),
        trainings=1,
        device_seconds=made.budget.device_seconds,
    )


def approve_search(**changes: Any) -> SearchPlan:
    plan = planned_search(**changes)
    write_text(STEP.search_plan, plan_text(plan))
    answer(asked_of_search(plan), plan_digest(plan), STEP.search_plan, STEP.approval, ME, "", None)
    return plan


def approve_night(raised: SearchPlan | None) -> RatchetPlan:
    """A ratchet's night that raises the same lineage."""
    nothing: dict[str, dict[str, str]] = {name: {} for name in ("subject", "evaluator", "data")}
    unsaid = dict.fromkeys(("machine", "base", "file", "run_command", "eval_command", "trust", "agent"), "")
    named = {"ratchet": "breed", "night": "night", "config": "r.yaml", "experiments": 1, "device_seconds": 120}
    night = RatchetPlan.model_validate(nothing | unsaid | named | {"raised": raised})
    described = {"approved_at_once": True, "search": "ratchet/breed.night"}
    write_text(description_file(CHILD.lineage), yaml.safe_dump(described))
    step = CHILD.campaign_step
    assert step and step.search_plan == Path("results/ratchet/breed/night/plan.json")
    write_text(step.search_plan, plan_text(night))
    asked = asked_of_ratchet(night, Path(night.config))
    answer(asked, plan_digest(night), step.search_plan, step.approval, ME, "", None)
    return night


def check(config: Config) -> Admitted:
    """What the gate says of a member that `lamarck` plans from this configuration, as it does in a later round."""
    inputs = PlanInputs(G1.weights, None, CHILD.curriculum, None, None)
    made = build_plan(config, CHILD, inputs)
    write_json(CHILD.plan, made.model_dump(mode="json"))
    listed = member_of(config, CHILD, made.strategy.digest, made.suite.digest, None)
    write_text(STEP.plan, plan_text(campaign_plan(STEP, "Small.", "0" * 64, (listed,))))
    return check_gate(config, CHILD, CHILD.plan, HumanAnswer(CHILD.approval, STEP.plan), inputs, None)


def recipe(**changes: Any) -> dict[str, Any]:
    return settings().recipe.model_dump(mode="json") | changes


def test_a_candidate_of_the_space_is_admitted_whatever_its_values() -> None:
    plan = approve_search()
    assert Path("approvals/search/breed.ok") == CHILD.approval
    assert check(settings()).approval.plan == plan_digest(plan)
    assert check(settings(taught={"size": 500}, recipe=recipe(rank=8))).approval.plan == plan_digest(plan)
    assert check_trained(CHILD).plan == plan_digest(plan)


def test_a_night_s_approval_covers_its_lineages_within_its_space_and_nothing_else() -> None:
    night = approve_night(planned_search())
    assert Path("approvals/ratchet/breed.night.ok") == CHILD.approval
    assert check(settings(taught={"size": 500}, recipe=recipe(rank=8))).approval.plan == plan_digest(night)
    assert check_trained(CHILD).plan == plan_digest(night)
    with pytest.raises(LamarckError, match=r"size of .* is 901"):
        check(settings(taught={"size": 901}, recipe=recipe(rank=8)))
    approve_night(planned_search(seeds=(7,)))
    with pytest.raises(LamarckError, match="the seed of"):
        check(settings())
    approve_night(None)
    with pytest.raises(LamarckError, match="a night that raises no lineage"):
        check(settings())


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (lambda: settings(taught={"size": 901}, recipe=recipe(rank=8)), "size of .* is 901"),
        (
            lambda: settings(taught={"ordering": "easy_to_hard"}, recipe=recipe(rank=8)),
            "ordering of .* is 'easy_to_hard'",
        ),
        (lambda: settings(recipe=recipe(rank=32)), "recipe.rank of .* is 32"),
        (lambda: settings(taught={"writing_share": 0.25}), "the strategy of .* differs in more than the space"),
        (lambda: settings(recipe=recipe(steps=77)), "the recipe of .* differs in more than the space"),
        (lambda: settings(budget={"device_seconds": 1e6}), "device-seconds, and .* were approved"),
        (lambda: settings(seed=7), "the seed of"),
        (lambda: settings(engine={"kind": "hf", "batch_size": 7}), "the engine of"),
        (lambda: settings(founder=settings().founder.model_dump() | {"steps": 7}), "the founder of"),
    ],
)
def test_what_the_space_does_not_allow_is_refused(config: Callable[[], Config], sentence: str) -> None:
    """Each member's own plan is right in itself, and its campaign's, too: without the search's, all would train."""
    approve_search()
    with pytest.raises(LamarckError, match=sentence):
        check(config())


def test_prompts_that_a_model_wrote_are_the_only_freedom_of_a_writer() -> None:
    """They may be any prompts; whatever else the candidate says has to be the base's, and a file of prompts is one."""
    space = SPACE | {"prompts": Freedom(written=True)}
    strategy = fixed_strategy(load_strategy(Path(settings().strategy)), space)
    plan = planned_search().model_copy(update={"space": space, "strategy": strategy})
    write_text(STEP.search_plan, plan_text(plan))
    answer(asked_of_search(plan), plan_digest(plan), STEP.search_plan, STEP.approval, ME, "", None)
    write_text(Path("written.yaml"), "write: 'Short. {request}'\n")
    written = {"prompts": "written.yaml", "size": 500}
    assert check(settings(taught=written, recipe=recipe(rank=8))).approval.plan == plan_digest(plan)
    with pytest.raises(LamarckError, match=r"the strategy of .* differs in more than the space"):
        check(settings(taught=written | {"writing_share": 0.25}, recipe=recipe(rank=8)))
    write_text(Path("written.yaml"), "write: 'Short. {request}'\nbudget: {device_seconds: 1000000}\n")
    with pytest.raises(LamarckError, match="unknown key 'budget'"):
        check(settings(taught=written, recipe=recipe(rank=8)))


def test_no_round_joins_and_none_grows() -> None:
    approve_search(members=0)
    with pytest.raises(LamarckError, match="1 members, and 0 were approved"):
        check(settings())
    approve_search(campaign="breed-r1")
    with pytest.raises(LamarckError, match="breed-r2 is no round of the search breed"):
        check(settings())


def test_another_plan_of_the_search_is_not_the_one_that_was_approved() -> None:
    """A model, or whoever writes the file: the space may be widened, and then a human is asked again."""
    plan = approve_search()
    wider = plan.model_copy(update={"space": SPACE | {"size": Freedom(low=100, high=9000)}})
    write_text(STEP.search_plan, plan_text(wider))
    with pytest.raises(LamarckError, match="approves another plan"):
        check(settings(taught={"size": 5000}))
