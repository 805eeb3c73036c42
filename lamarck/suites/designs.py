"""What the suites that are made here ask: which cells, how many items, and who is taught what. Light."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from lamarck.config.tiny import SkillShare, TinyFounder

# Well-formed or well-named is what an answer can be that knows nothing: only what is right earns points.
POINTS = {
    "trace": {"form": 0, "half": 1, "whole": 1},
    "record": {"parses": 0, "keys": 0, "values": 1},
    "writing": {"parses": 0, "asked": 0, "right": 0, "new": 1},
}


@dataclass(frozen=True)
class Lessons:
    """The teaching tier: a student knows the first difficulties of a skill, and a teacher must show it the others."""

    skill: str = "json_mode"
    knows: tuple[float, ...] = (3, 2, 1)  # relative weights of difficulty 1, 2, ... in what the student was raised on
    writes: tuple[int, ...] = (1, 2, 3, 4, 5)
    asks: tuple[int, ...] = (4, 5)
    items: int = 100  # that the student is asked, in all
    samples: int = 300  # problems that a model writes of each difficulty
    epochs: int = 4
    steps: int = 600  # of the student's pretraining


@dataclass(frozen=True)
class Roles:
    """Which skill is examined where; every skill is also written."""

    sanity: str = "arithmetic"
    trace: str = "list_ops"
    record: str = "json_mode"


@dataclass(frozen=True)
class TextLimits:
    """Longest texts of a model, in its tokens."""

    answer: int | None = None  # None: as long as the task's longest answer needs, in words
    writing: int = 112  # a problem with its answer


@dataclass(frozen=True)
class Design:
    """`cells`: skill -> the difficulties that are asked, where their space allows it, and written."""

    cells: Mapping[str, Sequence[int]]
    items: int = 200  # per sanity and ladder task: a standard error of at most 3.5 points a task, below 1 over a tier
    samples: int = 50  # problems that a model writes of each cell
    lines: int = 300  # of the corpus
    points: Mapping[str, Mapping[str, float]] = field(default_factory=lambda: POINTS)
    lessons: Lessons = field(default_factory=Lessons)
    roles: Roles = field(default_factory=Roles)
    writing_weight: float = 1.0  # of what is written, beside what is traced, and beside the records
    limits: TextLimits = field(default_factory=TextLimits)
    ships: bool = False  # whether the student's weights lie in the suite
    exam: bool = False

    @property
    def world(self) -> TinyFounder:
        """Every cell alike, for the corpus of a suite that asks skills in English."""
        shares = {
            name: SkillShare(share=1, weights=tuple(float(each in chosen) for each in range(1, max(chosen) + 1)))
            for name, chosen in self.cells.items()
        }
        return TinyFounder(kind="tiny", skills=shares)


SMALL = Roles(sanity="plain_sums", trace="plain_steps", record="plain_record")
SMALL_POINTS = {**POINTS, "trace": {"form": 0, "half": 1, "whole": 3}}
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
    # For chat models: few questions, for each costs a model of a hundred million parameters a tenth of a second.
    "small-v1": Design(
        cells={"plain_record": (2, 4, 6), "plain_steps": (2, 4, 6), "plain_sums": (2, 4, 6)},
        items=60,
        samples=24,
        lines=100,
        points=SMALL_POINTS,
        lessons=Lessons(skill="plain_record", writes=(3, 4), asks=(4,), samples=90, epochs=20),
        roles=SMALL,
        limits=TextLimits(answer=64, writing=144),
        ships=True,
    ),
    "small-exam-v1": Design(
        cells={"plain_record": (3, 5), "plain_steps": (3, 5), "plain_sums": (3, 5)},
        items=60,
        samples=24,
        lines=100,
        points=SMALL_POINTS,
        lessons=Lessons(skill="plain_record", knows=(3, 2), writes=(2, 3), asks=(3,), samples=90, epochs=20),
        roles=SMALL,
        limits=TextLimits(answer=64, writing=144),
        ships=True,
        exam=True,
    ),
}
# The same questions, under scoring that asks for work: what is written weighs less there than what is answered, for
# whoever knows a part of a skill writes right problems without end.
DESIGNS |= {
    new: replace(DESIGNS[old], writing_weight=0.5)
    for new, old in {
        "tiny-v3": "tiny-v2",
        "tiny-exam-v2": "tiny-exam-v1",
        "small-v2": "small-v1",
        "small-exam-v2": "small-exam-v1",
    }.items()
}
# Of records of three fields there are 27 forms, and one of them by heart answers six questions in a hundred: this
# student, too, is asked four.
DESIGNS["tiny-exam-v2"] = replace(DESIGNS["tiny-exam-v2"], lessons=Lessons(writes=(1, 2, 3, 4), asks=(4,), items=200))
