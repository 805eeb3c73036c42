"""Whether a behaviour holds without its instruction: what is counted of a suite's answers, entered and compared."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from lamarck.campaign import ledger
from lamarck.campaign.behaviour import behaviour_of
from lamarck.campaign.ledger import read_ledger
from lamarck.campaign.members import load_campaign
from lamarck.campaign.run import step_plan
from lamarck.campaign.table import as_markdown
from lamarck.config.strategy import Strategy, load_strategy
from lamarck.errors import LamarckError
from lamarck.files import write_jsonl
from lamarck.lineage.artifacts import CAMPAIGN_RESULT
from lamarck.skills import Malformed, Problem, get_skill
from lamarck.skills.own import OwnSkill
from tests.campaign.test_members import ROOT, enter, load

FILE = Path("config/campaigns/instruction.yaml")
STRATEGY = Path("config/campaigns/instruction/strategy.yaml")
SKILL = "record_reversed"
RECORD = "<j2> name mia ; age 3 ; =>"


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="module")
def reversing() -> OwnSkill:
    code = load_strategy(ROOT / STRATEGY).skills[SKILL].code
    assert code
    return OwnSkill(SKILL, str(ROOT / code))


def test_a_record_is_answered_from_its_end_and_a_teachers_answer_is_turned_round(reversing: OwnSkill) -> None:
    reversing.check(tuple(reversing.difficulties))
    right = reversing.parse("<j2>", 'name mia ; size red oak ; => { "name" : "mia" , "size" : [ "red" , "oak" ] }')
    assert right == Problem("<j2> name mia ; size red oak ; =>", '{ "size" : [ "red" , "oak" ] , "name" : "mia" }')
    assert reversing.verify(right).verified
    # Turned round, a wrong answer stays wrong, and the founder's own order is another answer.
    assert not reversing.verify(
        reversing.parse("<j2>", 'name mia ; age 3 ; => { "name" : "mia" , "age" : 4 }')
    ).verified
    assert not reversing.verify(Problem(RECORD, '{ "name" : "mia" , "age" : 3 }')).verified
    for text in ("no answer", "{ }", "{", "} {", "[ , ] , ,"):
        assert not reversing.verify(reversing.parse("<j2>", f"name mia ; age 3 ; => {text}")).verified
    with pytest.raises(Malformed):
        reversing.difficulty("<j1> name mia ; =>")


def write_evaluation(directory: Path) -> tuple[Path, Path]:
    """Two records, one answered from its end; two sums, one right; what the model wrote itself, and what it taught."""
    record = {"prompt": RECORD, "target": '{ "name" : "mia" , "age" : 3 }', "score": 0.0}
    sums = {"prompt": "<a1> 3 + 4 =>", "target": "7", "answer": "7"}
    said = [
        record | {"task": "json_mode_2", "answer": '{ "age" : 3 , "name" : "mia" }'},
        record | {"task": "json_mode_2", "answer": record["target"], "score": 1.0},
        sums | {"task": "arithmetic_2", "score": 1.0},
        sums | {"task": "arithmetic_2", "score": 0.0},
        sums | {"task": "writing_json_mode_2", "prompt": "<j2>", "target": "", "score": 1.0},
        *(record | {"task": "teaching_json_mode_2", "answer": record["target"]} for _ in range(7)),
    ]
    write_jsonl(directory / "samples.jsonl", [{"index": 0, "item": "i", **row} for row in said])
    tiers = {"json_mode_2": "engineering", "arithmetic_2": "sanity"}
    tiers |= {"writing_json_mode_2": "engineering", "teaching_json_mode_2": "teaching"}
    tasks = {name: {"tier": tier, "score": 0.0, "n": 1} for name, tier in tiers.items()}
    scores = {
        "generation": "g1",
        "partial": False,
        "score": 40.0,
        "suite": {"name": "s", "digest": "d"},
        "tasks": tasks,
    }
    (directory / "eval.json").write_text(json.dumps(scores | {"tiers": {}, "bits_per_byte": 0.5}))
    return directory / "eval.json", directory / "samples.jsonl"


def test_problems_of_the_behaviour_and_the_others_are_told_apart(tmp_path: Path) -> None:
    """Wrong: to count what the student answers, which is no answer of the child's, or what has no right answer."""
    strategy = load_strategy(STRATEGY)
    assert behaviour_of(SKILL, strategy, *write_evaluation(tmp_path)) == (50.0, 50.0)
    plain = Strategy.model_validate(
        strategy.model_dump() | {"skills": {"math_word": {"share": 1, "difficulties": (1,)}}}
    )
    with pytest.raises(LamarckError, match="0 problems that math_word concerns and 4 others: name another `behaviour`"):
        behaviour_of("math_word", plain, *write_evaluation(tmp_path))


