"""What a campaign's file comes to: lineages, what is raised next, and what a ledger's lines count for."""

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from lamarck.campaign.ledger import Finished, Key, read_ledger
from lamarck.campaign.members import Campaign, load_campaign
from lamarck.campaign.run import next_members, step_plan
from lamarck.campaign.table import ArmRow, as_markdown, finished, rows
from lamarck.config.crossing import Crossing
from lamarck.errors import LamarckError
from lamarck.files import write_jsonl

ROOT = Path(__file__).parents[2]
ARMS = [
    {"name": "first", "why": "", "scored": "g1"},
    {"name": "more", "why": "", "config": {"recipe": {"steps": 301}}, "scored": "g1"},
    {"name": "less", "why": "", "config": {"recipe": {"steps": 299}}, "scored": "g1"},
]


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def load(directory: Path, **changes: Any) -> Campaign:
    values = {"description": "", "configfile": "config/default.yaml", "seeds": list(range(1, 9)), "arms": ARMS}
    (directory / "c.yaml").write_text(yaml.safe_dump(values | {"ledger": str(directory / "ledger")} | changes))
    return load_campaign(directory / "c.yaml")


def enter(campaign: Campaign, scores: dict[Key, float]) -> None:
    lines = [
        Finished(
            arm=arm,
            seed=seed,
            generation="g1",
            member=campaign.member_digest(arm, seed),
            score=score,
            scores="0",
            device_seconds=1.0,
            cut_short=(),
            machine="a machine",
            commit=None,
            date=date(2026, 1, 1),
        )
        for (arm, seed), score in scores.items()
    ]
    write_jsonl(campaign.ledger, [line.model_dump(mode="json") for line in lines])


def test_without_a_race_every_arm_is_raised_on_every_seed(tmp_path: Path) -> None:
    campaign = load(tmp_path)
    assert next_members(campaign) == [("first", 1), ("more", 1), ("less", 1)]
    enter(campaign, {("first", 1): 50.0, ("more", 1): 60.0})
    assert next_members(campaign) == [("less", 1)]
    enter(campaign, {(arm["name"], 1): 50.0 for arm in ARMS})
    assert [seed for _, seed in next_members(campaign)] == [2, 2, 2]


@pytest.mark.parametrize(
    "changes, seeds",
    [
        ({}, [1, 2]),  # three lineages a seed
        ({"keep": {1: 1}}, [1]),
        ({"failed_members": "leave out"}, [1]),
    ],
)
def test_seeds_are_raised_side_by_side_until_a_look_decides(tmp_path: Path, changes: Any, seeds: list[int]) -> None:
    """The fault: with one lineage a seed a second core, and a second pod, had nothing to do."""
    campaign = load(tmp_path, **changes)
    assert [seed for _, seed in next_members(campaign, 3)] == [1, 1, 1]
    runs = next_members(campaign, 4)
    assert runs == [(arm["name"], seed) for seed in seeds for arm in ARMS]
    enter(campaign, {key: 50.0 for key in campaign.lineages})
    assert next_members(campaign, 4) == []


def test_a_race_leaves_out_what_cannot_be_shown_to_be_better_any_more(tmp_path: Path) -> None:
    campaign = load(tmp_path, race={"risk": 0.05})
    enter(
        campaign,
        {(arm, seed): score for seed in (1, 2, 3) for arm, score in {"first": 50, "more": 60, "less": 40}.items()},
    )
    assert next_members(campaign) == [("first", 4), ("more", 4)]


def test_a_lines_digest_decides_what_it_counts_for(tmp_path: Path) -> None:
    """Renamed arms keep their lines; other settings, another suite or another generation do not."""
    campaign = load(tmp_path)
    enter(campaign, {("first", 1): 50.0, ("more", 1): 51.0})
    assert finished(campaign) == "2 of 24 members are finished"
    renamed = load(tmp_path, arms=[ARMS[0], ARMS[1] | {"name": "longer"}, ARMS[2]])
    assert set(read_ledger(renamed)) == {("first", 1), ("longer", 1)}
    changed = load(tmp_path, arms=[ARMS[0], ARMS[1] | {"config": {"recipe": {"steps": 302}}}, ARMS[2]])
    assert set(read_ledger(changed)) == {("first", 1)}
    later = load(tmp_path, arms=[ARMS[0] | {"scored": "g2"}, ARMS[1]])
    assert set(read_ledger(later)) == {("more", 1)}
    assert {row.arm: row.pairs for row in rows(campaign)} == {"first": 0, "more": 1, "less": 0}


