"""A campaign: arms side by side over matched seeds, typed, and the lineage of each. Light.

Every arm is the lineage of one configuration with a few keys changed. Arms that come to the same configuration share a
lineage: one may be read off the control arm of another. Lineages of a seed share their founder.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from lamarck import strict_yaml
from lamarck.config import Config, load_config
from lamarck.config.crossing import Crossing
from lamarck.config.section import Section, check_section
from lamarck.config.strategy import Strategy
from lamarck.errors import LamarckError, nearest
from lamarck.files import digest_bytes, digest_value, read_regular
from lamarck.lineage.artifacts import SCORES, exam_kind
from lamarck.lineage.configured import merged, with_changes
from lamarck.lineage.digest import suite_digest
from lamarck.lineage.generation import ALL_STEPS, CAMPAIGNS, FOUNDERS, CampaignStep, Generation, parse_generation
from lamarck.lineage.inputs import LEDGER, primer_of
from lamarck.lineage.kind import Kind
from lamarck.suites.suite import check_is_exam

CHANGEABLE = {"recipe", "control", "generations", "budget"}
OF_ALL = {"founder", "suite", "exams", "strategy"}  # of all arms alike


class ArmsCross(Section):
    """A child of two other arms, seed by seed."""

    parents: tuple[str, str] = Field(description="Names of two arms of this campaign that are no crosses themselves.")
    crossing: Crossing = Crossing()


class Arm(Section):
    """One lineage, and which of its generations is compared."""

    name: str = Field(pattern=r"^[\w ,.-]+$")
    why: str = Field(description="One line: what its difference to the first arm would show.")
    config: dict[str, Any] = Field({}, description="Keys of the configuration that differ: recipe, control, ...")
    strategy: dict[str, Any] = Field({}, description="Keys of the strategy that differ.")
    cross: ArmsCross | None = Field(None, description="It is a child of two other arms, and has no curriculum.")
    scored: str = Field("g2", pattern=r"^(control/)?g[0-9]+$", description="The generation whose score is compared.")


class Racing(Section):
    """Leave out, seed by seed, what can no longer be shown to be better than the first arm: campaign/racing.py."""

    risk: float = Field(0.05, gt=0, lt=1, description="Of any false 'better' in the whole campaign.")
    look_every: int = Field(1, ge=1, description="Seeds from one decision to the next.")


class CampaignFile(Section):
    description: str
    configfile: str = Field(description="The configuration that the arms change.")
    config: dict[str, Any] = Field(
        {}, description="Keys of it that differ for every arm: as an arm's, or founder, suite, exams, strategy."
    )
    seeds: tuple[int, ...] = Field(min_length=1)
    arms: tuple[Arm, ...] = Field(min_length=1, description="The first is what the others are compared with.")
    race: Racing | None = Field(None, description="None: nothing is left out early for what it cannot show any more.")
    keep: dict[int, int] = Field(
        {}, description="After so many seeds at most so many arms beside the first go on: those ahead of it on average."
    )
    failed_members: Literal["stop", "leave out"] = Field(
        "stop", description="leave out: an arm that cannot be raised is counted as failed, and the others go on."
    )
    proxies: bool = Field(False, description="Also score the parents of what is compared: their score is a proxy.")
    exam: str | None = Field(
        None, description="Directory of an exam: read its scores, for what shows something and chooses nothing."
    )
    costs: bool = Field(
        False, description="Also a table of bits per byte, the optimizer's memory and the seconds of training."
    )
    behaviour: str | None = Field(
        None,
        description="A skill of every arm's strategy: also a table of how often problems of the suite, which come "
        "without a context, are answered as it asks, and how the others are answered.",
    )
    search: str | None = Field(
        None,
        pattern=r"^[\w-]+$|^ratchet/[\w-]+\.[\w-]+$",
        description="The search of which it is a round, and whose one approval covers all rounds; or a ratchet's "
        "night, as ratchet/NAME.NIGHT.",
    )
    ledger: str | None = Field(
        None, description="The file of finished members; under the campaign's results when left out."
    )


@dataclass(frozen=True)
class Lineage:
    """One of a campaign's lineages: its id, its whole configuration, its strategy, and its suite's digest."""

    id: str
    config: Config
    strategy: Strategy
    suite: str  # digest
    parents: tuple[Generation, ...] = ()  # of a cross, and how it is made of them
    crossing: Crossing | None = None
    ancestors: tuple[str, ...] = ()  # digests of its parents' lineages

    @property
    def decided_by(self) -> str:
        """Digest of what is learned: the strategy of its curricula, or the crossing of its parents."""
        return self.crossing.digest() if self.crossing else self.strategy.digest()

    @property
    def strategy_file(self) -> Path:
        return Path(self.config.strategy)

    @property
    def founder(self) -> str:
        """Id of the lineage whose g0 it starts from: of all campaigns here the same, where it comes to the same."""
        config = self.config
        decided = [config.founder.digest(), config.seed, config.engine.founder_threads, self.suite]
        return f"{FOUNDERS}/{digest_value(decided)[:12]}"

    def children(self) -> list[Generation]:
        first = self.config.generations if self.parents else 1
        return [Generation(number, self.id) for number in range(first, self.config.generations + 1)]

    def digest(self) -> str:
        """Over all that decides what it comes to: the same wherever it is raised, and whatever it is called."""
        config = self.config
        crossed = {"crossing": self.decided_by, "parents": list(self.ancestors)} if self.parents else {}
        return digest_value(
            crossed
            | {
                "founder": config.founder.digest(),
                "strategy": self.strategy.digest(),
                "recipe": config.recipe.digest(),
                "engine": config.engine.digest(),
                "threads": [config.engine.threads, config.engine.founder_threads],
                "ceilings": [config.budget.ceilings(child.number) for child in self.children()],
                "control": config.control,
                "seed": config.seed,
            }
        )


@dataclass(frozen=True)
class Campaign:
    """A campaign's file, resolved: (arm, seed) -> the lineage where it is read off."""

    name: str
    content: bytes
    file: CampaignFile
    base: Config
    lineages: Mapping[tuple[str, int], Lineage]
    suite: str  # digest
    ruler: str  # digest of the suite that is read: the exam, where there is one

    @property
    def file_digest(self) -> str:
        return digest_bytes(self.content)

    @cached_property
    def distinct(self) -> tuple[Lineage, ...]:
        return tuple({lineage.id: lineage for lineage in self.lineages.values()}.values())

    @cached_property
    def writers(self) -> Mapping[str, Lineage]:
        """Id of a lineage -> the first one for which its founder writes the very curriculum of its g1: arms that train
        on that in different ways have it written once. A lineage of crosses has none.

        The ceiling is one of what has to be alike: nothing is taken over that could not have been written here."""
        first: dict[str, Lineage] = {}
        found = {}
        for lineage in self.distinct:
            if lineage.parents:
                continue
            config = lineage.config
            alike = [lineage.founder, lineage.strategy.digest(), config.control, config.budget.writing_seconds]
            found[lineage.id] = first.setdefault(digest_value(alike), lineage)
        return found

    @property
    def steps(self) -> list[CampaignStep]:
        """What is asked about, one after the other: all at once where the founders are pretrained here."""
        if self.base.founder.kind == "tiny":
            return [CampaignStep(self.name, ALL_STEPS, self.file.search or "")]
        last = max(lineage.config.generations for lineage in self.distinct)
        return [CampaignStep(self.name, f"g{number}") for number in range(1, last + 1)]

    @property
    def directory(self) -> Path:
        return self.steps[0].directory

    @property
    def ledger(self) -> Path:
        return Path(self.file.ledger) if self.file.ledger else self.directory / LEDGER

    def arm(self, name: str) -> Arm:
        return next(arm for arm in self.file.arms if arm.name == name)

    def read_off(self, arm: str, seed: int) -> Generation:
        """The generation whose score is this arm's on this seed."""
        scored = parse_generation(self.arm(arm).scored)
        lineage = self.lineages[arm, seed]
        if not scored.number:
            return Generation(0, lineage.founder)
        own = Generation(scored.number, lineage.id)
        return own.control if scored.is_control else own

    def scores_kind(self) -> Kind:
        """What is read of a member."""
        return exam_kind(Path(self.file.exam)) if self.file.exam else SCORES

    def scores_of(self, generation: Generation) -> Path:
        return self.scores_kind().paths(generation)["scores"]

    def proxy_of(self, arm: str, seed: int) -> Generation | None:
        """The generation before that one, where its score is wanted, too."""
        scored = self.read_off(arm, seed)
        return scored.parent if self.file.proxies and scored.number > 1 else None

    def member_digest(self, arm: str, seed: int) -> str:
        """What a finished member's score is the score of: a ledger's row counts for exactly this."""
        return digest_value([self.lineages[arm, seed].digest(), self.arm(arm).scored, self.ruler])

    def trained_at(self, step: CampaignStep) -> Iterator[tuple[Lineage, Generation]]:
        for lineage in self.distinct:
            for child in lineage.children():
                if step.step in (ALL_STEPS, f"g{child.number}"):
                    yield lineage, child


