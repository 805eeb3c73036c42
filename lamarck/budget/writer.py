"""An engine that writes on a GPU: how much it holds, how many texts side by side, and what else would fit."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from lamarck.budget.machine import Catalogue, Gpu
from lamarck.budget.memory import BFLOAT16, FLOAT32, Format, Memory, vllm_memory, writing_memory
from lamarck.budget.shape import Shape
from lamarck.config.engine import HFEngineConfig, VLLMEngineConfig

GPUS = (1, 2, 4, 8)  # that one machine may have, and a model's heads be split over


@dataclass(frozen=True)
class Writer:
    """`longest`: new tokens of the longest text. `rank`: of the adapter."""

    engine: HFEngineConfig | VLLMEngineConfig
    shape: Shape
    rank: int
    longest: int

    @property
    def format(self) -> Format:
        if self.engine.kind == "vllm" and self.engine.quantization == "fp8":
            return "fp8"
        return self.engine.dtype

    @property
    def gpus(self) -> int:
        return self.engine.tensor_parallel if self.engine.kind == "vllm" else 1

    def batch(self, gpu: Gpu | None) -> tuple[int, Memory]:
        """Texts side by side on such GPUs, and what each of them holds then; None is a machine without one.

        `hf` decodes a whole batch or fails. vLLM lets texts wait for room, so it has as many at work as fit; where not
        even one does, the memory is that of one.
        """
        if gpu is None or self.engine.kind == "hf":
            return self.engine.batch_size, self._memory(self.engine.batch_size, gpu)
        sizes = range(self.engine.batch_size, 0, -1)
        rows = next((rows for rows in sizes if self._memory(rows, gpu).total <= gpu.memory), 1)
        return rows, self._memory(rows, gpu)

    def fits(self, gpu: Gpu) -> bool:
        return self.batch(gpu)[1].total <= gpu.memory

    def _memory(self, rows: int, gpu: Gpu | None) -> Memory:
        if self.engine.kind == "hf":
            memory = writing_memory(self.shape, self.format, rows, self.longest, self.rank)
            return memory.with_reserve() if gpu else memory
        unused = (1 - self.engine.memory_share) * gpu.memory if gpu else 0.0
        wide = FLOAT32 if self.engine.dtype == "float32" else BFLOAT16
        return vllm_memory(self.shape, self.format, wide, rows, self.longest, self.rank, self.gpus, unused)


def writes_on(catalogue: Catalogue, writer: Writer, kind: str) -> Iterator[str]:
    """The fewest GPUs of this kind that vLLM needs, in bfloat16 and in fp8; the cheapest for the engine as it is."""
    gpu = catalogue.gpus[kind]
    for quantization, name in (("none", "bfloat16"), ("fp8", "fp8")):
        for count in GPUS:
            engine = VLLMEngineConfig.model_validate(
                {"kind": "vllm", "dtype": "bfloat16", "quantization": quantization, "tensor_parallel": count}
            )
            if replace(writer, engine=engine).fits(gpu):
                yield f"engine vllm in {name} on {count} x {kind}"
                break
    fitting = [kind for kind, gpu in catalogue.gpus.items() if writer.fits(gpu)]
    if fitting:
        yield f"as it is on {writer.gpus} x {min(fitting, key=lambda kind: catalogue.gpus[kind].dollars)}"