def test_arms_that_come_to_the_same_share_a_lineage(tmp_path: Path) -> None:
    arms = [ARMS[0] | {"scored": "g2"}, ARMS[0] | {"name": "control", "scored": "control/g2"}, ARMS[1]]
    campaign = load(tmp_path, arms=arms, seeds=[1, 2])
    assert [lineage.id for lineage in campaign.distinct] == [
        *("campaigns/c/first/s1", "campaigns/c/first/s2", "campaigns/c/more/s1", "campaigns/c/more/s2")
    ]
    (step,) = campaign.steps
    plan = step_plan(campaign, step)
    # Two generations, each with its control arm, of 120 device-seconds.
    assert (plan.trainings, plan.device_seconds) == (16, 16 * 120)


def test_arms_that_train_in_other_ways_have_their_curriculum_written_once(tmp_path: Path) -> None:
    others = [
        {"name": "control", "why": "", "config": {"recipe": {"steps": 301}, "control": False}, "scored": "g1"},
        {"name": "slow", "why": "", "config": {"budget": {"writing_seconds": 9}}, "scored": "g1"},
        {"name": "small", "why": "", "strategy": {"size": 3999}, "scored": "g1"},
        {"name": "sum", "why": "", "scored": "g2", "cross": {"parents": ["first", "more"]}},
    ]
    campaign = load(tmp_path, arms=[*ARMS, *others], seeds=[1, 2])
    writers = {taken: writer.id for taken, writer in campaign.writers.items()}
    for seed in (1, 2):
        shared = {writers.pop(f"campaigns/c/{arm}/s{seed}") for arm in ("first", "more", "less")}
        assert shared == {f"campaigns/c/first/s{seed}"}
    # Without a control arm, with another ceiling, by another strategy: their own; a cross has none.
    assert len(writers) == 6 and all(taken == writer for taken, writer in writers.items())


def test_founders_that_are_not_pretrained_here_are_asked_about_step_by_step(tmp_path: Path) -> None:
    values = yaml.safe_load((ROOT / "config/default.yaml").read_text())
    values["founder"] = {"kind": "local", "path": "somewhere"}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(values))
    campaign = load(tmp_path, configfile=str(tmp_path / "own.yaml"))
    assert [step.approval.name for step in campaign.steps] == ["c.g1.ok", "c.g2.ok"]


CROSSED = [
    {"name": "sum", "why": "", "scored": "g2", "cross": {"parents": ["first", "more"]}},
    *ARMS,
    {
        "name": "ties",
        "why": "",
        "scored": "g2",
        "cross": {"parents": ["first", "less"], "crossing": {"method": "ties"}},
    },
]


def test_an_arm_that_is_a_child_of_two_arms(tmp_path: Path) -> None:
    """Its lineage holds the child alone; it hangs on its parents' lineages, and the others' digests on none of it."""
    campaign = load(tmp_path, arms=CROSSED)
    assert [arm for arm, _ in campaign.lineages][:8] == ["sum"] * 8
    lineage = campaign.lineages["sum", 3]
    assert [child.name for child in lineage.children()] == ["campaigns/c/sum/s3/g2"]
    assert [parent.name for parent in lineage.parents] == ["campaigns/c/first/s3/g1", "campaigns/c/more/s3/g1"]
    plain = load(tmp_path)
    assert all(plain.member_digest(arm, 1) == campaign.member_digest(arm, 1) for arm in ("first", "more", "less"))
    other = [CROSSED[0], ARMS[0], ARMS[1] | {"config": {"recipe": {"steps": 302}}}, *CROSSED[3:]]
    assert load(tmp_path, arms=other).member_digest("sum", 1) != campaign.member_digest("sum", 1)
    plan = step_plan(campaign, campaign.steps[0])
    [member] = [each for each in plan.members if each.generation == "campaigns/c/ties/s1/g2"]
    assert not member.control and member.strategy == Crossing(method="ties").digest()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"scored": "g3"}, "is a g2, a child of two arms: set `scored: g2`"),
        ({"cross": {"parents": ["frist", "more"]}}, "there is no arm 'frist' to cross: did you mean 'first'?"),
        ({"cross": {"parents": ["ties", "more"]}}, "there is no arm 'ties' to cross"),
        ({"cross": {"parents": ["first"]}}, "parents"),
    ],
)
def test_arms_that_cannot_be_crossed(tmp_path: Path, changes: dict, sentence: str) -> None:
    with pytest.raises(LamarckError, match=re.escape(sentence)):
        load(tmp_path, arms=[CROSSED[0] | changes, *CROSSED[1:]])


