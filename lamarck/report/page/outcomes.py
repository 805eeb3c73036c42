"""What every generation answered: the rows of its samples.jsonl, read once however many parts of the page need them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lamarck.lineage.contents import read_samples
from lamarck.lineage.generation import Generation


class Key(NamedTuple):
    """Two rows are of the same item when these agree."""

    task: str
    number: int
    item: str


class Outcomes:
    """Errors of every method: LamarckError where the file is not what it should be."""

    def __init__(self) -> None:
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._texts: dict[Key, tuple[str, str]] = {}

    def of(self, generation: Generation) -> Sequence[Mapping[str, Any]]:
        """task, index, item, score, answer, and `missed`: the rungs that an answer did not climb."""
        if generation.name not in self._rows:
            rows = []
            for row in read_samples(generation.samples):
                # Prompt and target are the same for everybody: fifty generations fit into memory once.
                self._texts.setdefault(key_of(row), (row["prompt"], row["target"]))
                missed = [rung for rung, climbed in row.get("rungs", {}).items() if not climbed]
                kept = {name: row[name] for name in ("task", "index", "item", "score", "answer")}
                rows.append(kept | {"missed": ", ".join(missed)})
            self._rows[generation.name] = rows
        return self._rows[generation.name]

    def texts(self, key: Key) -> tuple[str, str]:
        """Prompt and target of an item that some generation was asked."""
        return self._texts[key]


def key_of(row: Mapping[str, Any]) -> Key:
    return Key(row["task"], row["index"], row["item"])
