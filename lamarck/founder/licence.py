"""What the licences of a merge's models say about merging them, as far as their names tell. Light."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lamarck import strict_yaml
from lamarck.errors import LamarckError
from lamarck.lineage.contents import read_source
from lamarck.lineage.generation import WEIGHTS_RECORD

CARD = "README.md"


def licence_of(directory: Path) -> str | None:
    """The licence that a model directory names: in the record of a founder that this project took in, else in its card;
    None where in neither. Errors: LamarckError for a damaged record."""
    record = directory / WEIGHTS_RECORD
    source = read_source(record) if record.is_file() else None
    if source and source.license:
        return source.license
    licence = _front(directory / CARD).get("license")
    if isinstance(licence, str) and licence:
        return licence
    return "apache-2.0" if source and source.kind == "tiny" else None


def forbids(name: str, licence: str | None) -> str | None:
    """One sentence about what a model's licence does not allow with a merge of it; None where that is not known."""
    terms = (licence or "").lower().replace("_", "-").split("-")
    if "nd" in terms:
        return f"{name} is under {licence}, which forbids derivatives: nothing that is made of it may be passed on"
    if "nc" in terms:
        return f"{name} is under {licence}: neither it nor what is made of it may be used commercially"
    return None


def common_licence(licences: Iterable[str | None]) -> str | None:
    """The one licence of all; None where they differ, or one is not known."""
    found = set(licences)
    return found.pop() if len(found) == 1 else None


def _front(path: Path) -> dict[str, Any]:
    """The YAML at the head of a model card; what cannot be read says nothing."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    head, fence, _ = text.removeprefix("---\n").partition("\n---")
    if not text.startswith("---\n") or not fence:
        return {}
    try:
        content = strict_yaml.loads(head.encode(), str(path))
    except LamarckError:
        return {}
    return content if isinstance(content, dict) else {}
