"""A generation as data: its lineage, its number, its parents, and where its files lie. Light.

A lineage is a founder with the generations raised from it. The empty id is the main one; `control`, `cross` and
`search/NAME/r1/c03` are others, and a control arm is the lineage `ID/control` of the one that it controls. A lineage
that is not the plain chain from the main founder says so in `results/ID/lineage.yaml`.
"""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lamarck import strict_yaml
from lamarck.config import FORMS, Form
from lamarck.config.crossing import AVERAGE, Crossing
from lamarck.errors import LamarckError

CONTROL = "control"
CAMPAIGNS = "campaigns"
SEARCHES = "search"
RATCHETS = "ratchet"
FOUNDERS = "founders"  # of campaigns: lineages that are nothing but their g0, each named by what decides it
RESULTS = Path("results")
APPROVALS = Path("approvals")
WEIGHTS_RECORD = "source.json"
TRAINING_RECORD = "training.json"  # of a child, in whatever form
STUDENT = Path("results/g0/student")  # whom every generation teaches in the third tier of a suite that ships none
SHIPPED_STUDENT = "student"  # the folder of a suite whose student lies in it
ID = r"(?:[\w-]+(?:/[\w-]+)*)?"


class Described(BaseModel):
    """The content of results/ID/lineage.yaml: what makes this lineage another than the plain chain."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    founder: str = Field("", pattern=f"^{ID}$", description="Id of the lineage whose g0 it starts from.")
    parents: dict[int, tuple[str, ...]] = Field(
        {},
        description="Number of a generation -> the one or two generations that it is made from. The lowest number "
        "is where the lineage begins.",
    )
    crossings: dict[int, Crossing] = Field({}, description="Number of a child of two parents -> how they are crossed.")
    curricula: dict[int, str] = Field(
        {}, description="Number of a generation -> that of another lineage for which its very curriculum is written."
    )
    overlay: dict[str, Any] = Field({}, description="Keys of the configuration that are others for this lineage.")
    approved_at_once: bool = Field(
        False, description="Of a campaign's lineage: one approval covers all of its steps, not each step its own."
    )
    search: str = Field(
        "",
        pattern=r"^[\w-]*$|^ratchet/[\w-]+\.[\w-]+$",
        description="The search whose one approval covers the campaign and its other rounds; or the ratchet's night, "
        "as ratchet/NAME.NIGHT.",
    )


PLAIN = Described()  # of a lineage that has no such file


@dataclass(frozen=True)
class Generation:
    """gN of a lineage. Every path is relative to the project's root.

    A control arm shares the plan and the approval of the lineage it controls: one yes covers both runs.
    """

    number: int
    lineage: str = ""

    @property
    def prefix(self) -> str:
        """The lineage's id as it stands before `gN` in names and paths."""
        return f"{self.lineage}/" if self.lineage else ""

    @property
    def name(self) -> str:
        return f"{self.prefix}g{self.number}"

    @property
    def directory(self) -> Path:
        return RESULTS / self.name

    @property
    def is_control(self) -> bool:
        return self.lineage.rsplit("/", 1)[-1] == CONTROL

    @property
    def founder(self) -> "Generation":
        """The g0 that its lineage starts from."""
        return Generation(0, described(self.planned_by.lineage).founder)

    @property
    def parents(self) -> tuple["Generation", ...]:
        """The one or two generations that it is made from. Errors: LamarckError for a founder."""
        if self.number == 0:
            raise LamarckError(f"{self.name} is a founder: it has no parent")
        named = described(self.planned_by.lineage).parents.get(self.number)
        if named:
            return tuple(parse_generation(name) for name in named)
        return (Generation(self.number - 1, self.lineage) if self.number > 1 else self.founder,)

    @property
    def parent(self) -> "Generation":
        """The first of its parents: the teacher, where it has a curriculum."""
        return self.parents[0]

    @property
    def is_crossed(self) -> bool:
        """Whether it is made of two parents, without a curriculum and without training."""
        return self.number > 0 and len(self.parents) > 1

    @property
    def crossing(self) -> Crossing:
        """How its two parents are crossed; its control arm is their plain average."""
        if self.is_control:
            return AVERAGE
        return described(self.lineage).crossings.get(self.number, Crossing())

    @property
    def line(self) -> list["Generation"]:
        """Itself and its forebears through the first parents, the founder first."""
        return [*self.parent.line, self] if self.number else [self]

    @property
    def ancestors(self) -> list["Generation"]:
        """Itself and all of its forebears, through every parent, each once and behind its own parents."""
        if not self.number:
            return [self]
        found = [each for parent in self.parents for each in parent.ancestors]
        return list(dict.fromkeys([*found, self]))

    @property
    def planned_by(self) -> "Generation":
        """The generation whose plan and approval cover this one."""
        return (
            Generation(self.number, self.lineage.removesuffix(CONTROL).removesuffix("/")) if self.is_control else self
        )

    @property
    def control(self) -> "Generation":
        return Generation(self.number, f"{self.prefix}{CONTROL}")

    @property
    def weights(self) -> Path:
        return self.founder.directory / "weights" if self.number else self.directory / "weights"

    @property
    def form(self) -> Form:
        """Of a child: what its plan says."""
        return self._form_below(Path())

    @property
    def change(self) -> Path:
        """What was trained: it makes a child another model than its founder."""
        return self.find_change(Path())

    def find_change(self, root: Path) -> Path:
        """The same below `root`."""
        return root / self.directory / self._form_below(root)

    def _form_below(self, root: Path) -> Form:
        # Without a plan that can be read, which is for others to say, what lies there.
        lying: list[Form] = [form for form in FORMS if (root / self.directory / form).exists()]
        return _planned_form(root / self.plan) or (*lying, FORMS[0])[0]

    @property
    def curriculum(self) -> Path:
        return self.directory / "curriculum.jsonl"

    @property
    def written_for(self) -> "Generation":
        """The generation for which its curriculum is written: itself, or one of another lineage, where what decides
        both curricula is the same, and it takes that one over."""
        named = described(self.planned_by.lineage).curricula.get(self.number)
        if named is None:
            return self
        writer = parse_generation(named)
        return writer.control if self.is_control else writer

    @property
    def card(self) -> Path:
        return self.directory / "curriculum.json"

    @property
    def dataset_card(self) -> Path:
        return self.directory / "curriculum.md"

    @property
    def plan(self) -> Path:
        return self.planned_by.directory / "plan.json"

    @property
    def campaign_step(self) -> "CampaignStep | None":
        """The step of a campaign whose plan and approval cover it; None: it has an approval of its own."""
        room, _, rest = self.lineage.partition("/")
        if room != CAMPAIGNS or not rest:
            return None
        own = described(self.planned_by.lineage)
        step = ALL_STEPS if own.approved_at_once else f"g{self.number}"
        return CampaignStep(rest.partition("/")[0], step, own.search)

    @property
    def approval(self) -> Path:
        step = self.campaign_step
        return step.approval if step else APPROVALS / f"{self.planned_by.name}.ok"

    @property
    def scores(self) -> Path:
        return self.directory / "eval.json"

    @property
    def samples(self) -> Path:
        return self.directory / "samples.jsonl"

    @property
    def scores_record(self) -> Path:
        return self.directory / "eval.record.json"

    @property
    def leaderboard(self) -> Path:
        """Where it stands what it scored on the Open LLM Leaderboard's benchmarks, where it sat them."""
        return self.directory / "leaderboard.json"

    @property
    def published(self) -> Path:
        """Where it stands that the trained generation, its control arm's with it, is on the hub."""
        return self.planned_by.directory / "published.json"

    @property
    def published_scores(self) -> Path:
        """The same of its scores, which come later."""
        return self.planned_by.directory / "published.scores.json"


