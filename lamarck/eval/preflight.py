"""What a rented machine must be, found out in its first minutes, before anything large is fetched. One sentence else.

RUNPOD_GPU="NVIDIA H200" RUNPOD_GPUS=1 python -m lamarck.eval.preflight gpus     # torch sees and uses them
python -m lamarck.eval.preflight sandbox                                         # its rooms can be built here
"""

import argparse
import os
from dataclasses import dataclass

from lamarck.errors import LamarckError, exit_with_sentence
from lamarck.judging.sandbox import Sandbox

KIND, COUNT = "RUNPOD_GPU", "RUNPOD_GPUS"
# Of a GPU's memory, before anything runs on it: else somebody else does.
FREE_SHARE = 0.9


@dataclass(frozen=True)
class SeenGpu:
    """A GPU as torch sees it: memory in bytes."""

    name: str
    free: int
    total: int


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lamarck.eval.preflight", description="Look at this machine.")
    parser.add_argument("what", choices=("gpus", "sandbox"))
    if parser.parse_args().what == "sandbox":
        Sandbox()
        print("the sandbox can be built here")
        return
    seen = see()
    check(seen, os.environ.get(KIND, ""), int(os.environ.get(COUNT, "1")))
    use(len(seen))
    print(f"torch computes on {len(seen)} x {seen[0].name}")


def see() -> list[SeenGpu]:
    import torch  # seconds

    devices = range(torch.cuda.device_count())
    return [SeenGpu(torch.cuda.get_device_name(device), *torch.cuda.mem_get_info(device)) for device in devices]


def check(seen: list[SeenGpu], kind: str, count: int) -> None:
    """Errors: LamarckError where torch sees other GPUs than `count` of `kind` (empty: any), or full ones."""
    if len(seen) != count:
        raise LamarckError(
            f"torch sees {len(seen)} GPUs, not the {count} that were rented: its CUDA may not fit the driver"
        )
    for gpu in seen:
        if kind and gpu.name != kind:
            raise LamarckError(f"torch sees a {gpu.name}, not the {kind} that was rented")
        if gpu.free < FREE_SHARE * gpu.total:
            raise LamarckError(f"{gpu.name} has {gpu.free / gpu.total:.0%} of its memory free: somebody else uses it")


def use(count: int) -> None:
    """Compute on each GPU: one that is seen may still be broken, or none for which these libraries were made.

    Errors: LamarckError.
    """
    import torch

    for device in range(count):
        try:
            ones = torch.ones(256, 256, dtype=torch.bfloat16, device=f"cuda:{device}")
            product = float((ones @ ones)[0, 0])
        except RuntimeError as error:
            raise LamarckError(f"GPU {device} does not compute: {str(error).splitlines()[0]}") from error
        if product != 256:
            raise LamarckError(f"GPU {device} computes 256 ones as {product:g}: it is broken")


if __name__ == "__main__":
    exit_with_sentence(main)
