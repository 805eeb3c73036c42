"""Arms side by side over matched seeds: what is to be run, typed, and what one yes to it allows. Light.

Every arm is the lineage of one configuration with a few keys changed. Arms that come to the same configuration share
their runs: one may be read off the control arm of another.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from lamarck import strict_yaml
from lamarck.config import Config, load_config
from lamarck.config.section import Section, check_section, load_section
from lamarck.config.strategy import Strategy
from lamarck.errors import LamarckError
from lamarck.files import digest_value
from lamarck.lineage.digest import suite_digest
from lamarck.lineage.generation import Generation, parse_generation

ROOT = Path("results/ablations")
# Where the files of one lineage's own configuration lie, inside its workspace.
CONFIG, STRATEGY = Path("config/lineage.yaml"), Path("config/strategies/lineage.yaml")
CHANGEABLE = {"recipe", "control", "generations", "budget"}


class Arm(Section):
    """One lineage, and which of its generations is compared."""

    name: str = Field(pattern=r"^[\w ,.-]+$")
    why: str = Field(description="One line: what its difference to the first arm would show.")
    config: dict[str, Any] = Field({}, description="Keys of the configuration that differ: recipe, control, ...")
    strategy: dict[str, Any] = Field({}, description="Keys of the strategy that differ.")
    scored: str = Field("g2", pattern=r"^(control/)?g[0-9]+$", description="The generation whose score is compared.")


class Ablation(Section):
    description: str
    configfile: str = Field(description="The configuration that the arms change. Its founder must be a tiny one.")
    seeds: tuple[int, ...] = Field(min_length=2)
    arms: tuple[Arm, ...] = Field(min_length=2, description="The first is what the others are compared with.")


@dataclass(frozen=True)
class Lineage:
    """What one workspace holds: a whole configuration, its strategy, and a name that follows from both."""

    config: Config
    strategy: Strategy

    @property
    def directory(self) -> str:
        digest = digest_value([self.config.model_dump(mode="json"), self.strategy.model_dump(mode="json")])
        return f"seed{self.config.seed}/{digest[:12]}"


@dataclass(frozen=True)
class AblationPlan:
    """Every lineage to be raised, and (arm, seed) -> the one where it is read off."""

    name: str
    ablation: Ablation
    lineages: dict[tuple[str, int], Lineage]
    suite: str  # digest

    @property
    def digest(self) -> str:
        """What a human allows: every lineage with its ceilings, and the suite."""
        return digest_value([self.suite, sorted({lineage.directory for lineage in self.lineages.values()})])

    @property
    def distinct(self) -> list[Lineage]:
        return list({lineage.directory: lineage for lineage in self.lineages.values()}.values())

    def read_off(self, lineage: Lineage) -> list[Generation]:
        """The generations of a lineage whose scores some arm reads."""
        arms = {arm.name: arm for arm in self.ablation.arms}
        names = {arms[name].scored for (name, _), own in self.lineages.items() if own.directory == lineage.directory}
        return [parse_generation(name) for name in sorted(names)]

    @property
    def trainings(self) -> int:
        return sum(lineage.config.generations * (1 + lineage.config.control) for lineage in self.distinct)

    @property
    def ceiling_seconds(self) -> float:
        """Device-seconds of training that the ceilings allow in all."""
        return sum(
            lineage.config.budget.of(generation) * (1 + lineage.config.control)
            for lineage in self.distinct
            for generation in range(1, lineage.config.generations + 1)
        )


def plan_ablation(path: Path) -> AblationPlan:
    """Read an ablation and resolve its arms. Errors: LamarckError for an arm that could not run, or a founder that is
    not tiny: one yes for many runs is given in the tiny world alone."""
    ablation = load_section(path, Ablation)
    names = [arm.name for arm in ablation.arms]
    if len(set(names)) < len(names):
        raise LamarckError(f"{path}: two arms have the same name")
    base = load_config(Path(ablation.configfile))
    if base.founder.kind != "tiny":
        raise LamarckError(
            f"{path}: {ablation.configfile} has a founder of kind {base.founder.kind}; an ablation runs under one "
            "approval for all its arms, and that is given for tiny founders alone"
        )
    if base.strategies:
        raise LamarckError(
            f"{path}: {ablation.configfile} changes its strategy between generations: name one that does not"
        )
    lineages = {
        (arm.name, seed): _lineage(base, arm, seed, f"{path}: arm {arm.name!r}")
        for arm in ablation.arms
        for seed in ablation.seeds
    }
    return AblationPlan(path.stem, ablation, lineages, suite_digest(Path(base.suite)))


def _lineage(base: Config, arm: Arm, seed: int, source: str) -> Lineage:
    unknown = set(arm.config) - CHANGEABLE
    if unknown:
        raise LamarckError(
            f"{source}: an arm may change {', '.join(sorted(CHANGEABLE))}, not {', '.join(sorted(unknown))}"
        )
    strategy = strict_yaml.load(Path(base.strategy))
    values = base.model_dump(mode="json") | {"seed": seed, "strategy": str(STRATEGY)}
    config = check_section(_changed(values, arm.config), Config, source)
    if arm.scored.startswith("control/") and not config.control:
        raise LamarckError(f"{source}: it reads a control arm, so it needs `control: true`")
    if int(arm.scored.rpartition("g")[2]) > config.generations:
        raise LamarckError(f"{source}: it reads {arm.scored}, but has {config.generations} generations")
    return Lineage(config, check_section(_changed(strategy, arm.strategy), Strategy, source))


def _changed(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with `changes` in place, key by key to the leaves; a section of another `kind` is replaced whole."""
    result = dict(values)
    for key, change in changes.items():
        old = result.get(key)
        if isinstance(old, Mapping) and isinstance(change, Mapping) and change.get("kind") in (None, old.get("kind")):
            result[key] = _changed(old, change)
        else:
            result[key] = change
    return result
