"""How a process of vLLM is started, the engine's (vllm.py) and the server's (lamarck/serve/vllm.py) alike. Light."""

import os
from pathlib import Path
from typing import Any

from lamarck.config.engine import VLLMEngineConfig
from lamarck.errors import LamarckError
from lamarck.files import read_json

QUANTIZATIONS = {"none": None, "fp8": "fp8_per_channel"}  # as vLLM calls them

# Where it is set, vLLM for CPUs takes a cache of so many GiB, whatever it is asked for.
OLD_CACHE_SIZE = "VLLM_CPU_KVCACHE_SPACE"


def vllm_python(config: VLLMEngineConfig) -> Path:
    """The Python of vLLM's environment. Errors: LamarckError where that has not been made."""
    python = Path(config.python)
    if not python.exists():
        raise LamarckError(f"{python} does not exist: `make vllm` makes vLLM's environment; engine.python names it")
    return python


def model_settings(config: VLLMEngineConfig, model: Path, adapter: Path | None) -> dict[str, Any]:
    """What vLLM is to load and how, for `engine_arguments` in vllm_worker.py: a model directory with an adapter."""
    return {
        "weights": str(model.resolve()),
        "adapter": _adapter(adapter) if adapter else None,
        "dtype": config.dtype,
        "quantization": QUANTIZATIONS[config.quantization],
        "tensor_parallel": config.tensor_parallel,
        "memory_share": config.memory_share,
        "max_length": config.max_length,
        "batch_size": config.batch_size,
    }


def _adapter(path: Path) -> dict[str, Any]:
    """A PEFT adapter: where it lies, the largest rank of any layer, and the names of the layers that it is on."""
    content = read_json(path / "adapter_config.json")
    return {
        "path": str(path.resolve()),
        "rank": max([content["r"], *content["rank_pattern"].values()]),
        "layers": sorted({name.rsplit(".", 1)[-1] for name in content["target_modules"]}),
    }


def environment(config: VLLMEngineConfig) -> dict[str, str]:
    """The environment variables of every process of vLLM: ours, and what it needs to keep to this machine."""
    own = {
        "OMP_NUM_THREADS": str(config.threads),
        # Without a GPU vLLM would bind its threads to cores that other jobs are using.
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        # In one process requests are scheduled in the order in which they are asked, which makes a seed's answers
        # reproducible; and no process beside the worker needs ending. The server has two: without this, three.
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        # Nothing leaves this machine.
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
        "TQDM_DISABLE": "1",
    }
    theirs = {name: value for name, value in os.environ.items() if name != OLD_CACHE_SIZE}
    return {"VLLM_LOGGING_LEVEL": "WARNING"} | theirs | own
