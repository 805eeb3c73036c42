"""The ledger of a night: a line an event, appended and synced before anything follows from it. All else is derived."""

import json
from pathlib import Path

from pydantic import ValidationError

from lamarck.errors import LamarckError
from lamarck.files import append_line, whole_lines
from lamarck.ratchet.night import LINE, DecidedLine, Proposed, Ran


def read_ledger(path: Path) -> list[Ran | Proposed | DecidedLine]:
    """Its lines, without a last one that a kill left unfinished. Errors: LamarckError that names a broken line."""
    lines = []
    for number, text in enumerate(whole_lines(path), start=1):
        try:
            lines.append(LINE.validate_json(text))
        except ValidationError as error:
            raise LamarckError(
                f"{path} line {number} is not a line of a ledger ({error.errors()[0]['msg']}): restore it"
            ) from error
    return lines


def append(path: Path, line: Ran | Proposed | DecidedLine) -> None:
    """Errors: LamarckError where it cannot be written, as on a full disk: then nothing of it counts."""
    append_line(path, json.dumps(line.model_dump(mode="json"), ensure_ascii=False, allow_nan=False))