def test_an_exam_is_read_and_chooses_nothing(tmp_path: Path) -> None:
    exam = "config/suites/tiny-exam-v1"
    campaign = load(tmp_path, exam=exam)
    generation = campaign.read_off("first", 1)
    assert campaign.scores_of(generation) == generation.directory / "exams/tiny-exam-v1.json"
    assert campaign.lineages["first", 1].config.exams == (exam,)
    assert campaign.member_digest("first", 1) != load(tmp_path).member_digest("first", 1)
    for choice in ({"race": {"risk": 0.05}}, {"keep": {1: 1}}, {"proxies": True}):
        with pytest.raises(LamarckError, match="an exam chooses nothing"):
            load(tmp_path, exam=exam, **choice)
    with pytest.raises(LamarckError, match="config/suites/tiny-v1 is not an exam"):
        load(tmp_path, exam="config/suites/tiny-v1")


def test_what_every_arm_forgets_and_takes(tmp_path: Path) -> None:
    """By seed: wrong are differences of means over other seeds, and rows from before these figures were kept."""
    campaign = load(tmp_path, costs=True)
    enter(campaign, {(arm, seed): 50.0 for seed in (1, 2, 3) for arm in ("first", "more")} | {("less", 1): 40.0})
    bits = {("first", 1): 1.0, ("first", 2): 2.0, ("more", 1): 1.1, ("more", 2): 2.2, ("more", 3): 9.0}
    kept = [
        row.model_copy(update={"bits_per_byte": bits.get((row.arm, row.seed)), "optimizer_bytes": 2_500_000})
        for row in read_ledger(campaign).values()
    ]
    lines = [line.model_dump(mode="json") for line in kept]
    assert "bits_per_byte" not in next(line for line in lines if line["arm"] == "less")
    write_jsonl(campaign.ledger, lines)
    table = as_markdown(campaign)
    assert "| first | 1.500 |  |  | 2.50 | 1.0 |" in table
    assert "| more | 4.100 | +0.150 | [-0.485, +0.785] | 2.50 | 1.0 |" in table
    assert "| less |  |  |  | 2.50 | 1.0 |" in table
    assert "bits per byte" not in as_markdown(load(tmp_path))


def test_a_verdict_takes_holms_p_over_all_arms_those_not_finished_too(tmp_path: Path) -> None:
    """Ahead on all of eight seeds: p is 1/128, which shows something among two arms, and nothing among seven. Wrong: to
    count the arms that are finished."""

    def ahead(others: int, seeds: int = 8) -> ArmRow:
        arms = [
            {"name": f"arm {number}", "why": "", "config": {"recipe": {"steps": 301 + number}}, "scored": "g1"}
            for number in range(others)
        ]
        campaign = load(tmp_path, arms=[ARMS[0], *arms], seeds=list(range(1, seeds + 1)))
        scores = {("first", seed): 50.0 + seed for seed in campaign.file.seeds}
        enter(campaign, scores | {("arm 0", seed): 52.0 + 1.1 * seed for seed in campaign.file.seeds})
        return rows(campaign)[1]

    two, seven = ahead(2), ahead(7)
    assert two.p_value == seven.p_value == pytest.approx(1 / 128)
    assert (two.p_holm, seven.p_holm) == (pytest.approx(2 / 128), pytest.approx(7 / 128))
    assert (two.verdict, seven.verdict) == ("better", "no difference shown")
    # One child each is no word about a recipe, and neither are four.
    assert ahead(1, seeds=1).verdict == ""
    assert (ahead(1, seeds=4).p_value, ahead(1, seeds=4).verdict) == (0.125, "no difference shown")


