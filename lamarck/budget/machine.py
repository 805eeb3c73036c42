"""Kinds of machines, from config/machines.yaml: what fits there, how fast they are assumed to be, what they cost."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pydantic import Field

from lamarck.budget.memory import GIB, Format, cache_bytes, weight_bytes
from lamarck.budget.shape import Shape
from lamarck.config import HERE, Recipe, StageMachine
from lamarck.config.section import Section, load_section
from lamarck.errors import LamarckError

CATALOGUE = Path("config/machines.yaml")
TERA, GIGA = 1e12, 1e9
# Of a token in training, for each parameter: two forward, two backward to the adapters, and two more where a layer is
# computed again. Weights that are trained take two more: they have a gradient (Kaplan et al. 2020, arXiv:2001.08361).
KEPT_OPERATIONS, AGAIN, OWN_GRADIENT = 4, 2, 2
HERE_OPERATIONS = 6  # as `here.training` is counted
WRITING_OPERATIONS = 2


class Here(Section):
    """A machine without a GPU: operations a second."""

    training: float = Field(gt=0)
    writing: float = Field(gt=0)


class Utilisation(Section):
    training: float = Field(gt=0, le=1, description="Of the bf16 peak, of a model of any width.")
    half_width: float = Field(ge=0, description="The width at which as much time goes beside the products as in them.")
    writing: float = Field(gt=0, le=1, description="Of the memory's bandwidth.")

    def training_share(self, shape: Shape) -> float:
        """Of the bf16 peak. A token costs a layer of width h products that grow with h^2, and passes over memory beside
        them that grow with h."""
        return self.training * shape.hidden / (shape.hidden + self.half_width)


class Gpu(Section):
    id: str = Field(description="RunPod's name of it.")
    memory_mib: int = Field(gt=0)
    bf16: float = Field(gt=0, description="Dense peak, TFLOP/s.")
    bandwidth: float = Field(gt=0, description="Of its memory, GB/s.")
    dollars: float = Field(gt=0, description="Of one, an hour.")
    priced: date

    @property
    def memory(self) -> int:
        """Bytes."""
        return self.memory_mib * 2**20

    @property
    def gib(self) -> float:
        return self.memory / GIB


class Catalogue(Section):
    here: Here
    utilisation: Utilisation
    gpus: dict[str, Gpu] = Field(min_length=1)

    def gpu(self, kind: str) -> Gpu | None:
        """None is this machine. Errors: LamarckError that lists the kinds there are."""
        if kind == HERE:
            return None
        if kind not in self.gpus:
            raise LamarckError(f"{CATALOGUE} has no GPU called {kind!r}: it has {', '.join(self.gpus)}, or {HERE}")
        return self.gpus[kind]


def load_catalogue() -> Catalogue:
    return load_section(CATALOGUE, Catalogue)


@dataclass(frozen=True)
class Speed:
    """Tokens a second of all GPUs together, and where the number is from."""

    tokens_per_second: float
    source: str


def training_speed(catalogue: Catalogue, machine: StageMachine, shape: Shape, recipe: Recipe, recomputed: int) -> Speed:
    """`recomputed`: layers that are computed again in the backward pass."""
    if machine.tokens_per_second:
        return Speed(machine.tokens_per_second, "the configuration")
    gpu = catalogue.gpu(machine.gpu)
    if gpu is None:
        return Speed(catalogue.here.training / (HERE_OPERATIONS * shape.parameters), "operations of one core")
    share, again = catalogue.utilisation.training_share(shape), recomputed / shape.layers
    operations = KEPT_OPERATIONS + again * AGAIN + (0 if recipe.form == "adapter" else OWN_GRADIENT)
    return Speed(
        machine.count * share * gpu.bf16 * TERA / (operations * shape.parameters),
        f"{share:.0%} of the bf16 peak, {recomputed} of {shape.layers} layers computed twice",
    )


def writing_speed(
    catalogue: Catalogue, machine: StageMachine, shape: Shape, weights: Format, rows: int, new_tokens: int
) -> Speed:
    """Decoding reads all weights and the rows' caches, half full on average, for one token of each row: bandwidth
    decides (Pope et al. 2022, arXiv:2211.05102, section 2.1), until the operations of many rows do."""
    if machine.tokens_per_second:
        return Speed(machine.tokens_per_second, "the configuration")
    gpu = catalogue.gpu(machine.gpu)
    if gpu is None:
        return Speed(catalogue.here.writing / (WRITING_OPERATIONS * shape.parameters), "operations of one core")
    share = catalogue.utilisation.writing
    read = weight_bytes(shape, weights, 2) + rows * cache_bytes(shape) * new_tokens / 2
    by_bandwidth = read / (machine.count * share * gpu.bandwidth * GIGA)
    operations = WRITING_OPERATIONS * shape.parameters * rows
    by_operations = operations / (machine.count * catalogue.utilisation.training_share(shape) * gpu.bf16 * TERA)
    return Speed(rows / max(by_bandwidth, by_operations), f"{share:.0%} of the bandwidth, {rows} texts side by side")


def dollars_per_device_hour(catalogue: Catalogue, machine: StageMachine) -> float:
    """Of one GPU of the machine; nothing for this one."""
    return dollars_per_hour(catalogue, machine) / machine.count


def dollars_per_hour(catalogue: Catalogue, machine: StageMachine) -> float:
    """Of all GPUs of the machine; nothing for this one."""
    gpu = catalogue.gpu(machine.gpu)
    if gpu is None:
        return 0.0
    return machine.count * (machine.dollars_per_hour or gpu.dollars)
