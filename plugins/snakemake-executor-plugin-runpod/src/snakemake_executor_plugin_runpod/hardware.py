"""What a pod really has, looked at in its first seconds: nothing is sent to one that is not what was rented."""

import re
from dataclasses import dataclass

from snakemake_executor_plugin_runpod.choose import Candidate
from snakemake_executor_plugin_runpod.text import plain

# A line `gpu NAME, MEMORY IN MIB, DRIVER` for each, `cuda 13.0`, `disk BYTES`.
LOOK = """
nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader,nounits 2>&1 | sed 's/^/gpu /'
nvidia-smi 2>/dev/null | sed -n 's/.*CUDA Version: *\\([0-9.]*\\).*/cuda \\1/p'
df --block-size=1 --output=avail . | tail -n 1 | sed 's/^ */disk /'
"""
# Drivers keep some of a GPU's memory, and file systems some of a disk.
MEMORY_SHARE, DISK_SHARE = 0.95, 0.8
GB, MIB = 1e9, 2**20


@dataclass(frozen=True)
class Gpu:
    name: str
    bytes: float


def shortcoming(printed: str, wanted: Candidate, min_cuda: str | None, disk: int) -> str | None:
    """One sentence about the first thing in which a pod is less than was rented, from what LOOK printed; None: nothing.
    `disk` in GB."""
    lines = plain(printed).splitlines()
    gpus = [gpu for line in lines if line.startswith("gpu ") and (gpu := _gpu(line.removeprefix("gpu ")))]
    if not gpus:
        said = next((line.removeprefix("gpu ") for line in lines if line.startswith("gpu ")), "it says nothing")
        return f"nvidia-smi shows no GPU on it ({said})"
    if len(gpus) != wanted.count:
        return f"it has {len(gpus)} GPUs, not the {wanted.count} that were rented"
    if other := next((gpu.name for gpu in gpus if gpu.name != wanted.id), None):
        return f"it has a {other}, not the {wanted.id} that was rented"
    if small := next((gpu for gpu in gpus if gpu.bytes < MEMORY_SHARE * wanted.memory * GB), None):
        return f"its {small.name} has {small.bytes / GB:.0f} GB, not the {wanted.memory} that were rented"
    cuda = _after(lines, "cuda ")
    if min_cuda and (cuda is None or _version(cuda) < _version(min_cuda)):
        return f"its driver has CUDA {cuda or 'of no known version'}, and {min_cuda} is needed"
    free = _after(lines, "disk ")
    if free is None or not free.isdigit() or int(free) < DISK_SHARE * disk * GB:
        return f"its disk has {int(free or 0) / GB:.0f} GB free, not the {disk} that were rented"
    return None


def _gpu(line: str) -> Gpu | None:
    """`NVIDIA H100 80GB HBM3, 81559, 580.65.06`"""
    found = re.fullmatch(r"(.+), (\d+), (\S+)", line.strip())
    return Gpu(found[1], int(found[2]) * MIB) if found else None


def _after(lines: list[str], prefix: str) -> str | None:
    return next((line.removeprefix(prefix).strip() for line in lines if line.startswith(prefix)), None)


def _version(text: str) -> tuple[int, ...]:
    """`12.10` is later than `12.9`."""
    return tuple(int(part) for part in text.split(".") if part.isdigit())
