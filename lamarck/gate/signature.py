"""Signed approvals: where config/allowed_signers exists, an approval counts only with a valid ssh signature. Light."""

import subprocess
from pathlib import Path

from lamarck.errors import LamarckError
from lamarck.gate.approval import Approver

# Fixed on purpose: a setting could point at another file, and the gate must not be a setting.
ALLOWED_SIGNERS = Path("config/allowed_signers")
NAMESPACE = "lamarck-approval"


def signature_of(approval: Path) -> Path:
    return approval.with_name(approval.name + ".sig")


def check_signature(path: Path, approver: Approver) -> None:
    """Errors: LamarckError unless the file is signed by its approver, as `config/allowed_signers` lists them.

    Without that file signatures are not asked for.
    """
    if not ALLOWED_SIGNERS.exists():
        return
    signature = signature_of(path)
    if not signature.exists():
        raise LamarckError(
            f"{path} is not signed, and {ALLOWED_SIGNERS} exists: sign it with "
            f"`ssh-keygen -Y sign -f KEY -n {NAMESPACE} {path}`"
        )
    found = _ssh_keygen("find-principals", "-f", str(ALLOWED_SIGNERS), "-s", str(signature))
    principals = found.stdout.split() if found.returncode == 0 else []
    known = [principal for principal in principals if principal in (approver.name, approver.contact)]
    for principal in known:
        checked = _ssh_keygen(
            *("verify", "-f", str(ALLOWED_SIGNERS), "-I", principal, "-n", NAMESPACE, "-s", str(signature)),
            signed=path,
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
        raise LamarckError(f"ssh-keygen could not sign {path}: {done.stderr.strip()}")


def _ssh_keygen(action: str, *arguments: str, signed: Path | None = None) -> subprocess.CompletedProcess[str]:
    content = signed.read_text(encoding="utf-8") if signed else ""
    try:
        return subprocess.run(["ssh-keygen", "-Y", action, *arguments], input=content, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise LamarckError(
            "ssh-keygen is not installed, and signed approvals need it (package openssh-client)"
        ) from error
