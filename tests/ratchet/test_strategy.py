"""The subject that is a teaching strategy: its experiments are lineages, which the night's one approval covers."""

import json
import random
from datetime import date
from pathlib import Path

import pytest
import yaml

from lamarck.campaign.ledger import Finished
from lamarck.campaign.members import Campaign, load_campaign
from lamarck.campaign.run import Ask, CampaignStopped, describe, next_members, step_plan
from lamarck.commands import ratchet as commands
from lamarck.config.strategy import load_strategy
from lamarck.errors import LamarckError
from lamarck.files import write_text
from lamarck.gate.check import asked_of_campaign, check_approval
from lamarck.gate.night import read_ratchet_plan
from lamarck.gate.planned import plan_text
from lamarck.gate.search import check_candidate
from lamarck.lineage.dvc import kept_campaigns
from lamarck.ratchet import chain
from lamarck.ratchet.agents.mutation import Mutation
from lamarck.ratchet.agents.proposal import AgentContext
from lamarck.ratchet.chain import ChainRoom
from lamarck.ratchet.evidence import read_evidence
from lamarck.ratchet.file import MutationAgent, Ratchet, load_ratchet
from lamarck.ratchet.ledger import read_ledger
from lamarck.ratchet.night import Ran, seeds_of
from lamarck.ratchet.night_files import NightFiles, machine
from lamarck.ratchet.run import Until
from lamarck.run_lock import RUN, holding
from tests.ratchet.subjects import found, git, run

ROOT = Path(__file__).parents[2]
SUBJECT = "research/strategy"
NIGHT = NightFiles("strategy", "night")
SPACE = {"size": {"kind": "integer", "low": 4000, "high": 9000}}
# As little as can show anything: two pairs.
RIGOR = {"baseline_runs": 2, "risk": 0.3, "confirmations": 1, "pairs": 2}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").symlink_to(ROOT / "config")
    (tmp_path / SUBJECT).mkdir(parents=True)
    (tmp_path / SUBJECT / "strategy.yaml").write_text((ROOT / SUBJECT / "strategy.yaml").read_text())
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    git(tmp_path, "add", SUBJECT)
    git(tmp_path, "commit", "--quiet", "--message", "begin")
    return tmp_path


def ratchet(**changes: object) -> Ratchet:
    values = yaml.safe_load((ROOT / SUBJECT / "ratchet.yaml").read_text())
    small = {"experiments": 4, "rigor": RIGOR, "agent": {"kind": "mutation", "space": SPACE}}
    path = Path(SUBJECT, "ratchet.yaml")
    path.write_text(yaml.safe_dump({key: value for key, value in (values | small | changes).items() if value}))
    return load_ratchet(path)


def raise_it(campaign: Campaign, *arguments: object) -> None:
    """Behind the gate, without raising anything: a strategy is worth what its size says, a founder its luck."""
    (step,) = campaign.steps
    check_approval(asked_of_campaign(step, step_plan(campaign, step)), step.approval)
    describe(campaign)
    for arm, seed in next_members(campaign):
        size = campaign.lineages[arm, seed].strategy.size
        if size > 8900:
            raise CampaignStopped(f"campaign {campaign.name} stopped: a log says why")
        score = 40 + size / 1000 + random.Random(seed).gauss(0, 0.1)
        row = Finished(arm=arm, seed=seed, generation=campaign.read_off(arm, seed).name,
                       member=campaign.member_digest(arm, seed), score=score, scores="0", device_seconds=1.0,
                       cut_short=(), machine="a machine", commit=None, date=date(2026, 1, 1))  # fmt: skip
        with campaign.ledger.open("a") as ledger:
            ledger.write(json.dumps(row.model_dump(mode="json")) + "\n")


@pytest.fixture
def raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "raise_campaign", raise_it)