ALL_STEPS = "all"


@dataclass(frozen=True)
class CampaignStep:
    """What one approval of a campaign covers: `step` is gN, the trainings of every member's gN, or all of them.

    `search`: the search of which the campaign is a round, where one approval covers all rounds; or a ratchet's night.
    """

    campaign: str
    step: str
    search: str = ""

    @property
    def name(self) -> str:
        return f"{CAMPAIGNS}/{self.campaign}.{self.step}"

    @property
    def directory(self) -> Path:
        return RESULTS / CAMPAIGNS / self.campaign

    @property
    def file(self) -> Path:
        """The campaign's file, as it was when the campaign last ran."""
        return self.directory / f"{self.campaign}.yaml"

    @property
    def plan(self) -> Path:
        return self.directory / f"{self.step}.plan.json"

    @property
    def night(self) -> tuple[str, str] | None:
        """Name and night of the ratchet that it is a part of; None: of none."""
        room, _, rest = self.search.partition("/")
        name, _, tag = rest.partition(".")
        return (name, tag) if room == RATCHETS and rest else None

    @property
    def search_plan(self) -> Path:
        return (
            RESULTS.joinpath(RATCHETS, *self.night) / "plan.json"
            if self.night
            else (RESULTS / SEARCHES / self.search / "plan.json")
        )

    @property
    def approval(self) -> Path:
        if not self.search:
            return APPROVALS / f"{self.name}.ok"
        return APPROVALS / (f"{self.search}.ok" if self.night else f"{SEARCHES}/{self.search}.ok")


def parse_generation(name: str) -> Generation:
    """`g2`, `control/g1`, `search/r1/c03/g2` -> Generation."""
    match = re.fullmatch(r"((?:[\w-]+/)*)g(\d+)", name)
    if not match:
        raise LamarckError(f"{name!r} is not a generation: write g1, g2, ... or control/g1")
    return Generation(int(match[2]), match[1].removesuffix("/"))


def description_file(lineage: str) -> Path:
    return RESULTS / lineage / "lineage.yaml"


def description_files(generation: Generation) -> tuple[Path, ...]:
    """Those of a generation's own lineage and of its forebears', as far as there are any."""
    lineages = dict.fromkeys(each.planned_by.lineage for each in generation.ancestors)
    return tuple(path for lineage in lineages if lineage and (path := description_file(lineage)).exists())


def first_number(lineage: str) -> int:
    """The number of a lineage's first child: those below come from the lineages of its parents."""
    return min(described(lineage).parents, default=1)


def described(lineage: str) -> Described:
    """What results/ID/lineage.yaml says; the plain chain from the main founder where there is no such file.

    Errors: LamarckError where it is not valid.
    """
    if not lineage or not (path := description_file(lineage)).exists():
        return PLAIN
    stat = path.stat()
    return _described(path.absolute(), stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def _planned_form(plan: Path) -> Form | None:
    """The form that a plan's recipe asks for; None where there is no plan that says so."""
    try:
        stat = plan.stat()
    except OSError:
        return None
    return _form_in(plan.absolute(), stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@lru_cache(maxsize=4096)
def _form_in(plan: Path, *identity: int) -> Form | None:
    try:
        form = json.loads(plan.read_bytes())["recipe"]["settings"].get("form", "adapter")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return next((each for each in FORMS if each == form), None)


@lru_cache(maxsize=1024)
def _described(path: Path, *identity: int) -> Described:
    try:
        return Described.model_validate(strict_yaml.load(path))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise LamarckError(f"{path} does not describe a lineage ({place}: {first['msg']})") from error
