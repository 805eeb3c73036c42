"""What goes wrong with a search ends in a sentence, and the same command goes on to the same end."""

import random
import resource
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from lamarck.campaign.members import Campaign, load_campaign
from lamarck.campaign.run import next_members
from lamarck.errors import LamarckError
from lamarck.files import write_text
from lamarck.gate.campaign import CampaignPlan
from lamarck.gate.planned import plan_digest
from lamarck.gate.search import SearchPlan
from lamarck.run_lock import holding
from lamarck.search import run as running
from lamarck.search.file import Search
from lamarck.search.report import as_json, report
from lamarck.search.run import campaign_text, rounds, run_search
from tests.gate.project import ME
from tests.search.test_rounds import enter, load, project  # noqa: F401


class Raiser:
    """Raises one set of members after the other without raising anything, and dies after `dies_after` of them."""

    def __init__(self) -> None:
        self.steps, self.dies_after = 0, -1

    def __call__(self, campaign: Campaign, *arguments: object) -> None:
        while runs := next_members(campaign):
            luck = {key: random.Random(campaign.member_digest(*key)).gauss(0, 1) for key in runs}
            enter(campaign, [(key, 50 + each) for key, each in luck.items()])
            self.steps += 1
            if self.steps == self.dies_after:
                raise KeyboardInterrupt


@pytest.fixture
def raiser(monkeypatch: pytest.MonkeyPatch) -> Raiser:
    made = Raiser()
    monkeypatch.setattr(running, "run_campaign", made)
    return made


def go_on(search: Search, typed: str | None = None) -> None:
    def ask_all(plan: SearchPlan) -> str:
        return plan_digest(plan) if typed is None else typed

    run_search(search, lambda: ME, None, ask_all, None, 1)  # type: ignore[arg-type]


def test_a_search_killed_between_any_two_steps_comes_to_the_same(raiser: Raiser) -> None:
    search = load()
    go_on(search)
    whole, steps = as_json(search, report(search)), raiser.steps
    # Founder by founder: two rounds and the final; then the round in which random draws differ, and their own final.
    assert steps == 2 * 2 + 8 + 2 + 8
    for path in (*search.directory.glob("breed-*"), search.directory / "ledger.jsonl"):
        path.unlink()
    raiser.steps = 0
    for step in range(1, steps + 1):
        raiser.dies_after = step
        with pytest.raises(KeyboardInterrupt):
            go_on(search)
    go_on(search)
    assert raiser.steps == steps and as_json(search, report(search)) == whole


def test_a_human_is_asked_once_and_nothing_runs_before(raiser: Raiser) -> None:
    search = load()
    with pytest.raises(LamarckError, match="nothing is approved"):
        go_on(search, "another digest")
    assert raiser.steps == 0 and not Path("approvals").exists()
    go_on(search)
    assert [str(path) for path in Path("approvals").rglob("*.ok")] == ["approvals/search/breed.ok"]
    go_on(search, "nobody is asked again")
    # A wider space is another question.
    with pytest.raises(LamarckError, match="nothing is approved"):
        go_on(load(space={"size": {"kind": "integer", "low": 3000, "high": 9001}}), "not this one")


def test_where_a_founder_is_not_pretrained_here_every_step_of_a_round_is_asked_about(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = yaml.safe_load(Path("config/default.yaml").read_text())
    Path("local.yaml").write_text(yaml.safe_dump(values | {"founder": {"kind": "local", "path": "somewhere"}}))
    search = load(configfile="local.yaml")
    asked: list[list[str]] = []

    def run(campaign: Campaign, approver: object, ask: object, *others: object) -> None:
        asked.append([step.step for step in campaign.steps if not step.search] if ask is each_step else [])
        raise KeyboardInterrupt

    def each_step(campaign: Campaign, plan: CampaignPlan) -> str:
        raise AssertionError("the campaign asks, not the search")

    def all_at_once(plan: SearchPlan) -> str:
        raise AssertionError("nobody may be asked about all rounds at once")

    monkeypatch.setattr(running, "run_campaign", run)
    with pytest.raises(KeyboardInterrupt):
        run_search(search, lambda: ME, each_step, all_at_once, None, 1)
    assert asked == [["g1", "g2"]]


def test_two_searches_at_once_are_refused(raiser: Raiser) -> None:
    search = load()
    with holding(search.directory / "lock", ""), pytest.raises(LamarckError, match="another process is at work on"):
        go_on(search)
    assert raiser.steps == 0


def test_a_full_disk_is_a_sentence_and_the_search_goes_on(raiser: Raiser) -> None:
    search = load()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, limit[1]))
        with pytest.raises(LamarckError, match=r"cannot write results/search/breed/breed\.yaml"):
            go_on(search)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert not list(Path().rglob("*.partial")) and raiser.steps == 0
    go_on(search)
    assert report(search).finished


def test_where_every_candidate_fails_the_log_is_named() -> None:
    search = load()
    each = rounds(search)[0]
    write_text(search.campaign_file("r1"), campaign_text(search, each.candidates, (1, 2), "r1"))
    campaign = load_campaign(search.campaign_file("r1"))
    while runs := next_members(campaign):
        enter(campaign, [(key, 50.0 if key[0] == "default" else None) for key in runs])
    with pytest.raises(LamarckError, match=r"every candidate of round 1 failed: logs/campaigns/breed-r1.log"):
        rounds(search)


NUMBER = {"kind": "number", "low": 0.1, "high": 0.9}


@pytest.mark.parametrize(
    ("space", "sentence"),
    [
        ({"skills.telepathy.share": NUMBER}, "skills.telepathy.difficulties"),
        ({"skills.list_ops.share": NUMBER}, "the shares of the skills add up to"),
        ({"prompts": {"kind": "choice", "of": ["config/suites/tiny-v2/suite.yaml", None]}}, "suite.yaml"),
        ({"recipe.steps": {"kind": "integer", "low": 1.5, "high": 3}}, "whole numbers run between whole ends"),
        ({"size": {"kind": "integer", "low": 5, "high": 5}}, "from a lower to a higher value"),
        ({"ordering": {"kind": "choice", "of": ["mixed", "mixed"]}}, "the same value stands there twice"),
        ({"ordering": {"kind": "choice", "of": ["mixed", "backwards", "easy_to_hard"]}}, "ordering"),
    ],
)
def test_a_space_that_no_strategy_has_is_refused(space: dict[str, Any], sentence: str) -> None:
    with pytest.raises(LamarckError) as error:
        load(space=space)
    assert sentence in str(error.value)
