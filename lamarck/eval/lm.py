"""An engine as lm-eval sees a model: lm-eval asks and scores, the engine batches."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from lamarck.engine import Engine
from lamarck.engine.answer import without_reasoning
from lamarck.errors import LamarckError

# What a generation request may say. Anything else would be dropped silently, so it is refused.
KNOWN = {"until", "max_gen_toks", "do_sample", "temperature"}


class EngineLM(LM):
    """Greedy generation and log-likelihoods of whole texts, each in as few engine calls as their settings allow."""

    def __init__(self, engine: Engine, on_done: Callable[[int], None] = lambda finished: None) -> None:
        super().__init__()
        self.engine = engine
        self.on_done = on_done

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Answers in the order of the requests, without reasoning, each cut before the first of its `until` strings.

        Reasoning goes first: the strings that end an answer are common in it.

        Requests that may be equally long share one engine call: a longer answer than a task allows is never seen.
        """
        by_limit: dict[int, list[int]] = defaultdict(list)
        for position, request in enumerate(requests):
            by_limit[_limit(request.args[1])].append(position)
        answers = [""] * len(requests)
        for limit, positions in sorted(by_limit.items()):
            prompts = [requests[position].args[0] for position in positions]
            texts = self.engine.generate(prompts, max_new_tokens=limit, on_done=self.on_done)
            for position, text in zip(positions, texts, strict=True):
                answers[position] = _cut(without_reasoning(text), requests[position].args[1].get("until", []))
        return answers

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """Nats of each whole text."""
        return self.engine.loglikelihoods([request.args[0] for request in requests])

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        raise LamarckError("the engine scores whole texts only: a task may not ask for output_type loglikelihood")


def _limit(settings: dict[str, Any]) -> int:
    """Longest answer, in tokens, of one request. Errors: LamarckError for settings that would not be honoured."""
    unknown = sorted(settings.keys() - KNOWN)
    if unknown:
        raise LamarckError(f"generation_kwargs {', '.join(unknown)} would be ignored: the suite decodes greedily")
    if settings.get("do_sample") or settings.get("temperature"):
        raise LamarckError("the suite decodes greedily: a task may not ask for sampling")
    return int(settings["max_gen_toks"])


def _cut(text: str, until: str | list[str]) -> str:
    """`text` before the first occurrence of any stop string."""
    for stop in [until] if isinstance(until, str) else until:
        text = text.split(stop, 1)[0]
    return text
