"""The vLLM engine: whole batches, in vLLM's own environment and a process of its own (Kwon et al. 2023,
arXiv:2309.06180). vLLM pins other versions of transformers than we do, so the two cannot be imported together.

Prompts are put into tokens here and answers out of them, exactly as the engine `hf` does: vLLM only continues tokens.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lamarck.config import HERE, THIS_MACHINE, StageMachine
from lamarck.config.engine import VLLMEngineConfig
from lamarck.engine.tokens import end_tokens, start_token
from lamarck.engine.vllm_process import environment, model_settings, vllm_python
from lamarck.engine.worker import Refused, Worker
from lamarck.errors import LamarckError
from lamarck.models.change import lay_out
from lamarck.models.chat import BEFORE_ANSWER, ends_reasoning, opened_reasoning
from lamarck.models.device import without_gpu
from lamarck.models.opening import does_not_open, generation_config, open_tokenizer
from lamarck.models.tokens import prompt_tokens, text_tokens
from lamarck.seeds import seed_for

PROGRAM = Path(__file__).with_name("vllm_worker.py")


class VLLMEngine:
    def __init__(
        self, config: VLLMEngineConfig, weights: Path, change: Path | None, machine: StageMachine = THIS_MACHINE
    ) -> None:
        python = vllm_python(config)
        self._tokenizer = open_tokenizer(weights)
        try:
            self._end = end_tokens(generation_config(weights), self._tokenizer)
        except (OSError, ValueError) as error:
            raise LamarckError(does_not_open(weights, error)) from error
        self._start = start_token(self._tokenizer, self._end)
        self._opened = opened_reasoning(self._tokenizer)
        self._enforced = config.forms == "enforced"
        # An answer, and with it its form, begins where reasoning ends.
        reasons = self._enforced and ends_reasoning(self._tokenizer)
        own = {"stop_token_ids": self._end, "forms": self._enforced, "reasons": reasons}
        own["without_gpu"] = None if machine.gpu == HERE else without_gpu(machine, 0)
        # First what the hub may have to be asked for: no process waits for it, and its refusal is not vLLM's.
        self._files = lay_out(weights, change)  # held as long as vLLM may read them
        settings = model_settings(config, self._files.directory, self._files.adapter) | own
        self.worker = Worker(python, PROGRAM, environment(config))
        try:
            loaded = self.worker.ask(settings)
        except Refused:
            raise
        except LamarckError as error:
            raise LamarckError(f"vLLM did not start: {error}; `make vllm` makes its environment") from None
        self._device: str = loaded["device"]
        self.version: str = loaded["version"]
        self.longest: int = loaded["max_length"]

    @property
    def device_name(self) -> str:
        return f"{self._device}, vLLM {self.version}"

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
        if not prompts:
            return []
        tokens = prompt_tokens(prompts, self._tokenizer)
        self._check_length(max(len(row) for row in tokens), max_new_tokens)
        request = {
            "task": "generate",
            "prompts": tokens,
            "max_new_tokens": max_new_tokens,
            "temperature": temperature,
            "top_p": top_p,
            # By place, so that the same prompt asked twice in a batch gets two answers.
            "seeds": [seed_for(seed, str(place)) for place in range(len(prompts))],
            "forms": [form and BEFORE_ANSWER + form for form in forms or []] if self._enforced else [],
        }
        answers: list[list[int]] = self._ask(request, on_done)
        texts = self._tokenizer.batch_decode(answers, skip_special_tokens=True)
        return [self._opened + text for text in texts]

    def loglikelihoods(self, texts: list[str]) -> list[float]:
        if not texts:
            return []
        rows = [[self._start, *row] for row in text_tokens(texts, self._tokenizer)]
        self._check_length(max(len(row) for row in rows), 1)
        scores: list[float] = self._ask({"task": "score", "prompts": rows})
        return scores

    def _ask(self, request: dict[str, Any], on_done: Callable[[int], None] = lambda finished: None) -> Any:
        try:
            return self.worker.ask(request, on_done)["result"]
        except LamarckError as error:
            raise LamarckError(f"vLLM stopped in the middle of its work: {error}") from None

    def _check_length(self, prompt: int, new: int) -> None:
        """vLLM would cut an answer short without a word."""
        if prompt + new > self.longest:
            raise LamarckError(
                f"a text may have {prompt} tokens before its answer and {new} in it, more than the {self.longest} that "
                "vLLM has room for: raise engine.max_length (not above the model's context), or ask for less"
            )