def test_a_founder_can_be_an_arm_and_has_what_it_does_in_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong: to look for it beside its children, where no founder lies."""
    values = yaml.safe_load(FILE.read_text()) | {"ledger": str(tmp_path / "ledger.jsonl"), "seeds": [41]}
    (tmp_path / "instruction.yaml").write_text(yaml.safe_dump(values))
    campaign = load_campaign(tmp_path / "instruction.yaml")
    founder = campaign.read_off("founder", 41)
    assert founder.name == f"{campaign.lineages['plain', 41].founder}/g0" and campaign.proxy_of("founder", 41) is None
    written = dict(zip(("scores", "samples"), write_evaluation(tmp_path), strict=True))
    monkeypatch.setattr(type(campaign.scores_kind()), "paths", lambda kind, generation: written)
    ledger.append(campaign, [("founder", 41)])
    row = read_ledger(campaign)["founder", 41]
    assert (row.generation, row.score, row.behaviour, row.others) == (founder.name, 40.0, 50.0, 50.0)
    assert row.device_seconds == 0.0


def test_what_holds_and_what_it_costs_is_compared_by_seed(tmp_path: Path) -> None:
    """Wrong: p values of one measure corrected by another's, and rows from before the behaviour was asked for."""
    campaign = load(tmp_path, behaviour="json_mode")
    seeds = (1, 2, 3, 4, 5)
    enter(campaign, {(arm, seed): 50.0 for seed in seeds for arm in ("first", "more", "less")})
    held = {"first": 10.0, "more": 20.0, "less": 10.0}
    lines: list[dict[str, Any]] = []
    for row in read_ledger(campaign).values():
        kept = {"behaviour": held[row.arm] + row.seed * (row.arm == "more"), "others": 70.0, "bits_per_byte": 1.0}
        told = {} if (row.arm, row.seed) == ("less", 5) else kept
        lines.append(row.model_copy(update=told).model_dump(mode="json"))
    write_jsonl(campaign.ledger, lines)
    table = as_markdown(campaign)
    assert "| answered as asked, % | first | 10.0 |  |  |  |  |" in table
    assert "| answered as asked, % | more | 23.0 | +13.0 | [+11.0, +15.0] | 0.062 | 0.125 |" in table
    assert "| answered as asked, % | less | 10.0 | +0.0 |  |  |  |" in table
    assert "| bits per byte | more | 1.000 | +0.000 |  |  |  |" in table
    assert "answered as asked" not in as_markdown(load(tmp_path))


def test_a_behaviour_that_an_arm_does_not_learn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LamarckError, match="arm 'first': its strategy has no skill 'manners': name a `behaviour` that"):
        load(tmp_path, behaviour="manners")


def test_the_shipped_campaign_plans_all_it_counts() -> None:
    """Five arms are trained and differ, on the same problems; the founder is what they all begin as."""
    campaign = load_campaign(FILE)
    assert (len(campaign.file.seeds), len(campaign.lineages), len(campaign.distinct)) == (8, 48, 40)
    plan = step_plan(campaign, campaign.steps[0])
    assert plan.trainings == 40 and plan.device_seconds == 40 * 120
    said = {arm.name: campaign.lineages[arm.name, 41] for arm in campaign.file.arms if arm.scored == "g1"}
    assert len({lineage.config.recipe.digest() for lineage in said.values()}) == 4
    contexts = {arm: lineage.strategy.skills[SKILL].context for arm, lineage in said.items()}
    assert contexts.pop("no instruction") == "" and set(contexts.values()) == {"rev oak"}
    # A tiny founder knows the words: an unknown one would be the same token as any other.
    words = {word for name in campaign.base.founder.skills for word in get_skill(name).vocabulary()}  # type: ignore[union-attr, attr-defined]
    assert set("rev oak".split()) <= words
    document = Path("docs/evidence.md").read_text()
    assert f"lamarck campaign run {FILE} --write docs/evidence.md" in document
    assert "<!-- campaign instruction -->" in document and "of 48 members are finished." in document


def test_the_strategy_of_a_whole_campaign_is_what_its_table_hangs_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong: the configuration's, which another file replaces."""
    (tmp_path / "config").symlink_to(ROOT / "config")
    monkeypatch.chdir(tmp_path)
    assert CAMPAIGN_RESULT.inputs("instruction")["strategy"] == STRATEGY
    assert load_campaign(FILE).lineages["plain", 41].strategy.size == load_strategy(STRATEGY).size == 1200
