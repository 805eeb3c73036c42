"""Text generation behind one small interface, so that no stage knows what serves the model."""

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from lamarck.config import THIS_MACHINE, StageMachine
from lamarck.config.engine import EngineConfig
from lamarck.heavy_imports import heavy_imports


class Engine(Protocol):
    """A model that continues text. Every method takes a whole batch: engines order and pack it as they like."""

    @property
    def device_name(self) -> str:
        """Where the model runs, for the records: cpu, cuda, server."""
        ...

    def generate(
        self,
        prompts: list[str],
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        forms: Sequence[str | None] | None = None,
        on_done: Callable[[int], None] = lambda finished: None,
    ) -> list[str]:
        """Continue each prompt up to the end-of-sequence token or `max_new_tokens`.

        `forms`: for each prompt a regular expression (lamarck/skills/forms.py), or None. An engine that can, and is
        configured to, holds the model to it from the end of its reasoning on; no other looks at it.
        Temperature 0 is greedy. `on_done` is told how many prompts have just been finished.
        Returns the continuations alone, in the order of the prompts; one whose chat template has opened the model's
        reasoning begins with `<think>`.
        """
        ...

    def loglikelihoods(self, texts: list[str]) -> list[float]:
        """Log probability of each whole text, in nats, from the start-of-sequence token on."""
        ...


def prepare_libraries(threads: int) -> None:
    """Before torch and its friends are imported, because they read these once: the CPU threads; and no bars and notices
    of their own, which would draw a line a task and a line a file."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.environ["TQDM_DISABLE"] = "1"
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    warnings.filterwarnings("ignore", category=FutureWarning)


def load_engine(
    config: EngineConfig, weights: Path, change: Path | None, machine: StageMachine = THIS_MACHINE
) -> Engine:
    """The engine that the configuration names, serving what `change`, a trained child, makes of the founder's weights.

    Errors: LamarckError where `machine` has a GPU and none is seen here, unless a server has its own.
    """
    # Imports that light commands must not pay: torch and transformers are seconds.
    if config.kind == "server":
        from lamarck.engine.server import ServerEngine

        return ServerEngine(config, weights, change)
    if config.kind == "vllm":
        from lamarck.engine.vllm import VLLMEngine

        return VLLMEngine(config, weights, change, machine)
    with heavy_imports():
        from lamarck.engine.hf import HFEngine

    return HFEngine(config, weights, change, machine)