def load_campaign(path: Path) -> Campaign:
    """Read a campaign and resolve its arms. Errors: LamarckError for an arm that could not run."""
    return campaign_of(path, read_regular(path))


def campaign_of(path: Path, content: bytes) -> Campaign:
    """The same of what stands, or would stand, at `path`."""
    file = check_section(strict_yaml.loads(content, str(path)), CampaignFile, str(path))
    ids = {arm.name: re.sub(r"[^\w-]+", "-", arm.name) for arm in file.arms}
    if len(set(ids.values())) < len(file.arms):
        raise LamarckError(f"{path}: two arms have the same name")
    if not re.fullmatch(r"[\w-]+", path.stem):
        raise LamarckError(f"{path}: a campaign is named by its file: letters, digits, - and _ alone")
    base = _base(file, str(path))
    if primer_of(base):
        raise LamarckError(
            f"{path}: {file.configfile} has a founder.primer, which has an approval of its own: raise the founder once "
            "(`snakemake results/g0/weights`), and name its directory with `kind: local`"
        )
    if base.strategies:
        raise LamarckError(
            f"{path}: {file.configfile} changes its strategy between generations: name one that does not"
        )
    strategy = strict_yaml.load(Path(base.strategy))
    suite = suite_digest(Path(base.suite))
    lineages: dict[tuple[str, int], Lineage] = {}
    shared: dict[str, Lineage] = {}
    for arm in sorted(file.arms, key=lambda arm: arm.cross is not None):  # parents first
        for seed in file.seeds:
            own_id = f"{CAMPAIGNS}/{path.stem}/{ids[arm.name]}/s{seed}"
            own = _lineage(base, strategy, arm, seed, own_id, suite, f"{path}: arm {arm.name!r}")
            if file.behaviour and file.behaviour not in own.strategy.skills:
                raise LamarckError(
                    f"{path}: arm {arm.name!r}: its strategy has no skill {file.behaviour!r}: name a `behaviour` that "
                    "all arms have"
                )
            if arm.cross:
                own = _crossed(
                    file, arm, own, {name: lineages.get((name, seed)) for name in arm.cross.parents}, str(path)
                )
            lineages[arm.name, seed] = shared.setdefault(own.digest(), own)
    # As the file has them.
    lineages = {(arm.name, seed): lineages[arm.name, seed] for arm in file.arms for seed in file.seeds}
    ruler = suite_digest(Path(file.exam)) if file.exam else suite
    return Campaign(path.stem, content, file, base, lineages, suite, ruler)


