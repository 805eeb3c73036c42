"""Which GPU to rent: the cheapest that is large enough, within the ceiling."""

from dataclasses import dataclass

from snakemake_executor_plugin_runpod.api import Gpu
from snakemake_executor_plugin_runpod.errors import RunPodError

# What is rented runs NVIDIA's libraries: a cheaper kind of another maker has the memory, and cannot run them.
MANUFACTURER = "NVIDIA"


@dataclass(frozen=True)
class Need:
    """What a run asks of its pod; `memory` in GB a GPU, `cloud` SECURE or COMMUNITY; `ids` empty for any kind; the
    machine's driver has CUDA `min_cuda` or later, None for any. `apart`: jobs of another name have another pod, and
    this one does a job at a time; empty: they share it."""

    memory: int
    count: int
    cloud: str
    ids: tuple[str, ...]
    min_cuda: str | None = None
    apart: str = ""


@dataclass(frozen=True)
class Ceiling:
    """Dollars: of the whole run, and of an hour (None: no limit of its own)."""

    run: float
    hour: float | None

    @property
    def hourly(self) -> float:
        """A pod must be affordable for at least one hour."""
        return self.run if self.hour is None else min(self.run, self.hour)


@dataclass(frozen=True)
class Candidate:
    """One kind of GPU, with `memory` in GB each, as a pod of `count`; `price` in dollars an hour for all of them."""

    id: str
    memory: int
    count: int
    cloud: str
    price: float
    free: bool


def candidates(gpus: list[Gpu], need: Need, ceiling: Ceiling) -> list[Candidate]:
    """Every pod that would do, cheapest first, free or not.

    Errors: RunPodError where no kind is large enough, or the cheapest costs more than the ceiling.
    """
    fitting = [_priced(gpu, need) for gpu in gpus if _fits(gpu, need)]
    kinds = f" among {', '.join(need.ids)}" if need.ids else ""
    if not fitting:
        raise RunPodError(
            f"no GPU{kinds} has {need.memory} GB with {need.count} to a pod in the {need.cloud} cloud: "
            "lower --runpod-gpu-memory or --runpod-gpu-count, or name other kinds"
        )
    fitting.sort(key=lambda each: (each.price, each.id))
    affordable = [each for each in fitting if each.price <= ceiling.hourly]
    if not affordable:
        cheapest = fitting[0]
        raise RunPodError(
            f"the ceiling of ${ceiling.hourly:.2f} is below one hour of the cheapest pod{kinds} "
            f"({cheapest.count} x {cheapest.id}, ${cheapest.price:.2f}): raise --runpod-max-dollars "
            "and --runpod-max-dollars-per-hour, or ask for a smaller GPU"
        )
    return affordable


def _fits(gpu: Gpu, need: Need) -> bool:
    offered, most, price = (
        (gpu.secure, gpu.maxCount.secure, gpu.price.secure)
        if need.cloud == "SECURE"
        else (gpu.community, gpu.maxCount.community, gpu.price.community)
    )
    named = not need.ids or gpu.id in need.ids
    # A price of nothing is a kind that is not for sale.
    made = gpu.manufacturer == MANUFACTURER
    return made and named and offered and price > 0 and gpu.memory >= need.memory and most >= need.count


def _priced(gpu: Gpu, need: Need) -> Candidate:
    one = gpu.price.secure if need.cloud == "SECURE" else gpu.price.community
    return Candidate(
        gpu.id, gpu.memory, need.count, need.cloud, one * need.count, gpu.availability not in (None, "NONE")
    )
