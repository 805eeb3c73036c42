"""What a curriculum is made of. Light."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from lamarck.curriculum.anchor import DATA
from lamarck.curriculum.item import Item


@dataclass(frozen=True)
class Parts:
    """Each item stands in one of them."""

    own: list[Item] = field(default_factory=list)  # problems that the child's parent wrote
    replayed: list[Item] = field(default_factory=list)  # problems of earlier generations
    anchors: list[Item] = field(default_factory=list)  # problems from the founder's own data
    to_write: list[Item] = field(default_factory=list)  # some of these once more, as a teacher writes them


def parts(items: Iterable[Item], parent_digest: str) -> Parts:
    """`items` of one curriculum, whose parent's model has that digest."""
    found = Parts()
    for item in items:
        if item.task == "write":
            found.to_write.append(item)
        elif item.teacher.generation == DATA:
            found.anchors.append(item)
        elif item.teacher.digest == parent_digest:
            found.own.append(item)
        else:
            found.replayed.append(item)
    return found
