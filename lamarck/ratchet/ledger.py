"""The ledger of a night: a line an event, appended and synced before anything follows from it. All else is derived."""

import json
import os
from pathlib import Path

from pydantic import ValidationError

from lamarck.errors import LamarckError
from lamarck.files import read_regular
from lamarck.ratchet.night import LINE, Closed, Proposed, Ran


def read_ledger(path: Path) -> list[Ran | Proposed | Closed]:
    """Its lines, without a last one that a kill left unfinished. Errors: LamarckError that names a broken line."""
    if not os.path.lexists(path):
        return []
    lines = []
    for number, text in enumerate(read_regular(path).split(b"\n")[:-1], start=1):
        try:
            lines.append(LINE.validate_json(text))
        except ValidationError as error:
            raise LamarckError(
                f"{path} line {number} is not a line of a ledger ({error.errors()[0]['msg']}): restore it"
            ) from error
    return lines


def append(path: Path, line: Ran | Proposed | Closed) -> None:
    """Errors: LamarckError where it cannot be written, as on a full disk: then nothing of it counts."""
    text = json.dumps(line.model_dump(mode="json"), ensure_ascii=False, allow_nan=False) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Unbuffered: what could not be written is not tried again when the file is closed.
        with path.open("ab+", buffering=0) as file:
            file.seek(0)
            whole = _whole(file.read())
            file.truncate(whole)
            try:
                left = text.encode()
                while left:
                    left = left[file.write(left) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(whole)
                raise
    except OSError as error:
        raise LamarckError(f"cannot write {path}: {error.strerror}; run it again to go on") from error


def _whole(content: bytes) -> int:
    """Bytes up to the end of the last line that is whole."""
    return content.rfind(b"\n") + 1
