"""The gate, against real files: it opens for exactly what a human approved, and for nothing else."""

import hashlib
import json
import random
import shutil
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import yaml
from rich.console import Console
from safetensors.numpy import save_file

from lamarck.config import Config, check_section
from lamarck.curriculum.item import Item, Teacher, Verdict, item_id
from lamarck.errors import LamarckError
from lamarck.files import write_json, write_jsonl
from lamarck.gate import review
from lamarck.gate.approval import Approver, today
from lamarck.gate.approve import approve
from lamarck.gate.check import check_gate, gate_state
from lamarck.gate.plan import ControlInputs, Plan, build_plan, count_parameters, plan_digest, short
from lamarck.lineage import Generation
from lamarck.skills import get_skill

ROOT = Path(__file__).parents[2]
G1 = Generation(1)
G2 = Generation(2)
ME = Approver(name="A Tester", contact="tester@example.org")


def config(**changes: object) -> Config:
    values = yaml.safe_load((ROOT / "config/default.yaml").read_text()) | {
        "suite": "suite",
        "strategy": "strategy.yaml",
    }
    return check_section(values | changes, Config, "test")


def write_curriculum(path: Path, seed: int) -> None:
    rng = random.Random(seed)
    items = []
    for _ in range(5):
        problem = get_skill("json_mode").sample(rng, 2)
        items.append(
            Item(
                id=item_id("json_mode", problem.prompt, problem.completion),
                skill="json_mode",
                difficulty=2,
                prompt=problem.prompt,
                completion=problem.completion,
                teacher=Teacher(generation="g0", digest="0"),
                verdict=Verdict(verified=True, by="json_mode", score=1.0),
                strategy="0",
            )
        )
    write_jsonl(path, [item.model_dump(mode="json", exclude_none=True) for item in items])


