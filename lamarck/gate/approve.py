"""Write down a human's yes. The human proves to have seen the plan by typing back its short digest. Light."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from lamarck.errors import LamarckError
from lamarck.files import read_regular
from lamarck.gate.approval import Approval, Approver, make_approver, today, write_approval
from lamarck.gate.check import Asked, asked_of, check_approval
from lamarck.gate.plan import AnyChildsPlan, read_childs_plan
from lamarck.gate.planned import plan_digest
from lamarck.gate.signature import (
    NAMESPACE,
    check_signature,
    sign,
    signature_of,
    signer_lists,
)
from lamarck.lineage.digest import short
from lamarck.lineage.generation import Generation

DAYS_VALID = 30


def approve(
    generation: Generation,
    typed_digest: str | Callable[[str], str],
    approver: Approver,
    note: str = "",
    key: Path | None = None,
    shown: AnyChildsPlan | None = None,
) -> Path:
    """Write approvals/gN.ok for the plan as it is now: it names the digest of the bytes that were shown.

    `typed_digest` is the short digest, or a function that shows a question and returns the answer. `shown` is the plan
    that this human has just read; without it the question says what the run is, from the bytes whose digest is written.
    Errors: LamarckError, and nothing written, when there is no plan or the digest is not the plan's, when the plan is
    not the one that was shown, or when the key does not sign, or not for this approver.
    """
    if generation.is_control:
        raise LamarckError(f"{generation.planned_by.name}'s approval covers its control arm: approve that")
    if step := generation.campaign_step:
        raise LamarckError(
            f"{generation.name} is covered by its campaign's approval: `lamarck campaign run {step.file}`"
        )
    plan = read_childs_plan(generation.plan)
    asked = asked_of(generation.name, plan)
    if shown is not None and plan_digest(shown) != asked.digest:
        raise LamarckError(
            f"{generation.plan} changed while you read it: read `lamarck review {generation.name}` again"
        )
    typed = typed_digest if isinstance(typed_digest, str) else typed_digest(_question(plan, shown is None))
    answer(asked, typed, generation.plan, generation.approval, approver, note, key)
    return generation.approval


def answer(
    asked: Asked, typed_digest: str, plan: Path, path: Path, approver: Approver, note: str, key: Path | None
) -> None:
    """Write the approval of what was asked to `path`, signed where there is a key.

    Errors: LamarckError, and nothing written, when the digest typed is not that of the plan, or when the key does not
    sign, or not for this approver.
    """
    if typed_digest.strip() not in (short(asked.digest), asked.digest):
        raise LamarckError(f"{typed_digest.strip()!r} is not the digest of {plan}: nothing is approved")
    lists = signer_lists(path)
    if lists and key is None:
        raise LamarckError(f"{lists[0]} asks for signed approvals: name your key with --key (namespace {NAMESPACE})")
    approval = Approval(
        generation=asked.name,
        decision="approve",
        plan=asked.digest,
        budget_device_seconds=asked.device_seconds,
        approver=approver,
        date=today(),
        expires=today() + timedelta(days=DAYS_VALID),
        note=note,
    )
    if key is None:
        write_approval(path, approval)
    else:
        _write_signed(path, approval, key, lists)


def answer_once(
    asked: Asked,
    plan: Path,
    path: Path,
    ask: Callable[[], str],
    approver: Callable[[], Approver],
    note: str,
    key: Path | None,
) -> None:
    """Go on under the approval at `path`, or write the one that a human gives now: `ask` shows what is asked, and
    returns the short digest that was typed. `plan` is what a wrong digest is said not to be of. Errors: as `answer`."""
    try:
        check_approval(asked, path)
    except LamarckError:
        answer(asked, ask(), plan, path, approver(), note, key)


def _question(plan: AnyChildsPlan, with_run: bool) -> str:
    from lamarck.gate.review import run_lines  # it draws tables: seconds that a typed digest need not wait for

    run = "\n".join([*run_lines(plan), ""]) if with_run else ""
    return f"{run}To approve, type the plan's short digest ({short(plan_digest(plan))}): "


def _write_signed(path: Path, approval: Approval, key: Path, lists: Sequence[Path]) -> None:
    """Sign a draft, and only then put it in place: a refused key or Ctrl-C at its passphrase must approve nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".draft-", dir=path.parent) as directory:
        draft = Path(directory) / path.name
        write_approval(draft, approval)
        sign(draft, key)
        signature = read_regular(signature_of(draft))
        check_signature(read_regular(draft), signature, approval.approver, lists, path)
        # The signature first: beside an older approval it is refused, whereas an approval alone might hold.
        os.replace(signature_of(draft), signature_of(path))
        os.replace(draft, path)


def default_approver() -> Approver | None:
    """Who git says is sitting here; None where git does not know."""
    name, email = (_git_config(f"user.{field}") for field in ("name", "email"))
    return make_approver(name, email) if name else None


def _git_config(key: str) -> str | None:
    try:
        done = subprocess.run(["git", "config", key], capture_output=True)
    except FileNotFoundError:
        return None
    try:
        return done.stdout.decode().strip() or None
    except UnicodeDecodeError:
        raise LamarckError(f"git's {key} is not UTF-8 text: set it again, or give --by NAME") from None
