"""What a campaign shows, where nothing but its file and its ledger lies, and as the artifact that a rule makes."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from lamarck.campaign.__main__ import main
from lamarck.campaign.members import Campaign
from lamarck.campaign.table import as_markdown, result_of
from lamarck.commands import campaign as commands
from lamarck.errors import LamarckError
from lamarck.files import read_json
from lamarck.lineage.artifacts import CAMPAIGN_RESULT
from tests.campaign.test_members import ROOT, enter, load

SCORES = {("first", 1): 40.0, ("more", 1): 42.0, ("less", 1): 39.0, ("first", 2): 41.0, ("more", 2): 44.0}


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Campaign:
    """A project that has raised nothing: a campaign `c` that ships, with the ledger of five members."""
    campaigns = tmp_path / "config/campaigns"
    campaigns.mkdir(parents=True)
    for each in (ROOT / "config").iterdir():
        if each.name != "campaigns":
            (tmp_path / "config" / each.name).symlink_to(each)
    monkeypatch.chdir(tmp_path)
    campaign = load(Path("config/campaigns"), ledger="ledger.jsonl", race={})
    enter(campaign, SCORES)
    return campaign


def make(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the rule runs."""
    output, table = CAMPAIGN_RESULT.paths("c").values()
    monkeypatch.setattr(sys, "argv", ["", "--campaign", "c", "--output", str(output), "--table", str(table)])
    main()
    said: dict[str, Any] = read_json(output)
    return said


def test_a_clone_with_no_more_than_a_ledger_says_how_far_it_is_and_goes_on(
    clone: Campaign, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.status("c", as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert (said["finished"], said["members"]) == (5, 24)
    assert said["goes_on"] == "lamarck campaign run config/campaigns/c.yaml"
    commands.status("c", as_json=False)
    text = " ".join(capsys.readouterr().out.split())
    assert "c: 5 of 24 members are finished" in text
    assert "`lamarck campaign run config/campaigns/c.yaml` goes on" in text
    # What has run here goes on from the file that it ran with.
    own = Path("results/campaigns/c/c.yaml")
    own.parent.mkdir(parents=True)
    own.write_bytes(clone.content)
    commands.status("c", as_json=True)
    assert json.loads(capsys.readouterr().out)["goes_on"] == f"lamarck campaign run {own}"


def test_a_campaign_that_nobody_has_is_a_sentence(clone: Campaign) -> None:
    with pytest.raises(
        LamarckError, match=r"no campaign 'd' has run here \(there is: none\), and config/campaigns has"
    ):
        commands.status("d", as_json=True)


def test_what_is_shown_is_an_artifact_that_content_alone_outdates(
    clone: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert CAMPAIGN_RESULT.why_stale("c") == "missing" and CAMPAIGN_RESULT.made_here() == []
    said = make(monkeypatch)
    assert {name: said[name] for name in said if name != "made_from"} == json.loads(json.dumps(result_of(clone)))
    assert [standing["candidate"] for standing in said["race"]] == ["more", "less"]
    assert CAMPAIGN_RESULT.paths("c")["table"].read_text() == as_markdown(clone)
    assert CAMPAIGN_RESULT.why_stale("c") is None and CAMPAIGN_RESULT.made_here() == ["c"]
    ledger = clone.ledger.read_text()
    clone.ledger.write_text(ledger)  # another time, the same bytes
    assert CAMPAIGN_RESULT.why_stale("c") is None
    clone.ledger.write_text("".join(ledger.splitlines(keepends=True)[:-1]))
    assert CAMPAIGN_RESULT.why_stale("c") == "made from older results"
    again = make(monkeypatch)
    assert CAMPAIGN_RESULT.why_stale("c") is None
    assert again["finished"] == "4 of 24 members are finished"
    for damaged in ("[]", "null", "{", "[" * 100_000):
        CAMPAIGN_RESULT.path("c").write_text(damaged)
        assert CAMPAIGN_RESULT.why_stale("c")


def test_all_that_decides_which_lines_count_is_an_input(clone: Campaign) -> None:
    """Else a table of another suite, or of another strategy, would stand as this one's."""
    config = clone.base
    named = {clone.ledger, Path(clone.file.configfile), Path(config.strategy), Path(config.suite) / "suite.yaml"}
    assert named < set(CAMPAIGN_RESULT.inputs("c").values())
    said = {"configfile": "config/default.yaml", "exam": "config/suites/x", "config": {"suite": "config/suites/y"}}
    Path("config/campaigns/c.yaml").write_text(json.dumps(said))
    inputs = CAMPAIGN_RESULT.inputs("c")
    assert inputs["exam"] == Path("config/suites/x/suite.yaml")
    assert inputs["suite"] == Path("config/suites/y/suite.yaml")
    assert inputs["ledger"] == Path("results/campaigns/c/ledger.jsonl")
