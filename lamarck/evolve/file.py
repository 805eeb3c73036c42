"""An evolution's file: from which genomes, on which text, judged by what, within which limits. Light."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from lamarck import strict_yaml
from lamarck.arch.genome import Data, Evolution, Genome, Objective, load_genome
from lamarck.arch.operators import OPERATORS
from lamarck.config import THIS_MACHINE, StageMachine
from lamarck.config.section import Section, check_section
from lamarck.errors import LamarckError, nearest
from lamarck.files import digest_value, read_regular

PROBES = ("passkey", "recall")
TARGETED = ("tokens_to_target", "time_to_target")


class InstalledText(Section):
    """Text of a pinned package, read from where it is installed: no download, the same bytes everywhere."""

    kind: Literal["installed"]
    distribution: str = Field(description="Its name on PyPI.")
    version: str
    files: str = Field("*.py", description="Which of its files.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of the files' bytes, in the order of their names.")


class WorldText(Section):
    """The tiny world's problems with their answers, without those of the suite: what a tiny founder is raised on."""

    kind: Literal["world"]
    configfile: str = Field(description="A configuration whose founder is `tiny`: its skills, suite and seed.")


Text = Annotated[InstalledText | WorldText, Field(discriminator="kind")]


class Probes(Section):
    """Rows among the training text that ask for what stood earlier: a key, and the value of one of several keys."""

    share: float = Field(0.25, gt=0, lt=1, description="Of the rows of a batch, half of each kind.")
    gap: int = Field(32, ge=4, description="Tokens between what is asked for and the question.")
    pairs: int = Field(4, ge=2, le=26, description="Keys with their values, of which one is asked for.")


class GenomeLimits(Section):
    """The static rung: what a genome may cost. Whatever is above is never built."""

    parameters: int = Field(ge=1)
    memory_mb: float = Field(gt=0, description="Of training one, estimated; the machine's own is a limit as well.")


class Controls(Section):
    """What the survivors are compared with, on seeds that chose nothing."""

    survivors: int = Field(1, ge=1, description="Of the front, the best in bits per byte.")
    seeds: tuple[int, ...] = Field(description="Each is one more repeat of every arm; none: nothing is compared.")


class EvolveFile(Section):
    description: str
    seeds: tuple[str, ...] = Field(description="Genomes to begin with; the first is what all others are raced against.")
    text: Text
    data: Data = Field(Data(), description="Rows of the text; a seed's own are replaced by these.")
    evolution: Evolution = Field(Evolution(), description="Population, rungs, selection; a seed's are replaced.")
    generations: int = Field(ge=1, description="The first are the seeds, and changes of them.")
    proposer: Literal["evolution", "random"] = Field(
        "evolution", description="random: every candidate is drawn anew and inherits nothing; the baseline of a search."
    )
    inherit: bool = Field(True, description="Whether a child begins with its parents' weights.")
    operators: dict[str, float] = Field({}, description="Operator -> how often, relative; none: all alike.")
    probes: Probes | None = None
    target: float | None = Field(None, gt=0, description="Bits per byte, to which tokens and time are counted.")
    weights: dict[Objective, float] = Field({}, description="Of the objectives' ranks, in `weighted`; 1 if left out.")
    repeats: int = Field(3, ge=2, description="Trainings of the first seed that measure how much luck there is.")
    limits: GenomeLimits
    controls: Controls
    device_seconds: float = Field(gt=0, description="The ceiling of everything that is trained and measured.")
    seed: int = Field(0, ge=0)
    threads: int = Field(1, ge=1)
    machine: StageMachine = THIS_MACHINE

    @model_validator(mode="after")
    def _fits_together(self) -> "EvolveFile":
        if not self.seeds:
            raise ValueError("seeds: the population is empty: name at least one genome")
        wanted = self.evolution.pareto_objectives
        if len(set(wanted)) < len(wanted):
            raise ValueError("evolution.pareto_objectives: an objective is named twice")
        if wanted[0] != "bits_per_byte":
            raise ValueError("evolution.pareto_objectives: bits_per_byte comes first, by which archive and rungs go")
        if self.probes is None and (asked := next((each for each in PROBES if each in wanted), None)):
            raise ValueError(f"evolution.pareto_objectives names {asked}, which needs `probes`")
        if self.probes is not None and self.text.kind == "world":
            raise ValueError("probes are made of bytes: the words of a world have no place for them")
        if self.target is None and (asked := next((each for each in TARGETED if each in wanted), None)):
            raise ValueError(f"evolution.pareto_objectives names {asked}, which needs a `target`")
        if unknown := next((name for name in self.operators if name not in OPERATORS), None):
            raise ValueError(f"unknown operator {unknown!r}: {nearest(unknown, OPERATORS)}")
        if self.probes is not None and self.probes.gap + 2 * self.probes.pairs + 4 > self.data.seq_len:
            raise ValueError(f"probes.gap: {self.probes.gap} tokens and the keys do not fit {self.data.seq_len}")
        if self.evolution.rung1_tokens < self.data.seq_len * self.data.batch_size:
            raise ValueError("evolution.rung1_tokens is less than one batch")
        if set(self.controls.seeds) & {self.seed} or len(set(self.controls.seeds)) < len(self.controls.seeds):
            raise ValueError("controls.seeds: give different ones, none of which chose")
        return self


@dataclass(frozen=True)
class Evolving:
    """An evolution's file, resolved. `seeds`: its genomes as they are written; their vocabulary follows the text."""

    name: str
    path: Path
    content: bytes
    file: EvolveFile
    seeds: tuple[Genome, ...]

    @property
    def seed_digests(self) -> dict[str, str]:
        return {path: genome.digest() for path, genome in zip(self.file.seeds, self.seeds, strict=True)}

    def adapted(self, genome: Genome, vocab: int) -> Genome:
        """A seed with the data and the evolution of this file, for a text of so many token ids."""
        model = genome.model.model_copy(update={"emb": genome.model.emb.model_copy(update={"vocab": vocab})})
        update = {"model": model, "data": self.file.data, "evolution": self.file.evolution}
        return genome.model_copy(update=update)


def load_evolution(path: Path) -> Evolving:
    """Errors: LamarckError with one sentence, for the file and for each of its genomes."""
    content = read_regular(path)
    return evolution_of(path.stem, path, content)


def evolution_of(name: str, path: Path, content: bytes) -> Evolving:
    """From bytes that were read already; genomes are found as the file names them."""
    file = check_section(strict_yaml.loads(content, str(path)), EvolveFile, str(path))
    if not name.replace("-", "").replace("_", "").isalnum():
        raise LamarckError(f"{path}: an evolution is named by its file: letters, digits, - and _ alone")
    return Evolving(name, path, content, file, tuple(load_genome(Path(each)) for each in file.seeds))


def file_digest(evolving: Evolving) -> str:
    settings: dict[str, Any] = evolving.file.model_dump(mode="json", exclude={"device_seconds"})
    return digest_value(settings)
