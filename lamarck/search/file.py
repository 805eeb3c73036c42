"""A search: which keys of a strategy vary, how candidates are proposed, and on which founders they are tried. Light."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from lamarck import strict_yaml
from lamarck.config import Config, load_config
from lamarck.config.section import Section, check_section
from lamarck.config.strategy import Strategy, load_strategy
from lamarck.errors import LamarckError
from lamarck.files import read_regular
from lamarck.gate.search import PROMPTS, RECIPE
from lamarck.lineage.configured import value_at, with_changes
from lamarck.lineage.generation import RESULTS, SEARCHES
from lamarck.search.sampler import numeric
from lamarck.search.space import Key, Values, nested
from lamarck.search.writer import PromptWriter
from lamarck.suites.suite import check_is_exam

BASELINE = "default"
DRAWN = "random"


class SearchFile(Section):
    description: str
    configfile: str = Field(description="The configuration whose strategy is varied; its founder is every lineage's.")
    config: dict[str, Any] = Field({}, description="Keys of the configuration that differ for every candidate.")
    scored: str = Field("g2", pattern=r"^g[1-9][0-9]*$", description="The generation whose score is the reward.")
    space: dict[str, Key] = Field(
        min_length=1, description="Place of a key in the strategy, or behind `recipe.` in the recipe -> its range."
    )
    chosen_by: Literal["grandchild", "child"] = Field(
        "grandchild",
        description="Whose score says who goes on. child: a generation earlier, at half the cost, and only a proxy.",
    )
    proposer: Literal["random", "evolution", "cma"] = Field(
        description="random: independent draws. evolution: later rounds change and cross those that lead. cma: CMA-ES "
        "for numbers, and choices from who leads."
    )
    writer: PromptWriter | None = Field(
        None, description="Of evolution: a model that rewrites prompts from what was refused and lost. None: none does."
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
    exam: str | None = Field(
        None, description="Directory of an exam: the winner's figure is its scores, which chose nothing."
    )
    seed: int = Field(1, description="Of the draws.")

    @model_validator(mode="after")
    def _founders_suffice(self) -> "SearchFile":
        if len(set(self.seeds)) < len(self.seeds) or len(self.seeds) % self.rounds:
            raise ValueError(f"seeds: give different ones, of which {self.rounds} rounds get as many each")
        if set(self.seeds) & set(self.fresh_seeds):
            raise ValueError("fresh_seeds: a founder that chose is not fresh")
        if self.chosen_by == "child" and self.scored == "g1":
            raise ValueError("chosen_by: g1 is a child itself: score a later generation")
        if self.writer and (self.proposer != "evolution" or PROMPTS in self.space):
            raise ValueError("writer: it rewrites the prompts of evolution's candidates, which the space leaves alone")
        if self.proposer == "cma" and len(numeric(self.space)) < 2:
            raise ValueError("proposer: cma is for two numbers or more: ask for random or evolution")
        if self.proposer == "cma" and self.candidates < 4:
            raise ValueError("candidates: cma tells nothing from fewer than three new ones beside who leads")
        return self

    @property
    def read_in_rounds(self) -> int:
        """Number of the generation whose score chooses."""
        return int(self.scored[1:]) - (self.chosen_by == "child")

    def seeds_of(self, number: int) -> tuple[int, ...]:
        """The founders of a round, counted from 1."""
        each = len(self.seeds) // self.rounds
        return self.seeds[(number - 1) * each : number * each]


@dataclass(frozen=True)
class Search:
    """`base`: the configuration as it holds for every candidate. `study`: the study of which it is a part, if any,
    which has the one approval, tries the winner, and has one `ledger` for all of its parts. `beside`: the search beside
    which it only draws, if any, and whose approval and ledger are its own."""

    name: str
    file: SearchFile
    content: bytes
    base: Config
    strategy: Strategy
    study: str = ""
    ledger: str | None = None
    beside: str = ""

    @property
    def whole(self) -> str:
        """What a human is asked about: itself, or what it is a part of."""
        return self.study or self.beside or self.name

    @property
    def drawn(self) -> "Search | None":
        """What any search has to beat: as many candidates in as many rounds on the same founders, each drawn by itself.
        None where it does that itself, and in a study, which compares by itself. Its first draws are the search's own,
        and the baseline is: members that both have are raised once."""
        if self.study or self.file.proposer == "random":
            return None
        file = self.file.model_copy(update={"proposer": "random", "writer": None})
        return replace(self, name=f"{self.name}-{DRAWN}", file=file, beside=self.name)

    @property
    def parts(self) -> tuple["Search", ...]:
        """Itself, and what is drawn beside it."""
        return (self, self.drawn) if self.drawn else (self,)

    @property
    def directory(self) -> Path:
        return RESULTS / SEARCHES / self.whole

    @property
    def prompts(self) -> Path:
        """Where prompts lie that a model wrote for candidates."""
        return self.directory / "prompts"

    @property
    def baseline(self) -> Values:
        """The values that the configuration's own strategy and recipe have in the space."""
        return {
            key: value_at(self.base.recipe if key.startswith(RECIPE) else self.strategy, key.removeprefix(RECIPE))
            for key in self.file.space
        }

    @property
    def at_once(self) -> bool:
        """Whether one approval covers all rounds: the founders are pretrained here."""
        return self.base.founder.kind == "tiny"

    def campaign_file(self, which: str) -> Path:
        """Of a round, `r1`, `r2`, ..., or of the final, `final`."""
        return self.directory / f"{self.name}-{which}.yaml"


def load_search(path: Path) -> Search:
    """Errors: LamarckError for a space that strategy and recipe do not have, or whose ends they do not take."""
    content = read_regular(path)
    file = check_section(strict_yaml.loads(content, str(path)), SearchFile, str(path))
    if not path.stem.replace("-", "").replace("_", "").isalnum():
        raise LamarckError(f"{path}: a search is named by its file: letters, digits, - and _ alone")
    return search_of(path.stem, file, content, str(path))


def search_of(
    name: str, file: SearchFile, content: bytes, source: str, study: str = "", ledger: str | None = None
) -> Search:
    """Errors: as `load_search`."""
    base = with_changes(load_config(Path(file.configfile)), file.config, f"{source}: config")
    strategy = load_strategy(Path(base.strategy))
    for key, kind in file.space.items():
        for end in kind.ends:
            _check(base, strategy, {key: end}, f"{source}: space: {key}")
    if file.exam:
        check_is_exam(Path(file.exam), source)
    if not study and file.proposer != "random":
        ledger = str(RESULTS / SEARCHES / name / "ledger.jsonl")
    return Search(name, file, content, base, strategy, study, ledger)


def split(values: Values) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a candidate changes: of the strategy, and of the configuration."""
    recipe = {name.removeprefix(RECIPE): value for name, value in values.items() if name.startswith(RECIPE)}
    strategy = {name: value for name, value in values.items() if not name.startswith(RECIPE)}
    return nested(strategy), {"recipe": nested(recipe)} if recipe else {}


def _check(base: Config, strategy: Strategy, values: Values, source: str) -> None:
    changed, config = split(values)
    with_changes(strategy, changed, source).wording()
    with_changes(base, config, source)
