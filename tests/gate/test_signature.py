"""Signatures, by the real ssh-keygen."""

import subprocess
from pathlib import Path

import pytest

from lamarck.errors import LamarckError
from lamarck.gate.check import gate_state
from tests.gate.project import G1, ME, check, config, edit_approval, refusal, say_yes


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