def test_a_better_strategy_is_kept_by_its_grandchildren_under_one_approval(project: Path, raised: None) -> None:
    made = ratchet()
    run(made)
    rows = found(made)
    assert [row.status for row in rows].count("keep") == 2, rows  # the baseline, and what is larger
    kept = yaml.safe_load(git(project, "show", f"autoresearch/strategy/night:{SUBJECT}/strategy.yaml"))
    assert kept["size"] > 5000 and kept["skills"] == yaml.safe_load((ROOT / SUBJECT / "strategy.yaml").read_text())[
        "skills"
    ]  # fmt: skip
    assert [str(path) for path in Path("approvals").rglob("*.ok")] == ["approvals/ratchet/strategy.night.ok"]
    # Both sides of a pair grew from one founder, and each seed that was used is one that was approved.
    runs = [line for line in read_ledger(NIGHT.ledger) if isinstance(line, Ran)]
    assert {line.seed for line in runs} <= seeds_of(made.file)
    pair = next(line.seed for line in runs if line.stage == "confirm")
    campaign = load_campaign(NIGHT.directory / "campaigns" / f"strategy-night-{pair}.yaml")
    assert len(campaign.distinct) == 2 and len({lineage.founder for lineage in campaign.distinct}) == 1
    # Of all that it described, nothing is a stage of the user's dvc.yaml.
    assert list(Path("results/campaigns").iterdir()) and kept_campaigns() == []
    # Again the same night: what is in its ledger is not raised again.
    run(made)
    assert [line for line in read_ledger(NIGHT.ledger) if isinstance(line, Ran)] == runs


def test_what_was_kept_is_adopted_once_it_was_tried_on_founders_that_chose_nothing(
    project: Path, raised: None, capsys: pytest.CaptureFixture[str]
) -> None:
    made = ratchet(promotion={"pairs": 5})
    run(made)
    with pytest.raises(LamarckError, match="`lamarck ratchet promote strategy`"):
        commands.adopt("strategy", None, Path("adopted.yaml"))
    commands.promote("strategy", None, as_json=True)
    assert json.loads(capsys.readouterr().out)["holds"]
    commands.adopt("strategy", None, Path("adopted.yaml"))
    text = Path("adopted.yaml").read_text()
    assert "On seeds that chose nothing" in text and "over 5 pairs: it holds." in text
    assert load_strategy(Path("adopted.yaml")).size > 5000
    with pytest.raises(LamarckError, match="is there already"):
        commands.adopt("strategy", None, Path("adopted.yaml"))


def test_the_table_says_how_many_of_the_proposals_there_are_and_adds_up_over_nights(
    project: Path, raised: None
) -> None:
    made = ratchet(rigor={"baseline_runs": 2, "risk": 0.6, "confirmations": 2, "pairs": 3})
    document = Path("evidence.md")
    document.write_text("Before.\n<!-- ratchet strategy -->\n<!-- end of ratchet strategy -->\n")
    for tag, wanted in (("one", 1), ("two", 2)):
        run(made, tag, Until(proposals=1))
        commands.report("strategy", tag, False, document)
        assert f"{wanted} of 4 proposals are measured." in document.read_text()
        assert f"Left: {4 - wanted} proposals, about 0.0 hours, from the mean of the {wanted}" in document.read_text()
    run(made, "one", Until(proposals=1))
    commands.report("strategy", "one", False, document)  # its earlier lines are replaced
    found = read_evidence(Path("evidence/strategy.jsonl"))
    assert [(each.night, each.number) for each in found] == [("one", 0), ("one", 1), ("one", 2), ("two", 0), ("two", 1)]
    assert found == [each for each in found if not each.machine.startswith(machine())]
    assert "3 of 4 proposals are measured." in document.read_text() and document.read_text().startswith("Before.")


def test_beside_its_seeds_and_its_space_the_night_s_approval_holds_for_nothing(project: Path, raised: None) -> None:
    made = ratchet()
    run(made)
    room = ChainRoom(made.file, NIGHT)
    content = (project / SUBJECT / "strategy.yaml").read_bytes()
    with pytest.raises(LamarckError, match="strategy-night-77 is no round of"):
        room.experiment({"strategy.yaml": content}, 77, made.file.spending, {})
    plan = read_ratchet_plan(NIGHT.plan)
    assert plan.raised and set(plan.raised.space) == {"size"}
    write_text(NIGHT.plan, plan_text(plan.model_copy(update={"raised": None})))
    with pytest.raises(LamarckError, match="a night that raises no lineage"):
        room.experiment({"strategy.yaml": content}, next(iter(seeds_of(made.file))), made.file.spending, {})


