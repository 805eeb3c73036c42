"""Signatures, by the real ssh-keygen."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lamarck.errors import LamarckError
from lamarck.gate.approval import Approval, today, write_approval
from lamarck.gate.check import HumanAnswer, check_gate, gate_state
from lamarck.gate.planned import plan_digest
from lamarck.gate.signature import sign
from tests.gate.project import G1, ME, ROOT, check, config, edit_approval, inputs, make_plan, refusal, say_yes


def make_key(name: str) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", name], check=True)
    return Path(name)


def allow(key: Path, principal: str | None = ME.contact) -> None:
    public = key.with_suffix(".pub").read_text()
    Path("config/allowed_signers").write_text(f'{principal} namespaces="lamarck-approval" {public}')


def test_where_signers_are_set_an_unsigned_approval_is_refused() -> None:
    say_yes()
    allow(make_key("mine"))
    assert "is not signed" in refusal()


def test_a_valid_signature_opens_the_gate_and_one_changed_byte_closes_it() -> None:
    key = make_key("mine")
    allow(key)
    say_yes(key)
    assert check(config()).plan.generation == "g1"
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
    assert check(config()).plan.generation == "g1"


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
    assert check(config()).plan.generation == "g1"


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
    assert "config/allowed_signers does not exist" in refusal()


def test_without_ssh_keygen_a_signed_approval_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    key = make_key("mine")
    allow(key)
    say_yes(key)
    monkeypatch.setenv("PATH", "")
    assert "ssh-keygen is not installed" in refusal()


def test_another_working_directory_does_not_switch_signatures_off(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = make_key("mine")
    say_yes()
    allow(key)
    plan, approval = G1.plan.absolute(), G1.approval.absolute()
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for directory in (elsewhere, Path("results"), Path("approvals")):
        monkeypatch.chdir(directory)
        assert "is not signed" in gate_state(G1, plan, approval).sentence
        relative = Path(os.path.relpath(plan)), Path(os.path.relpath(approval))
        assert "is not signed" in gate_state(G1, *relative).sentence
        monkeypatch.chdir(plan.parents[2])


def test_an_approval_that_lies_elsewhere_is_bound_by_the_plans_checkout(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Without a list beside it, the copy of an unsigned approval opens nothing for the plan of this checkout."""
    allow(make_key("mine"))
    G1.approval.parent.mkdir()
    copy = tmp_path_factory.mktemp("elsewhere") / "approvals" / "g1.ok"
    approval = Approval(
        **{"generation": "g1", "decision": "approve", "plan": plan_digest(make_plan(config()))},
        **{"budget_device_seconds": 120, "approver": ME, "date": today(), "expires": today()},
    )
    write_approval(copy, approval)
    with pytest.raises(LamarckError, match="is not signed, and config/allowed_signers exists"):
        check_gate(config(), G1, G1.plan, HumanAnswer(copy), inputs(config()), None)


def test_a_list_nearer_to_the_approval_replaces_none(monkeypatch: pytest.MonkeyPatch) -> None:
    mine, strange = make_key("mine"), make_key("strange")
    say_yes()
    allow(mine)
    nearer = Path("approvals/config/allowed_signers")
    nearer.parent.mkdir()
    nearer.write_text(f"{ME.contact} {strange.with_suffix('.pub').read_text()}")
    sign(G1.approval, strange)
    assert "as config/allowed_signers lists it" in gate_state(G1, G1.plan, G1.approval).sentence


def test_the_list_of_the_codes_own_checkout_binds_every_project(tmp_path: Path) -> None:
    code = tmp_path / "checkout"
    shutil.copytree(ROOT / "lamarck", code / "lamarck", ignore=shutil.ignore_patterns("__pycache__"))
    command = ("-c", "from lamarck.gate.signature import signer_lists; print(*signer_lists())")

    def lists() -> str:
        environment = {"PYTHONPATH": str(code), "PATH": os.environ["PATH"]}
        done = subprocess.run(
            [sys.executable, *command], cwd="/", env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    allowed = code / "config/allowed_signers"
    allowed.parent.mkdir()
    before = lists()
    allowed.touch()
    assert lists() == f"{allowed} {before}".strip()
