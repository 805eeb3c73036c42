"""A search: which keys of a strategy vary, how candidates are proposed, and on which founders they are tried. Light."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from lamarck import strict_yaml
from lamarck.config import Config, load_config
from lamarck.config.section import Section, check_section
from lamarck.config.strategy import Strategy
from lamarck.errors import LamarckError
from lamarck.files import read_regular
from lamarck.lineage.configured import merged
from lamarck.lineage.generation import RESULTS
from lamarck.search.space import Key, Values, nested

RECIPE = "recipe."
BASELINE = "default"


class SearchFile(Section):
    description: str
    configfile: str = Field(description="The configuration whose strategy is varied; its founder is every lineage's.")
    config: dict[str, Any] = Field({}, description="Keys of the configuration that differ for every candidate.")
    scored: str = Field("g2", pattern=r"^g[1-9][0-9]*$", description="The generation whose score is the reward.")
    space: dict[str, Key] = Field(
        min_length=1, description="Place of a key in the strategy, or behind `recipe.` in the recipe -> its range."
    )
    proposer: Literal["random", "evolution"] = Field(
        description="random: independent draws. evolution: later rounds change and cross those that lead."
    )
    candidates: int = Field(ge=2, description="Of every round.")
    rounds: int = Field(ge=1)
    seeds: tuple[int, ...] = Field(min_length=1, description="Founders of the rounds; each round takes the next ones.")
    keep: dict[int, int] = Field(
        {}, description="After so many of its founders a round goes on with at most so many candidates: halving."
    )
    fresh_seeds: tuple[int, ...] = Field(
        min_length=2, description="Founders that chose nothing: the winner's figure, and the verdict, come from these."
    )
    seed: int = Field(1, description="Of the draws.")

    @model_validator(mode="after")
    def _founders_suffice(self) -> "SearchFile":
        if len(set(self.seeds)) < len(self.seeds) or len(self.seeds) % self.rounds:
            raise ValueError(f"seeds: give different ones, of which {self.rounds} rounds get as many each")
        if set(self.seeds) & set(self.fresh_seeds):
            raise ValueError("fresh_seeds: a founder that chose is not fresh")
        return self

    def seeds_of(self, number: int) -> tuple[int, ...]:
        """The founders of a round, counted from 1."""
        each = len(self.seeds) // self.rounds
        return self.seeds[(number - 1) * each : number * each]


@dataclass(frozen=True)
class Search:
    name: str
    file: SearchFile
    content: bytes
    base: Config

    @property
    def directory(self) -> Path:
        return RESULTS / "search" / self.name

    def campaign_file(self, which: str) -> Path:
        """Of a round, `r1`, `r2`, ..., or of the final, `final`."""
        return self.directory / f"{self.name}-{which}.yaml"


def load_search(path: Path) -> Search:
    """Errors: LamarckError for a space that strategy and recipe do not have, or whose ends they do not take."""
    content = read_regular(path)
    file = check_section(strict_yaml.loads(content, str(path)), SearchFile, str(path))
    base = load_config(Path(file.configfile))
    if not path.stem.replace("-", "").replace("_", "").isalnum():
        raise LamarckError(f"{path}: a search is named by its file: letters, digits, - and _ alone")
    for end in (0, -1):
        values = {name: _ends(key)[end] for name, key in file.space.items()}
        for name in values:
            _check(base, {name: values[name]}, f"{path}: space: {name}")
    return Search(path.stem, file, content, base)


def split(values: Values) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a candidate changes: of the strategy, and of the configuration."""
    recipe = {name.removeprefix(RECIPE): value for name, value in values.items() if name.startswith(RECIPE)}
    strategy = {name: value for name, value in values.items() if not name.startswith(RECIPE)}
    return nested(strategy), {"recipe": nested(recipe)} if recipe else {}


def _ends(key: Key) -> tuple[Any, Any]:
    if key.kind == "choice":
        return key.of[0], key.of[-1]
    return (round(key.low), round(key.high)) if key.kind == "integer" else (key.low, key.high)


def _check(base: Config, values: Values, source: str) -> None:
    strategy, config = split(values)
    whole = strict_yaml.load(Path(base.strategy))
    check_section(merged(Strategy.model_validate(whole).model_dump(mode="json"), strategy), Strategy, source)
    check_section(merged(base.model_dump(mode="json"), config), Config, source)
