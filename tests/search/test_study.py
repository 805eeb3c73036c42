"""A study: methods at equal cost on the same founders, winners on fresh ones, and how much of it there is."""

import json
import random
import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from lamarck.campaign.members import Campaign, load_campaign
from lamarck.campaign.run import next_members
from lamarck.errors import LamarckError
from lamarck.files import write_text
from lamarck.search import run as running
from lamarck.search import study as studying
from lamarck.search.file import Search
from lamarck.search.run import campaign_text
from lamarck.search.study import Study, load_study, members, progress, trainings
from lamarck.search.study_report import as_markdown, study_report
from tests.search.test_rounds import ROOT, VALUES, line, project  # noqa: F401

STUDY: dict[str, Any] = {
    "description": "",
    "search": "breed.yaml",
    "ledger": "docs/ledger.jsonl",
    "correlation": {"strategies": 12, "seeds": [101, 102]},
    "methods": {
        "iid random": {"proposer": "random", "rounds": 1, "candidates": 5, "keep": {1: 1}},
        "by child": {"chosen_by": "child", "rounds": 1, "candidates": 10, "keep": {1: 4}},
        "by grandchild": {"rounds": 1, "candidates": 5, "keep": {1: 1}},
    },
    "exam": "config/suites/tiny-exam-v2",
    "repeats": [{"seeds": [n, n + 1], "fresh_seeds": [n + 50, n + 51]} for n in (1, 3)],
}


def load(**changes: Any) -> Study:
    Path("breed.yaml").write_text(yaml.safe_dump(VALUES))
    Path("study.yaml").write_text(yaml.safe_dump(STUDY | changes))
    return load_study(Path("study.yaml"))


def enter(campaign: Campaign) -> None:
    """Raise all of it, without raising anything: a strategy is worth what its size says, a child shows half of that."""
    while runs := next_members(campaign):
        for key in runs:
            worth = campaign.lineages[key].strategy.size / 1000
            generation = campaign.read_off(*key).number
            luck = random.Random(campaign.member_digest(*key))
            row = line(campaign, key, 40 + worth * (0.5 if generation == 1 else 1) + luck.gauss(0, 0.3))
            changes = {
                "generation": f"x/g{generation}",
                "device_seconds": 10.0 * generation,
                "wall_seconds": 30.0 * generation,
                "proxy": 40 + worth / 2 + luck.gauss(0, 0.3) if campaign.file.proxies and generation > 1 else None,
            }
            Path(campaign.ledger).parent.mkdir(exist_ok=True)
            with campaign.ledger.open("a") as ledger:
                ledger.write(json.dumps(row.model_copy(update=changes).model_dump(mode="json")) + "\n")


