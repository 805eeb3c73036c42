"""Seals: whether a file that a killed run left was made by this checkout, or was brought from elsewhere. Light.

The secret of a checkout is in .lamarck/secret, for its owner alone; it is committed, published and sent nowhere. What
lies at a path is sealed with a key derived from the secret and the path. A job on a rented pod gets such keys for the
paths that it goes on from, and no others: with them it can neither find the secret nor seal for another job.

    python -m lamarck.seal results/g1/checkpoint approvals/spent/g1      # prints these keys, for the executor
"""

import hmac
import json
import os
import secrets
import sys
from pathlib import Path

from lamarck.errors import LamarckError, exit_with_sentence
from lamarck.files import read_regular

SECRET = Path(".lamarck/secret")
SECRET_BYTES = 32
# Set on a pod by its controller: JSON, path -> key in hexadecimal.
POD_KEYS = "RUNPOD_RESUME_KEYS"


def key_of(path: Path) -> bytes:
    """The key for what lies at `path`. Errors: LamarckError where the secret cannot be read, or others can read it."""
    place = os.path.relpath(path)
    given = pod_keys().get(place)
    return bytes.fromhex(given or seal(_secret(), place.encode()))


def pod_keys() -> dict[str, str]:
    """What the controller gave to this job; empty on the machine of the checkout itself."""
    keys: dict[str, str] = json.loads(os.environ.get(POD_KEYS, "{}"))
    return keys


def seal(key: bytes, *parts: bytes | memoryview) -> str:
    """HMAC-SHA256 (RFC 2104) over `parts`, each with its length before it, in hexadecimal."""
    made = hmac.new(key, digestmod="sha256")
    for part in parts:
        made.update(len(part).to_bytes(8, "big"))
        made.update(part)
    return made.hexdigest()


def is_sealed(said: object, key: bytes, *parts: bytes | memoryview) -> bool:
    """Whether `said` is the seal of `parts`."""
    return isinstance(said, str) and hmac.compare_digest(said.encode(), seal(key, *parts).encode())


def _secret() -> bytes:
    """Made at its first use."""
    if not SECRET.exists():
        partial = SECRET.with_name(f".{SECRET.name}.{os.getpid()}.partial")
        try:
            SECRET.parent.mkdir(parents=True, exist_ok=True)
            partial.unlink(missing_ok=True)
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "w") as file:
                file.write(secrets.token_hex(SECRET_BYTES))
                file.flush()
                os.fsync(file.fileno())
            os.link(partial, SECRET)  # whole, and never in the place of one that another process made meanwhile
        except FileExistsError:
            pass
        except OSError as error:
            raise LamarckError(f"cannot write {SECRET}: {error.strerror}") from error
        finally:
            partial.unlink(missing_ok=True)
    if SECRET.stat().st_mode & 0o077:
        raise LamarckError(f"{SECRET} can be read or written by others: `chmod 600 {SECRET}`")
    content = read_regular(SECRET)
    if len(content) != 2 * SECRET_BYTES:
        raise LamarckError(
            f"{SECRET} is damaged: restore it, or delete it and then what it sealed, which is named when it is met"
        )
    return content


def main() -> None:
    print(json.dumps({os.path.relpath(path): key_of(Path(path)).hex() for path in sys.argv[1:]}))


if __name__ == "__main__":
    exit_with_sentence(main)
