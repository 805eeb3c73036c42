"""Signed approvals: where config/allowed_signers exists, an approval counts only with a valid ssh signature. Light."""

import os
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import lamarck
from lamarck.errors import LamarckError
from lamarck.files import read_regular
from lamarck.gate.approval import Approver

# Fixed on purpose: a setting could point at another file, and the gate must not be a setting.
ALLOWED_SIGNERS = Path("config/allowed_signers")
NAMESPACE = "lamarck-approval"


def signature_of(approval: Path) -> Path:
    return approval.with_name(approval.name + ".sig")


def signer_lists(*files: Path) -> list[Path]:
    """Every list of signers in force for a run that these files belong to: an approval must satisfy all of them.

    A list binds what lies in its checkout, from whichever directory a command is started, and whatever this code's own
    checkout is used for. So it is looked for in every directory above each of `files`, as the path spells them, and
    above the code. Another working directory, or a copy of the approval somewhere else, can add lists but leave out
    none. A list that is a link to nowhere counts: one that cannot be read must close the gate, not open it.
    """
    spelt = [Path(os.path.abspath(file)) for file in (*files, Path(lamarck.__file__).parent)]
    directories = dict.fromkeys(directory for path in spelt for directory in path.parents)
    return [directory / ALLOWED_SIGNERS for directory in directories if os.path.lexists(directory / ALLOWED_SIGNERS)]


def check_signature(
    content: bytes, signature: bytes | None, approver: Approver, lists: Iterable[Path], source: Path
) -> None:
    """Errors: LamarckError unless `signature` is the approver's over exactly these bytes, by each of the lists.

    `content` are the bytes that were parsed; `source` is the file that they are from, for the sentence. Without a list
    signatures are not asked for.
    """
    for allowed in lists:
        if signature is None:
            raise LamarckError(
                f"{source} is not signed, and {_spelt(allowed)} exists: sign it with "
                f"`ssh-keygen -Y sign -f KEY -n {NAMESPACE} {source}`"
            )
        if not _is_signed(content, signature, approver, read_regular(allowed)):
            raise LamarckError(
                f"the signature of {source} is not {approver.name}'s over these bytes, as {_spelt(allowed)} lists it"
            )


def _is_signed(content: bytes, signature: bytes, approver: Approver, allowed: bytes) -> bool:
    """ssh-keygen reads signature and list by path: it gets copies of the bytes that were read here."""
    with tempfile.TemporaryDirectory() as directory:
        files = {"signature": signature, "allowed_signers": allowed}
        for name, given in files.items():
            (Path(directory) / name).write_bytes(given)
        signature_file, list_file = (str(Path(directory) / name) for name in files)
        # ssh-keygen itself matches the approver with the principals listed: they may be patterns such as *@example.org.
        return any(
            _ssh_keygen(
                *("verify", "-f", list_file, "-I", principal, "-n", NAMESPACE, "-s", signature_file), signed=content
            ).returncode
            == 0
            for principal in filter(None, (approver.contact, approver.name))
        )


def _spelt(path: Path) -> Path:
    """As seen from the working directory, where it lies below that."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


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
