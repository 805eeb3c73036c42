"""Signed approvals: where config/allowed_signers exists, an approval counts only with a valid ssh signature. Light."""

import os
import subprocess
from pathlib import Path

from lamarck.errors import LamarckError
from lamarck.gate.approval import Approver

# Fixed on purpose: a setting could point at another file, and the gate must not be a setting.
ALLOWED_SIGNERS = Path("config/allowed_signers")
NAMESPACE = "lamarck-approval"


def signatures_are_required() -> bool:
    """Also where the list is a link to nowhere: a list that cannot be read must close the gate, not open it."""
    return os.path.lexists(ALLOWED_SIGNERS)


def signature_of(approval: Path) -> Path:
    return approval.with_name(approval.name + ".sig")


def check_signature(path: Path, approver: Approver) -> None:
    """Errors: LamarckError unless the file is signed by its approver, as `config/allowed_signers` lists them.

    Without that file signatures are not asked for.
    """
    if not signatures_are_required():
        return
    signature = signature_of(path)
    if not signature.exists():
        raise LamarckError(
            f"{path} is not signed, and {ALLOWED_SIGNERS} exists: sign it with "
            f"`ssh-keygen -Y sign -f KEY -n {NAMESPACE} {path}`"
        )
    # ssh-keygen itself matches the approver with the principals listed: they may be patterns such as *@example.org.
    for principal in filter(None, (approver.contact, approver.name)):
        checked = _ssh_keygen(
            *("verify", "-f", str(ALLOWED_SIGNERS), "-I", principal, "-n", NAMESPACE, "-s", str(signature)),
            signed=path.read_bytes(),
        )
        if checked.returncode == 0:
            return
    raise LamarckError(
        f"the signature of {path} is not {approver.name}'s over these bytes, as {ALLOWED_SIGNERS} lists it"
    )


def sign(path: Path, key: Path) -> None:
    """Write the signature of `path` beside it. Errors: LamarckError with what ssh-keygen said."""
    signature_of(path).unlink(missing_ok=True)
    done = _ssh_keygen("sign", "-f", str(key), "-n", NAMESPACE, str(path))
    if done.returncode:
        raise LamarckError(f"ssh-keygen could not sign with {key}: {done.stderr.decode(errors='replace').strip()}")


def _ssh_keygen(action: str, *arguments: str, signed: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """A signature is over bytes: nothing here may decode them, or turn their line ends into others."""
    try:
        return subprocess.run(["ssh-keygen", "-Y", action, *arguments], input=signed, capture_output=True)
    except FileNotFoundError as error:
        raise LamarckError(
            "ssh-keygen is not installed, and signed approvals need it (package openssh-client)"
        ) from error