def _crossed(
    file: CampaignFile, arm: Arm, own: Lineage, lineages: Mapping[str, Lineage | None], source: str
) -> Lineage:
    """Errors: LamarckError for parents that are no arms, or crosses, or where the child's number is another."""
    assert arm.cross
    parents, digests = [], []
    for name in arm.cross.parents:
        parent = next((each for each in file.arms if each.name == name and each.cross is None), None)
        lineage = lineages[name]
        if parent is None or lineage is None:
            known = [each.name for each in file.arms if each.cross is None]
            raise LamarckError(f"{source}: arm {arm.name!r}: there is no arm {name!r} to cross: {nearest(name, known)}")
        scored = parse_generation(parent.scored)
        raised = Generation(scored.number, lineage.id)
        parents.append(raised.control if scored.is_control else raised)
        digests.append(digest_value([lineage.digest(), parent.scored]))
    number = 1 + max(parent.number for parent in parents)
    if arm.scored != f"g{number}":
        raise LamarckError(f"{source}: arm {arm.name!r} is a g{number}, a child of two arms: set `scored: g{number}`")
    config = own.config.model_copy(update={"generations": number, "control": False})
    crossing = arm.cross.crossing
    return replace(own, config=config, parents=tuple(parents), crossing=crossing, ancestors=tuple(digests))


def _base(file: CampaignFile, source: str) -> Config:
    _refuse_others(file.config, CHANGEABLE | OF_ALL, f"{source}: config")
    base = load_config(Path(file.configfile))
    changes = file.config
    if file.exam:
        if file.race or file.keep or file.proxies:
            raise LamarckError(f"{source}: an exam chooses nothing: leave `exam` out, or `race`, `keep` and `proxies`")
        check_is_exam(Path(file.exam), source)
        changes = {**changes, "exams": [file.exam]}
    return with_changes(base, changes, source)


def _refuse_others(changes: Mapping[str, Any], changeable: set[str], source: str) -> None:
    unknown = set(changes) - changeable
    if unknown:
        raise LamarckError(f"{source} may change {', '.join(sorted(changeable))}, not {', '.join(sorted(unknown))}")


def _lineage(
    base: Config, strategy: Mapping[str, Any], arm: Arm, seed: int, own: str, suite: str, source: str
) -> Lineage:
    _refuse_others(arm.config, CHANGEABLE, source)
    values = base.model_dump(mode="json") | {"seed": seed, "strategy": f"results/{own}/strategy.yaml", "publish": None}
    config = check_section(merged(values, arm.config), Config, source)
    if arm.scored.startswith("control/") and not config.control:
        raise LamarckError(f"{source}: it reads a control arm, so it needs `control: true`")
    if arm.cross is None and int(arm.scored.rpartition("g")[2]) > config.generations:
        raise LamarckError(f"{source}: it reads {arm.scored}, but has {config.generations} generations")
    changed = check_section(merged(strategy, arm.strategy), Strategy, source)
    return Lineage(own, config, changed, suite)