def test_what_is_no_strategy_or_cannot_be_raised_is_a_crash(project: Path, raised: None) -> None:
    made = ratchet()
    run(made)
    room, seed = ChainRoom(made.file, NIGHT), max(seeds_of(made.file))
    content = (project / SUBJECT / "strategy.yaml").read_bytes()
    for old, new, words in (
        (b"size: 5000", b"sise: 5000", "did you mean 'size'"),
        (b"size: 5000", b"size: 8999", "a log says why"),
        (b"list_ops:", b"telepathy:", "its skills"),
        (b"description:", b"budget: {device_seconds: 1000000}\ndescription:", "budget"),
    ):
        outcome = room.experiment({"strategy.yaml": content.replace(old, new)}, seed, made.file.spending, {})
        assert outcome.metric is None and words in outcome.failure, outcome


def test_another_run_in_this_checkout_is_no_fault_of_a_strategy(project: Path, raised: None) -> None:
    made = ratchet()
    with holding(RUN, ""), pytest.raises(LamarckError, match="another run is already advancing"):
        run(made)
    assert read_ledger(NIGHT.ledger) == []


def test_a_founder_that_is_not_pretrained_here_stops_at_its_own_gates(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(campaign: Campaign, approver: object, ask: Ask, key: object, jobs: int) -> None:
        assert [step.step for step in campaign.steps] == ["g1", "g2"] and not campaign.steps[0].search
        ask(campaign, None)  # type: ignore[arg-type]

    monkeypatch.setattr(chain, "raise_campaign", stop)
    values = yaml.safe_load(Path("config/default.yaml").read_text())
    Path("local.yaml").write_text(yaml.safe_dump(values | {"founder": {"kind": "local", "path": "somewhere"}}))
    made = ratchet(chain={"configfile": "local.yaml", "config": {"control": False}, "scored": "g2"})
    with pytest.raises(LamarckError, match=r"`lamarck campaign run results/campaigns/strategy-night-\d+/"):
        run(made)
    assert read_ratchet_plan(NIGHT.plan).raised is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"agent": {"kind": "command", "command": ["x"]}}, "its space is what a human approves"),
        ({"agent": None}, "its space is what a human approves"),
        ({"run_command": "python train.py"}, "run_command is of subjects that run in a room"),
        ({"hand_over": ["x"]}, "hand_over is of subjects that run in a room"),
        ({"trust": None}, "set `trust: scored`"),
        ({"metric_direction": "minimize"}, "set `trust: scored`, `maximize`"),
        ({"chain": None}, "run_command and eval_command are missing"),
        ({"budget": {"kind": "steps", "amount": 1, "most_seconds": 9}}, "ceilings of their own"),
    ],
)
def test_a_file_that_mixes_rooms_and_the_chain_is_refused(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(LamarckError, match=sentence):
        ratchet(**changes)


@pytest.mark.parametrize(
    ("space", "sentence"),
    [
        ({"siz": SPACE["size"]}, "did you mean 'size'"),
        ({"budget": SPACE["size"]}, "unknown key 'budget'"),
        ({"minimum_items": {"kind": "integer", "low": -1, "high": 5}}, "minimum_items"),
    ],
)
def test_a_space_that_no_strategy_has_is_refused_before_anybody_is_asked(
    space: dict[str, object], sentence: str
) -> None:
    with pytest.raises(LamarckError, match=sentence):
        run(ratchet(agent={"kind": "mutation", "space": space}))
    assert not Path("approvals").exists()


@pytest.mark.parametrize("name", ["ratchet.yaml", "quick.yaml"])
def test_the_subject_that_ships_fits_its_space(name: str) -> None:
    shipped = load_ratchet(ROOT / SUBJECT / name)
    (mutable,) = shipped.file.mutable_files
    content = (ROOT / SUBJECT / mutable).read_bytes()
    (Path(SUBJECT) / mutable).write_bytes(content)
    plan = chain.raised_by(shipped.file, "night", content, b"")
    assert plan and len(plan.rounds) == len(seeds_of(shipped.file))
    assert isinstance(shipped.file.agent, MutationAgent)
    for number in range(1, 20):
        context = AgentContext(number, {mutable: content}, {}, "", "", "", (), "", "", ())
        Path("changed.yaml").write_bytes(Mutation(shipped.file.agent).propose(context).files[mutable])
        check_candidate(plan, "a strategy", load_strategy(Path("changed.yaml")), chain.base_of(shipped.file))
