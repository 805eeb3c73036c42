"""What vLLM asks for where there is no GPU: the memory that a model and a batch need, however much the machine has.

A share of the whole, which vLLM takes by default, is too little on a small machine and too much on a large one. Runs in
vLLM's own environment, loaded by its path, and is imported by the tests: the standard library, and vLLM in functions.
"""

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

GIB = 2**30
# Of a process with vLLM in it, its model and cache apart: 0.49 to 0.61 GiB were resident (vLLM 0.32, x86-64).
PROCESS = 3 * GIB // 4
# Of a token in a step, in widths of the stream: the stream, queries, keys and values, and the wide part of the MLP.
WIDTHS = 16
FLOAT32 = 4
REFUSED = 3  # the exit code that says that the last line of standard error is all there is to say; as in worker.py


class Need(NamedTuple):
    """In bytes. `front`: processes beside the workers. `weights`: of all workers together, with the adapter.

    Of each worker: `token` is the cache of one token in all its layers, `step` what is held while tokens are read.
    `length`: tokens of the longest text. `block`: tokens that the cache is handed out by.
    """

    front: int
    workers: int
    weights: int
    step: int
    token: int
    length: int
    block: int

    @property
    def processes(self) -> int:
        """A single worker has no process of its own."""
        return self.front + (self.workers if self.workers > 1 else 0)

    @property
    def apart_from_cache(self) -> int:
        return self.processes * PROCESS + self.weights + self.workers * self.step

    def cache(self, texts: int) -> int:
        """Of one worker, for so many texts side by side, each as long as it may be: whole blocks, and the one that
        vLLM keeps for itself (Kwon et al. 2023, arXiv:2309.06180, section 4.3)."""
        return (texts * -(-self.length // self.block) + 1) * self.block * self.token

    def total(self, texts: int) -> int:
        return self.apart_from_cache + self.workers * self.cache(texts)

    def fitting(self, texts: int, available: int) -> int:
        """How many of these texts fit side by side; 0 where not even one does."""
        each = self.workers * (self.cache(1) - self.cache(0))
        return max(0, min(texts, (available - self.total(0)) // each))


class TooLittleMemory(Exception):
    """Its text is one sentence, meant for whoever configured the engine."""


def cache_bytes(need: Need, texts: int, at_least: int, available: int) -> int:
    """The cache of one worker for `texts` side by side; where they do not fit, for as many as fit in half of
    `available` bytes, so that other programs have room, and for `at_least` of them in any case.

    Errors: TooLittleMemory where not even those fit in all of it.
    """
    fitting = need.fitting(texts, available)
    if fitting < at_least:
        parts = {
            f"{need.processes} process{'es' if need.processes > 1 else ''}": need.processes * PROCESS,
            "weights": need.weights,
            "a step": need.workers * need.step,
            "cache": need.workers * need.cache(at_least),
        }
        whole, missing = _gib(need.total(at_least)), _gib(need.total(at_least) - available)
        listed = ", ".join(f"{name} {_gib(part)}" for name, part in parts.items())
        what = f"{at_least} text{'s' if at_least > 1 else ''} of {need.length} tokens"
        advice = f"set engine.batch_size to {fitting}" if fitting else "lower engine.max_length, or free memory"
        raise TooLittleMemory(
            f"vLLM needs {whole} for {what} side by side ({listed}), and {missing} of that are missing: {advice}"
        )
    return need.cache(fitting if fitting == texts else max(at_least, need.fitting(texts, available // 2)))


def _gib(number: int) -> str:
    return f"{number / GIB:.2f} GiB"


def cache_or_exit(arguments: dict[str, Any], adapter: dict[str, Any] | None, front: int, at_least: int) -> int:
    """The cache of one worker, in bytes, of a vLLM with these EngineArgs on this machine's CPU.

    Where it does not fit the process ends, with the sentence that says so.
    """
    from vllm.engine.arg_utils import EngineArgs

    config = EngineArgs(**arguments).create_engine_config()
    need = _need(config, Path(arguments["model"]), Path(adapter["path"]) if adapter else None, front)
    try:
        return cache_bytes(need, arguments["max_num_seqs"], at_least, _available())
    except TooLittleMemory as error:
        print(error, file=sys.stderr, flush=True)
        sys.exit(REFUSED)


def _need(config: Any, weights: Path, adapter: Path | None, front: int) -> Need:
    """`config`: vLLM's VllmConfig."""
    model, parallel = config.model_config, config.parallel_config
    wide: int = model.dtype.itemsize
    read, length = config.scheduler_config.max_num_batched_tokens, model.max_model_len
    # Scoring a prompt holds its logits, their logarithms in float32, and what they are computed with.
    logits = min(read, length) * model.get_vocab_size() * 3 * FLOAT32
    # vLLM has a copy of an adapter, and beside it one that is padded to at most twice its rank.
    adapters = 3 * parameters(adapter) if adapter else 0
    return Need(
        front=front,
        workers=parallel.tensor_parallel_size,
        # Quantised weights are loaded in full and made smaller afterwards.
        weights=(parameters(weights) + adapters) * wide,
        step=read * model.get_hidden_size() * WIDTHS * wide + logits,
        # Keys and values (Pope et al. 2022, arXiv:2211.05102, section 3.3).
        token=model.get_num_layers(parallel) * 2 * model.get_num_kv_heads(parallel) * model.get_head_size() * wide,
        length=length,
        block=config.cache_config.block_size,
    )


def parameters(folder: Path) -> int:
    """Numbers in the safetensors files of a folder, from their headers: a length in 8 bytes, then JSON."""
    count = 0
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        for name, tensor in header.items():
            if name != "__metadata__":
                size = 1
                for length in tensor["shape"]:
                    size *= length
                count += size
    return count


def _available() -> int:
    """Bytes that are free on the memory node that vLLM takes its memory from, within the container's limit: vLLM's own
    account, by which it would refuse a cache that is larger."""
    from vllm.utils.cpu_resource_utils import get_allowed_cpu_list, get_memory_node_info

    available: int = get_memory_node_info(get_allowed_cpu_list()[0].numa_node).available_memory
    return available
