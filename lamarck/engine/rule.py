"""An engine without a model: it answers each prompt by a rule. Light."""

import random
from collections.abc import Callable, Sequence

from lamarck.errors import LamarckError


class RuleEngine:
    """`answer` gets a prompt and a source of chance that the call's seed decides. `asked` holds every prompt so far."""

    device_name = "cpu"

    def __init__(self, answer: Callable[[str, random.Random], str]) -> None:
        self._answer = answer
        self.asked: list[str] = []

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
        self.asked += prompts
        rng = random.Random(seed)
        texts = [self._answer(prompt, rng) for prompt in prompts]
        on_done(len(texts))
        return texts

    def loglikelihoods(self, texts: list[str]) -> list[float]:
        raise LamarckError("a rule gives no probabilities")
