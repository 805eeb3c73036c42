"""What the tiny world's suites ask: which cells, how many items, and who is taught what. Light."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Lessons:
    """The teaching tier: a student knows the first difficulties of a skill, and a teacher must show it the others."""

    skill: str = "json_mode"
    knows: tuple[float, ...] = (3, 2, 1)  # relative weights of difficulty 1, 2, ... in what the student was raised on
    writes: tuple[int, ...] = (1, 2, 3, 4, 5)
    asks: tuple[int, ...] = (4, 5)
    steps: int = 600  # of the student's pretraining


@dataclass(frozen=True)
class Design:
    """`cells`: skill -> the difficulties that are asked, where their space allows it, and written."""

    cells: Mapping[str, Sequence[int]]
    items: int = 200  # per sanity and ladder task: a standard error of at most 3.5 points a task, below 1 over a tier
    samples: int = 50  # problems that a model writes of each cell
    lessons: Lessons = field(default_factory=Lessons)
    ships: bool = False  # whether the student's weights lie in the suite
    exam: bool = False


# One takes the even cells and the other the odd ones: what is selected on the first has never met the second.
DESIGNS = {
    "tiny-v2": Design(
        cells={"json_mode": (2, 4, 6), "list_ops": (2, 4, 6, 8), "arithmetic": (2, 4, 6)},
        items=300,
        samples=100,
        lessons=Lessons(writes=(1, 2, 3, 4), asks=(4,)),
        ships=True,
    ),
    "tiny-exam-v1": Design(
        cells={"json_mode": (3, 5, 7), "list_ops": (3, 5, 7), "arithmetic": (3, 5)},
        items=300,
        samples=100,
        lessons=Lessons(knows=(3, 2), writes=(1, 2, 3), asks=(3,)),
        ships=True,
        exam=True,
    ),
}