@pytest.mark.parametrize(
    ("name", "seeds", "members", "exam"),
    [
        ("crossing", 8, 48, "config/suites/tiny-exam-v2"),
        ("optimizers", 8, 72, None),
        ("context", 8, 48, None),
        ("items", 8, 48, None),
        ("reach", 4, 24, None),
    ],
)
def test_a_shipped_campaign_plans_all_it_counts(name: str, seeds: int, members: int, exam: str | None) -> None:
    """Wrong: two arms that come to the same settings, of which the table would compare one with itself."""
    file = Path(f"config/campaigns/{name}.yaml")
    campaign = load_campaign(file)
    assert len(campaign.file.seeds) == seeds and campaign.file.exam == exam
    assert len(campaign.distinct) == len(campaign.lineages) == members
    [step] = campaign.steps
    plan = step_plan(campaign, step)
    assert plan.device_seconds > 0
    assert len(plan.members) == sum(len(lineage.children()) for lineage in campaign.distinct) >= members
    document = Path("docs/evidence.md").read_text()
    assert f"lamarck campaign run {file} --write docs/evidence.md" in document
    assert f"<!-- campaign {name} -->" in document and f"of {members} members are finished." in document


def test_optimizers_on_the_real_chat_model_train_on_one_curriculum_a_seed() -> None:
    """Wrong: an arm that changes what its founder writes, which takes the better part of an hour."""
    campaign = load_campaign(Path("config/campaigns/small_optimizers.yaml"))
    assert len(campaign.distinct) == len(campaign.lineages) == 24
    assert {writer.id for writer in campaign.writers.values()} == {
        f"campaigns/small_optimizers/LoRA/s{seed}" for seed in campaign.file.seeds
    }
    assert [step.step for step in campaign.steps] == ["g1"]
    document = Path("docs/evidence.md").read_text()
    assert "<!-- campaign small_optimizers -->" in document and "of 24 members are finished." in document


def test_how_far_it_climbs_is_read_on_seeds_that_chose_nothing_beside_what_may_carry_it() -> None:
    """Of each arm the one difference to the first. Wrong: an arm that differs in what its name does not say."""
    campaign = load_campaign(Path("config/campaigns/reach.yaml"))
    assert 2 not in campaign.file.seeds, "on that one the strategy was chosen"
    first = campaign.lineages["reach", 21]
    plain = first.config.recipe.model_dump(mode="json"), first.strategy.model_dump(mode="json")
    assert (first.config.recipe.steps, first.strategy.replay_per_cell) == (150, 100)
    differences = {}
    for arm in campaign.file.arms[1:]:
        lineage = campaign.lineages[arm.name, 21]
        own = lineage.config.recipe.model_dump(mode="json"), lineage.strategy.model_dump(mode="json")
        differences[arm.name] = {
            key: value
            for now, before in zip(own, plain, strict=True)
            for key, value in now.items()
            if before.get(key) != value
        }
    assert differences.pop("frontier").keys() == {"size", "difficulty", "answers", "samples_per_item"}
    assert differences == {
        "reach, replay 0": {"replay_per_cell": 0},
        "reach, twice the steps": {"steps": 300},
        "reach, steps by items": {"steps": None, "epochs": 1},
        "reach, longest answers": {"longest_of": 2},
    }


def test_the_climb_is_read_off_one_lineage_a_seed() -> None:
    """Founder, children and control arm of the same two generations. Wrong: an arm that raises a lineage of its own,
    and a founder that is looked for in a lineage, whose g0 lies with the founders of all campaigns."""
    campaign = load_campaign(Path("config/campaigns/climb.yaml"))
    arms = [arm.name for arm in campaign.file.arms]
    for seed in campaign.file.seeds:
        lineage = campaign.lineages[arms[0], seed]
        read = [campaign.read_off(arm, seed).name for arm in arms]
        assert read == [f"{lineage.founder}/g0", *(f"{lineage.id}/{each}" for each in ("g1", "g2", "control/g2"))]
        assert [campaign.proxy_of(arm, seed) for arm in arms] == [None] * 4, "also of a founder, which has no parent"
    assert len(campaign.distinct) == len(campaign.file.seeds) == 8
    assert len({campaign.member_digest(*key) for key in campaign.lineages}) == 32
    [step] = campaign.steps
    assert step_plan(campaign, step).device_seconds == 32 * campaign.base.budget.device_seconds