@pytest.fixture
def raised(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the campaigns that ran: their members' scores are made up, and the human has said yes."""
    ran: list[str] = []

    def run(campaign: Campaign, *arguments: object) -> None:
        ran.append(campaign.name)
        enter(campaign)

    for module in (running, studying):
        monkeypatch.setattr(module, "run_campaign", run)
    monkeypatch.setattr(studying, "ask_once", lambda *arguments: None)
    return ran


def go_on(study: Study) -> None:
    studying.run_study(study, *[None] * 4, 1)  # type: ignore[arg-type]


def test_the_shipped_study_compares_at_equal_cost_on_founders_of_its_own() -> None:
    Path("config/search").symlink_to(ROOT / "config/search")
    study = load_study(Path("config/search/breeding.yaml"))
    assert {trainings(part.search) for part in study.parts} == {48}
    # By hand: 12 candidates and the baseline, then 5, 2 and 1 and the baseline.
    assert members(study.parts[0].search.file) == 13 + 6 + 3 + 2
    assert len(study.finals) == 8 and study.drawn.file.candidates == 30 and len(study.drawn.file.seeds) == 4
    # Two of the methods go by the grandchild, one by the child, at half the cost of each.
    assert [part.search.file.read_in_rounds for part in study.parts[:3]] == [2, 1, 2]


def test_a_study_says_how_much_of_it_there_is_and_what_it_shows(raised: list[str]) -> None:
    study = load()
    empty = study_report(study, progress(study))
    assert (empty.repeats, empty.of, empty.proxy, empty.forecast.hours) == (0, 2, None, None)
    # 13 x 2; two repeats of 3 searches with 8, 16 and 8 members, and of 4 x 2 in the exam.
    assert (empty.forecast.members, empty.forecast.trainings) == (26 + 2 * (32 + 8), 52 + 2 * (48 + 16))
    go_on(study)
    found = study_report(study, progress(study))
    assert (found.repeats, found.forecast.members) == (2, 0)
    assert found.drawn == "26 of 26 members are finished"
    assert found.proxy and found.proxy.strategies == 12 and found.proxy.corrected and found.proxy.corrected > 0.7
    gains = {(each.first, each.second): each for each in found.comparisons}
    assert len(gains) == 6 and gains["by grandchild", "default"].mean > 1
    # Both were computed from the same exams, and two repeats can show nothing.
    both = gains["by grandchild", "default"].mean - gains["by child", "default"].mean
    assert gains["by grandchild", "by child"].mean == pytest.approx(both)
    assert all(each.p_holm is None or each.p_holm > 0.05 for each in found.comparisons)
    # 8 members of a search by grandchildren, two trainings of 10 seconds each; a default of the same seed is shared.
    assert set(found.cost["by grandchild"]) == set(found.cost["by child"]) == {160.0}
    # In another checkout there is the ledger alone, and it says as much.
    shutil.rmtree("results/search/study")
    again = study_report(study, progress(study))
    assert as_markdown(again) == as_markdown(found)
    text = as_markdown(found)
    assert (
        "2 of 2 repeats are complete" in text
        and "Nothing is left" in text
        and "| by grandchild to default | 2 |" in text
    )


def test_a_study_that_is_interrupted_comes_to_the_same(raised: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    study = load()
    go_on(study)
    whole, ran = Path(study.file.ledger).read_text(), list(raised)
    for path in (Path(study.file.ledger), *Path("results/search/study").iterdir()):
        path.unlink()
    raised.clear()
    asked = 0

    def killed(campaign: Campaign, *arguments: object) -> None:
        nonlocal asked
        asked += 1
        if asked in (2, 4, 7):
            raise KeyboardInterrupt
        raised.append(campaign.name)
        enter(campaign)

    for module in (running, studying):
        monkeypatch.setattr(module, "run_campaign", killed)
    for _ in range(3):  # in a search, before a comparison of winners, and in the next repeat
        with pytest.raises(KeyboardInterrupt):
            go_on(study)
    go_on(study)
    assert (Path(study.file.ledger).read_text(), raised) == (whole, ran)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"methods": STUDY["methods"] | {"by child": {"chosen_by": "child", "rounds": 1}}}, "compared at equal cost"),
        ({"repeats": [deepcopy(STUDY["repeats"][0]) for _ in range(2)]}, "a founder's seed is used twice"),
        ({"methods": {"a": {"budget": 1}, "b": {}}}, "budget"),
        ({"exam": "config/suites/tiny-v2"}, "is not an exam"),
    ],
)
def test_a_study_that_could_show_nothing_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(LamarckError, match=sentence):
        load(**changes)


def test_a_part_that_goes_by_the_child_raises_no_grandchild() -> None:
    search: Search = next(part.search for part in load().parts if part.method == "by child")
    write_text(Path("r.yaml"), campaign_text(search, running.rounds(search)[0].candidates, (1,), "r1"))
    campaign = load_campaign(Path("r.yaml"))
    assert {lineage.config.generations for lineage in campaign.distinct} == {1}
    assert campaign.ledger == Path("docs/ledger.jsonl")
