"""Does it pay to choose by grandchildren? Random strategies, and whole searches side by side at equal cost."""

import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, model_validator

from lamarck import strict_yaml
from lamarck.campaign.ledger import read_ledger
from lamarck.campaign.members import Campaign, load_campaign
from lamarck.campaign.run import Ask, next_members, run_campaign
from lamarck.config.section import Section, check_section
from lamarck.errors import LamarckError
from lamarck.files import read_regular, write_changed
from lamarck.gate.approval import Approver
from lamarck.gate.search import PlannedRound
from lamarck.lineage.configured import merged
from lamarck.run_lock import holding
from lamarck.search.approval import AskOnce, ask_once, largest, largest_rounds, search_plan
from lamarck.search.file import Search, SearchFile, search_of
from lamarck.search.propose import Candidate
from lamarck.search.run import FINAL, Round, begun, campaign_text, raise_round, rounds, winner

CORRELATION = "correlation"


class Correlation(Section):
    strategies: int = Field(ge=2, description="Drawn at random, each raised on all seeds.")
    seeds: tuple[int, ...] = Field(min_length=2)


class Repeat(Section):
    seeds: tuple[int, ...] = Field(min_length=1, description="Founders on which every method's search chooses.")
    fresh_seeds: tuple[int, ...] = Field(min_length=2, description="Founders on which the winners are compared.")