@pytest.fixture(autouse=True)
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory in which g1 and its control arm have been planned."""
    monkeypatch.chdir(tmp_path)
    Path("suite").mkdir()
    Path("suite/suite.yaml").write_text("name: suite\n")
    Path("strategy.yaml").write_text((ROOT / "config/strategies/frontier.yaml").read_text())
    G1.weights.mkdir(parents=True)
    save_file({"a": np.zeros((3, 4), np.float32), "b": np.zeros(5, np.float32)}, G1.weights / "model.safetensors")
    write_curriculum(G1.curriculum, 1)
    write_curriculum(G1.control.curriculum, 2)
    write_plan(config())


def make_plan(settings: Config) -> Plan:
    control = ControlInputs("g0", None, G1.control.curriculum)
    return build_plan(settings, G1, G1.weights, None, G1.curriculum, None, control)


def make_grandchild_plan(
    settings: Config, previous: Path | None = G1.plan, adapter: Path | None = G1.adapter, child: Generation = G2
) -> Plan:
    G1.adapter.mkdir(exist_ok=True)
    (G1.adapter / "adapter_model.safetensors").write_bytes(b"trained")
    return build_plan(settings, child, G1.weights, adapter, G1.curriculum, previous, None)


def write_plan(settings: Config) -> None:
    write_json(G1.plan, make_plan(settings).model_dump(mode="json"))


def say_yes(key: Path | None = None) -> None:
    approve(G1, short(plan_digest(make_plan(config()))), ME, key=key)


def check(settings: Config, generation: Generation = G1) -> Plan:
    return check_gate(settings, generation, G1.plan, G1.approval, G1.weights, None, generation.curriculum)


def refusal(settings: Config | None = None, generation: Generation = G1) -> str:
    with pytest.raises(LamarckError) as error:
        check(settings or config(), generation)
    return str(error.value)


def edit_approval(**changes: object) -> None:
    content = yaml.safe_load(G1.approval.read_text())
    G1.approval.write_text(yaml.safe_dump(content | changes))


def test_an_approved_plan_opens_the_gate_for_both_arms() -> None:
    say_yes()
    assert check(config()).generation == "g1"
    assert check(config(), G1.control).control is not None
    assert gate_state(G1, G1.plan, G1.approval).state == "open"


def test_without_an_approval_nothing_is_trained() -> None:
    assert "g1 is not approved" in refusal()
    assert gate_state(G1, G1.plan, G1.approval).state == "waiting"


def test_parameters_are_counted_from_the_headers() -> None:
    assert count_parameters(G1.weights) == 17


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is empty"),
        ("# only a comment\n", "is empty"),
        ("yes\n", "no valid approval"),
        ("a: [", "not valid YAML"),
        ("decision: approve\n", "no valid approval"),
        ("expires: 2026-02-30\n", "day is out of range for month"),
        ("decision: reject\ndecision: approve\n", "'decision' stands there twice"),
        ("\x00", "not valid YAML"),
    ],
)
def test_what_is_no_approval_is_refused(content: str, sentence: str) -> None:
    G1.approval.parent.mkdir()
    G1.approval.write_text(content)
    assert sentence in refusal()
    assert gate_state(G1, G1.plan, G1.approval).state == "refused"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"plan": "0" * 64}, "approves another plan"),
        ({"generation": "g2"}, "approves g2, not g1"),
        ({"decision": "reject"}, "no valid approval"),
        ({"budget_device_seconds": 1}, "allows 1 device-seconds"),
        ({"expires": today() - timedelta(days=1)}, "expired on"),
        ({"aprover": "x"}, "aprover"),
        ({"plan": 7}, "no valid approval"),
        ({"plan": "0" * 8}, "no valid approval"),
        ({"approver": {"name": " "}}, "approver.name"),
        ({"approver": "A Tester"}, "approver"),
        ({"budget_device_seconds": float("inf")}, "budget_device_seconds"),
        ({"budget_device_seconds": float("nan")}, "budget_device_seconds"),
        ({"expires": "soon"}, "expires"),
    ],
)
def test_an_approval_that_does_not_hold_is_refused(changes: dict[str, object], sentence: str) -> None:
    say_yes()
    edit_approval(**changes)
    assert sentence in refusal()


def test_a_touched_or_unreadable_approval_is_refused() -> None:
    G1.approval.parent.mkdir()
    G1.approval.touch()
    assert "an empty file approves nothing" in refusal()
    G1.approval.unlink()
    G1.approval.mkdir()
    assert "cannot be read" in refusal()
    assert gate_state(G1, G1.plan, G1.approval).state == "refused"


def test_bytes_that_are_no_text_are_no_approval() -> None:
    G1.approval.parent.mkdir()
    G1.approval.write_bytes(b"\xff\xfe")
    assert "not valid YAML" in refusal()


def test_an_approval_holds_on_its_last_day() -> None:
    say_yes()
    edit_approval(expires=today())
    assert check(config()).generation == "g1"


def test_a_plan_of_another_generation_in_this_ones_place_is_refused() -> None:
    say_yes()
    approval = G1.approval.with_name("g2.ok")
    G1.approval.rename(approval)
    with pytest.raises(LamarckError, match="the plan of g2 is one of g1"):
        check_gate(config(), G2, G1.plan, approval, G1.weights, None, G1.curriculum)


def test_a_plan_that_shows_other_settings_than_it_means_is_refused() -> None:
    plan = json.loads(G1.plan.read_text())
    plan["recipe"]["settings"]["steps"] = 1
    write_json(G1.plan, plan)
    approve(G1, plan_digest(Plan.model_validate(plan)), ME)
    assert "the recipe of g1 changed" in refusal()


def test_a_curriculum_that_is_gone_is_refused_in_one_sentence() -> None:
    say_yes()
    G1.curriculum.unlink()
    assert "curriculum.jsonl does not exist" in refusal()


def test_a_plan_has_no_control_arm_unless_it_says_so() -> None:
    plan = build_plan(config(), G1, G1.weights, None, G1.curriculum, None, None)
    write_json(G1.plan, plan.model_dump(mode="json"))
    approve(G1, short(plan_digest(plan)), ME)
    assert "has no control arm" in refusal(generation=G1.control)


def test_the_same_files_give_the_same_plan_wherever_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path.with_name(tmp_path.name + "-elsewhere")
    shutil.copytree(tmp_path, copy)
    here = G1.plan.read_bytes()
    monkeypatch.chdir(copy)
    write_plan(config())
    assert G1.plan.read_bytes() == here
    assert str(tmp_path).encode() not in here
    assert plan_digest(make_plan(config())) == hashlib.sha256(here).hexdigest()


@pytest.mark.parametrize("content", [None, b"abc", b"\xff" * 20, b"\x02" + b"\x00" * 7 + b"[]"])
def test_weights_that_are_no_safetensors_are_refused(content: bytes | None) -> None:
    (G1.weights / "model.safetensors").unlink()
    if content is not None:
        (G1.weights / "model.safetensors").write_bytes(content)
    with pytest.raises(LamarckError, match="safetensors"):
        make_plan(config())


@pytest.mark.parametrize("arm", [G1, G1.control])
def test_a_curriculum_without_items_is_not_planned(arm: Generation) -> None:
    arm.curriculum.write_text("")
    with pytest.raises(LamarckError, match=f"{arm.curriculum} has no items"):
        make_plan(config())


def test_an_approval_written_by_hand_holds() -> None:
    digest = plan_digest(make_plan(config()))
    G1.approval.parent.mkdir()
    G1.approval.write_text(
        f"generation: g1\ndecision: approve\nplan: {digest}\nbudget_device_seconds: 120\n"
        f"approver: {{name: A Tester}}\ndate: {today()}\nexpires: {today()}\n"
    )
    assert check(config()).generation == "g1"


def _append(path: Path) -> Callable[[], Config]:
    def change() -> Config:
        with path.open("ab") as file:
            file.write(b"\n")
        return config()

    return change


def _flip_last_byte(path: Path) -> Callable[[], Config]:
    def change() -> Config:
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        return config()

    return change


def _easier_strategy() -> Config:
    strategy = yaml.safe_load(Path("strategy.yaml").read_text())
    Path("strategy.yaml").write_text(yaml.safe_dump(strategy | {"temperature": 0.5}))
    return config()


CHANGES = {
    "curriculum": _append(G1.curriculum),
    "parent": _flip_last_byte(G1.weights / "model.safetensors"),
    "suite": _append(Path("suite/suite.yaml")),
    "strategy": _easier_strategy,
    "recipe": lambda: config(recipe={"steps": 301}),
    "seed": lambda: config(seed=7),
    "budget": lambda: config(budget={"device_seconds": 119}),
}


@pytest.mark.parametrize("part", CHANGES)
def test_one_change_closes_the_gate(part: str) -> None:
    say_yes()
    settings = CHANGES[part]()
    sentence = refusal(settings)
    assert part in sentence
    assert "changed after the approval" in sentence


def test_the_control_arms_curriculum_is_covered_too() -> None:
    say_yes()
    _append(G1.control.curriculum)()
    assert "the curriculum of control/g1 changed" in refusal(generation=G1.control)


def test_a_wrong_digest_approves_nothing() -> None:
    with pytest.raises(LamarckError, match="nothing is approved"):
        approve(G1, "00000000", ME)
    assert not G1.approval.exists()


def test_a_child_may_not_have_more_than_its_parent() -> None:
    with pytest.raises(LamarckError, match="more than the 120 of its parent"):
        make_grandchild_plan(config(budget={"device_seconds": 121}))
    assert make_grandchild_plan(config(budget={"device_seconds": 119})).budget.parent_device_seconds == 120


def test_the_ceiling_holds_in_a_lineage_under_a_prefix() -> None:
    child = Generation(2, "search/r1/c03/")
    previous = Path("previous.json")
    write_json(previous, make_plan(config()).model_dump(mode="json") | {"generation": child.parent.name})
    with pytest.raises(LamarckError, match="search/r1/c03/g2 asks for 121 device-seconds"):
        make_grandchild_plan(config(budget={"device_seconds": 121}), previous, child=child)


@pytest.mark.parametrize("override", [float("nan"), float("inf"), -5.0, 0.0])
def test_a_budget_that_is_no_positive_number_is_no_way_round_the_ceiling(override: float) -> None:
    with pytest.raises(LamarckError, match="positive number|greater than 0|finite"):
        make_grandchild_plan(config(budget={"device_seconds": 120, "overrides": {2: override}}))


def test_leaving_out_the_parents_plan_is_no_way_round_the_ceiling() -> None:
    with pytest.raises(LamarckError, match="g2 needs the plan of its parent g1, not None"):
        make_grandchild_plan(config(), previous=None)


def test_another_lineages_plan_is_not_the_parents() -> None:
    with pytest.raises(LamarckError, match="needs the plan of its parent search/g1, not g1"):
        make_grandchild_plan(config(), child=Generation(2, "search/"))


def test_the_founder_has_no_plan() -> None:
    with pytest.raises(LamarckError, match="is the founder, which has no plan"):
        build_plan(config(), G1, G1.weights, None, G1.curriculum, G1.plan, None)


def test_a_parent_is_planned_with_its_adapter_and_the_founder_without() -> None:
    with pytest.raises(LamarckError, match="g1 is an adapter"):
        make_grandchild_plan(config(), adapter=None)
    with pytest.raises(LamarckError, match="g0 is the founder"):
        build_plan(config(), G1, G1.weights, G1.adapter, G1.curriculum, None, None)


def test_a_new_suite_is_a_new_lineage() -> None:
    _append(Path("suite/suite.yaml"))()
    with pytest.raises(LamarckError, match="the suite suite changed"):
        make_grandchild_plan(config())


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", "line 6 is not valid JSON"),
        ('{"id": "x"}', "line 6: skill"),
        ('{"id": 1}', "line 6: id"),
    ],
)
def test_a_broken_curriculum_names_the_line(line: str, sentence: str) -> None:
    with G1.curriculum.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(LamarckError, match=sentence):
        make_plan(config())


def test_an_unknown_key_in_a_curriculum_is_refused() -> None:
    rows = [json.loads(line) for line in G1.curriculum.read_text().splitlines()]
    write_jsonl(G1.curriculum, [row | {"extra": 1} for row in rows])
    with pytest.raises(LamarckError, match="line 1: extra"):
        make_plan(config())


def make_key(name: str) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", name], check=True)
    return Path(name)


def allow(key: Path, principal: str | None = ME.contact) -> None:
    public = key.with_suffix(".pub").read_text()
    Path("config").mkdir()
    Path("config/allowed_signers").write_text(f'{principal} namespaces="lamarck-approval" {public}')


def test_where_signers_are_set_an_unsigned_approval_is_refused() -> None:
    say_yes()
    allow(make_key("mine"))
    assert "is not signed" in refusal()


def test_a_valid_signature_opens_the_gate_and_one_changed_byte_closes_it() -> None:
    key = make_key("mine")
    allow(key)
    say_yes(key)
    assert check(config()).generation == "g1"
    edit_approval(note="something else")
    assert "is not A Tester's" in refusal()


def test_a_strangers_signature_is_refused() -> None:
    allow(make_key("mine"))
    with pytest.raises(LamarckError, match="is not A Tester's"):
        say_yes(make_key("strange"))
    assert list(G1.approval.parent.iterdir()) == []


@pytest.mark.parametrize("principal", ["*@example.org", '"A Tester"', "other@example.org,tester@example.org"])
def test_principals_are_what_ssh_keygen_understands(principal: str) -> None:
    key = make_key("mine")
    allow(key, principal)
    say_yes(key)
    assert check(config()).generation == "g1"


def test_a_listed_key_signs_for_nobody_else() -> None:
    key = make_key("mine")
    allow(key, "somebody@else.org")
    with pytest.raises(LamarckError, match="is not A Tester's"):
        say_yes(key)


@pytest.mark.parametrize(("namespace", "opens"), [("lamarck-approval", True), ("git", False)])
def test_a_signature_made_by_hand_is_over_the_very_bytes(namespace: str, opens: bool) -> None:
    """With the line ends of another editor; and one made for git commits is no approval."""
    key = make_key("mine")
    say_yes()
    allow(key)
    G1.approval.write_bytes(G1.approval.read_bytes().replace(b"\n", b"\r\n"))
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", namespace, G1.approval], check=True)
    assert gate_state(G1, G1.plan, G1.approval).state == ("open" if opens else "refused")


def test_a_key_that_cannot_sign_approves_nothing() -> None:
    with pytest.raises(LamarckError, match="could not sign with missing"):
        say_yes(Path("missing"))
    assert list(G1.approval.parent.iterdir()) == []


def test_a_key_that_cannot_sign_leaves_the_earlier_approval() -> None:
    key = make_key("mine")
    allow(key)
    say_yes(key)
    with pytest.raises(LamarckError, match="could not sign"):
        say_yes(Path("missing"))
    assert check(config()).generation == "g1"


def test_approving_without_a_key_where_signers_are_set_writes_nothing() -> None:
    allow(make_key("mine"))
    with pytest.raises(LamarckError, match="name your key with --key"):
        say_yes()
    assert not G1.approval.exists()


def test_a_list_of_signers_that_cannot_be_read_closes_the_gate() -> None:
    key = make_key("mine")
    allow(key)
    say_yes(key)
    Path("config/allowed_signers").unlink()
    Path("config/allowed_signers").symlink_to("nowhere")
    assert "is not A Tester's" in refusal()


def test_without_ssh_keygen_a_signed_approval_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    key = make_key("mine")
    allow(key)
    say_yes(key)
    monkeypatch.setenv("PATH", "")
    assert "ssh-keygen is not installed" in refusal()


def test_a_typed_digest_is_asked_for_and_compared() -> None:
    asked = []

    def answer(question: str) -> str:
        asked.append(question)
        return short(plan_digest(make_plan(config()))) + "\n"

    approve(G1, answer, ME)
    assert short(plan_digest(make_plan(config()))) in asked[0]
    with pytest.raises(LamarckError, match="covers its control arm"):
        approve(G1.control, answer, ME)


def test_text_of_models_is_shown_as_text() -> None:
    rows = [json.loads(line) for line in G1.curriculum.read_text().splitlines()]
    for row in rows:
        row["completion"] = "[bold]x[/bold] \x1b[31m" + "y" * 2**20
        row["id"] = item_id(row["skill"], row["prompt"], row["completion"])
    write_jsonl(G1.curriculum, rows)
    cell = {"skill": "json_mode", "difficulty": 2, "sampled": 5, "pass_rate": 1.0, "asked": 5, "kept": 5}
    card = {
        "parent": "g0", "sampled": 5, "kept": 5, "acceptance": 1.0, "replayed": 0, "dropped": {}, "cells": [cell],
        "diversity": {"distinct_1": 0.5, "distinct_2": 0.5}, "warnings": [], "record": {"device_seconds": 1.0},
    }  # fmt: skip
    write_json(G1.card, card)
    write_plan(config())
    console = Console(record=True, width=300)
    review.show(G1, console)
    shown = console.export_text()
    assert shown.count("[bold]x[/bold]") == 5
    assert "5 of 5 items" in shown
    assert "\x1b[31m" not in shown
    assert len(shown) < 20_000


def test_a_long_problem_does_not_hide_the_answer() -> None:
    rows = [json.loads(line) for line in G1.curriculum.read_text().splitlines()]
    item = Item.model_validate(rows[0])
    line = review._line(item.model_copy(update={"prompt": "p" * 5000, "completion": "the answer"}))
    assert line.endswith("… the answer")
    assert len(line) < 150