class StudyFile(Section):
    description: str
    search: str = Field(description="A search's file: its configuration, its space, and the generation that is scored.")
    config: dict[str, Any] = Field({}, description="Keys of that configuration in which the study's is another.")
    ledger: str = Field(description="The file of finished members, of all parts.")
    correlation: Correlation
    methods: dict[str, dict[str, Any]] = Field(
        min_length=2, description="Name -> the keys in which its search's file is another: proposer, chosen_by, ..."
    )
    exam: str = Field(description="Directory of an exam, which the winners sit.")
    repeats: tuple[Repeat, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _founders_differ(self) -> "StudyFile":
        used = [*self.correlation.seeds, *(seed for each in self.repeats for seed in (*each.seeds, *each.fresh_seeds))]
        if len(set(used)) < len(used):
            raise ValueError("a founder's seed is used twice: repeats that share one are not independent")
        return self


class Part(NamedTuple):
    """A search of one method, in one repeat, counted from 1."""

    method: str
    repeat: int
    search: Search


@dataclass(frozen=True)
class Study:
    name: str
    file: StudyFile
    content: bytes
    drawn: Search  # whose one round is that of the random strategies
    parts: tuple[Part, ...]
    finals: tuple[Search, ...]  # one a repeat

    @property
    def directory(self) -> Path:
        return self.drawn.directory

    @cached_property
    def largest(self) -> list[PlannedRound]:
        """All that may ever be raised."""
        arms = 1 + len(self.file.methods)
        return [
            *largest_rounds(self.drawn),
            *(each for part in self.parts for each in largest_rounds(part.search)),
            *(largest(each, FINAL, arms, each.file.fresh_seeds, int(each.file.scored[1:])) for each in self.finals),
        ]


def load_study(path: Path) -> Study:
    """Errors: LamarckError for a study, or a search of it, that could not run; also where methods differ in cost."""
    content = read_regular(path)
    file = check_section(strict_yaml.loads(content, str(path)), StudyFile, str(path))
    base = strict_yaml.load(Path(file.search)) | {"description": file.description, "exam": file.exam}
    base["config"] = merged(base.get("config", {}), file.config)

    def search(part: str, **changes: Any) -> Search:
        source = f"{path}: {part}"
        own = check_section(base | changes, SearchFile, source)
        name = f"{path.stem}-{part.replace(' ', '-')}"
        return search_of(name, own, content, source, study=path.stem, ledger=file.ledger)

    drawn = search(
        CORRELATION,
        proposer="random",
        chosen_by="grandchild",
        rounds=1,
        keep={},
        candidates=file.correlation.strategies,
        seeds=list(file.correlation.seeds),
        fresh_seeds=list(file.repeats[0].fresh_seeds),
    )
    parts, finals = [], []
    for number, repeat in enumerate(file.repeats, start=1):
        common = {"seeds": list(repeat.seeds), "fresh_seeds": list(repeat.fresh_seeds), "seed": number}
        own = [Part(name, number, search(f"{name} {number}", **keys, **common)) for name, keys in file.methods.items()]
        costs = {part.method: trainings(part.search) for part in own}
        if len(set(costs.values())) > 1:
            told = ", ".join(f"{name} {cost}" for name, cost in costs.items())
            raise LamarckError(f"{path}: methods are compared at equal cost, and their trainings are {told}")
        parts += own
        finals.append(search(str(number), **common))
    return Study(path.stem, file, content, drawn, tuple(parts), tuple(finals))


def members(file: SearchFile) -> int:
    """Lineages that the rounds of a search raise, the baseline's included, where no candidate fails."""
    each, going = 0, file.candidates
    for count in range(1, len(file.seeds_of(1)) + 1):
        each += 1 + going
        going = min(going, file.keep.get(count, going))
    return file.rounds * each


def trainings(search: Search) -> int:
    """What the rounds of a search cost, in trainings."""
    return members(search.file) * search.file.read_in_rounds * (1 + search.base.control)


def run_study(
    study: Study, approver: Callable[[], Approver], ask: Ask, ask_all: AskOnce, key: Path | None, jobs: int
) -> None:
    """Go on until all is raised: the random strategies, then repeat by repeat every method and its winners.

    Errors: as `run_search`."""
    with holding(study.directory / "lock", f"another process is at work on the study {study.name}"):
        write_changed(study.directory / f"{study.name}.yaml", study.content.decode("utf-8"))
        if study.drawn.at_once:
            ask_once(search_plan(study.drawn, study.largest), study.directory, approver, ask_all, key)
        _finish(study.drawn, approver, ask, key, jobs)
        for number, final in enumerate(study.finals, start=1):
            searches = {
                (part.method, number): _finish(part.search, approver, ask, key, jobs)
                for part in study.parts
                if part.repeat == number
            }
            path, found = final.campaign_file(FINAL), winners(study, number, searches)
            write_changed(path, campaign_text(final, found, final.file.fresh_seeds, FINAL))
            campaign = load_campaign(path)
            if next_members(campaign):
                run_campaign(campaign, approver, ask, key, jobs)


def _finish(search: Search, approver: Callable[[], Approver], ask: Ask, key: Path | None, jobs: int) -> list[Round]:
    while not (found := rounds(search))[-1].finished:
        raise_round(search, found[-1], approver, ask, key, jobs)
    return found


def winners(study: Study, number: int, searches: Mapping[tuple[str, int], list[Round]]) -> list[Candidate]:
    """Of a repeat whose searches are finished: each method's winner, named after it. `searches`: method, repeat -> its
    rounds."""
    return [
        Candidate(part.method, winner(part.search, searches[part.method, number]).values, (), "found")
        for part in study.parts
        if part.repeat == number
    ]


class StudyProgress(NamedTuple):
    """All that has begun: the rounds of every search, and the comparison of each repeat."""

    drawn: list[Round]
    searches: dict[tuple[str, int], list[Round]]  # method, repeat -> its rounds
    finals: list[Campaign | None]

    @property
    def campaigns(self) -> Iterator[Campaign]:
        for found in (self.drawn, *self.searches.values()):
            yield from (each.campaign for each in found if each.campaign)
        yield from (each for each in self.finals if each)


def progress(study: Study) -> StudyProgress:
    searches = {(part.method, part.repeat): rounds(part.search) for part in study.parts}
    going = {number for (_, number), found in searches.items() if not found[-1].finished}
    finals = [
        None if number in going else begun(final, FINAL, winners(study, number, searches))
        for number, final in enumerate(study.finals, start=1)
    ]
    return StudyProgress(rounds(study.drawn), searches, finals)


def spent(found: Iterable[Round]) -> tuple[int, float]:
    """Members that these rounds have raised, and their device-seconds: the baseline's are counted, shared or not."""
    rows = [row for each in found if each.campaign for row in read_ledger(each.campaign).values()]
    return len(rows), sum(row.device_seconds for row in rows)


class Forecast(NamedTuple):
    """Of what is left at most, `members` with so many `trainings`. `hours`: where a training takes the median of those
    that were `measured`; None before there are any."""

    members: int
    trainings: int
    hours: float | None
    measured: int


def forecast(study: Study, done: StudyProgress) -> Forecast:
    missing = [(members(study.drawn.file) - spent(done.drawn)[0], study.drawn.file.read_in_rounds)]
    for part in study.parts:
        raised = spent(done.searches[part.method, part.repeat])[0]
        missing.append((members(part.search.file) - raised, part.search.file.read_in_rounds))
    for final, campaign in zip(study.finals, done.finals, strict=True):
        whole = (1 + len(study.file.methods)) * len(final.file.fresh_seeds)
        missing.append((whole - (len(read_ledger(campaign)) if campaign else 0), int(final.file.scored[1:])))
    left = [(max(0, count), each) for count, each in missing]
    rows = [row for campaign in done.campaigns for row in read_ledger(campaign).values()]
    seconds = [row.wall_seconds / int(row.generation.rpartition("g")[2]) for row in rows if row.wall_seconds]
    trainings_left = sum(count * each for count, each in left)
    hours = trainings_left * statistics.median(seconds) / 3600 if seconds else None
    return Forecast(sum(count for count, _ in left), trainings_left, hours, len(seconds))
