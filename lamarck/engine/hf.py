"""The transformers engine: batches ordered by length, finished rows dropped while the others go on.

`transformers.generate` keeps decoding finished rows until the last one ends and repeats its bookkeeping every token;
for short answers of unequal length that is most of the time. Greedy output equals its own, token by token.
"""

from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from transformers import PreTrainedTokenizerBase

from lamarck.arch.model import GenomeConfig
from lamarck.config import THIS_MACHINE, StageMachine
from lamarck.config.engine import HFEngineConfig
from lamarck.engine.cache import growing_cache
from lamarck.engine.prompts import ATTENTION, TEXTS, ReadPrompts
from lamarck.engine.sampling import VALUES, Choose, Continuation, own_luck, shared_luck
from lamarck.engine.tokens import end_tokens, start_token
from lamarck.errors import LamarckError
from lamarck.models.attention import attended_by, may_read_once
from lamarck.models.change import lay_out
from lamarck.models.chat import opened_reasoning
from lamarck.models.device import device_of
from lamarck.models.opening import open_adapter, open_model, open_tokenizer
from lamarck.models.tokens import prompt_tokens, text_tokens
from lamarck.seeds import seed_for

if TYPE_CHECKING:
    from lamarck.engine.forms import Forms

# Tokens of a prompt from which on one that is asked several times is read once: below, copying its cache costs as much.
SHARED = 16


@dataclass(frozen=True)
class ScoredText:
    """A text token by token, and the one that the model would write next. Log probabilities are in nats."""

    tokens: list[int]  # the text's, then the next one
    values: list[float]  # of every token but the first, which begins the text
    best: list[dict[int, float]]  # at the same places, the likeliest tokens, the likeliest first


class HFEngine:
    def __init__(
        self, config: HFEngineConfig, weights: Path, change: Path | None, machine: StageMachine = THIS_MACHINE
    ) -> None:
        self.batch_size = config.batch_size
        self.device = device_of(machine)
        opened = lay_out(weights, change)
        self.tokenizer, model = _load(opened.directory, opened.adapter, getattr(torch, config.dtype))
        self.model = model.to(self.device).eval()
        self._one_copy = may_read_once(self.model, self.device)
        self.end = end_tokens(self.model.generation_config, self.tokenizer)
        self.start = start_token(self.tokenizer, self.end)
        self._forms = self._held_forms() if config.forms == "enforced" else None

    def _held_forms(self) -> "Forms":
        from lamarck.engine.forms import Forms  # a library that only this needs

        return Forms(self.tokenizer, self.model.get_output_embeddings().weight.shape[0], self.end)

    @property
    def device_name(self) -> str:
        return self.device.type

    @property
    def context(self) -> int:
        """The longest text that the model was made for, in tokens."""
        return int(self.model.config.max_position_embeddings)

    @torch.inference_mode()
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
        tokens = prompt_tokens(prompts, self.tokenizer)
        opened = opened_reasoning(self.tokenizer)
        # Rows of like length share a batch: little padding, and they tend to end together.
        order = sorted(range(len(prompts)), key=lambda row: (len(tokens[row]), row))
        texts = [""] * len(prompts)
        for first in range(0, len(order), self.batch_size):
            rows = order[first : first + self.batch_size]
            generator = torch.Generator(self.device).manual_seed(seed_for(seed, str(first)))
            choose = shared_luck(temperature, top_p, generator)
            if self._forms and forms:
                choose = self._forms.hold([forms[row] for row in rows], [tokens[row] for row in rows], choose)
            steps = self._decode([tokens[row] for row in rows], [max_new_tokens] * len(rows), choose)
            continued: list[list[int]] = [[] for _ in rows]
            # All steps first: reading a token back makes a GPU wait for it.
            for step_rows, step_tokens in list(steps):
                for row, token in zip(step_rows.tolist(), step_tokens.tolist(), strict=True):
                    continued[row].append(token)
            decoded = self.tokenizer.batch_decode(continued, skip_special_tokens=True)
            for row, text in zip(rows, decoded, strict=True):
                texts[row] = opened + text
            on_done(len(rows))
        return texts

    def stream(
        self, requests: Sequence[Continuation], dropped: Set[int] = frozenset()
    ) -> Iterator[list[tuple[int, int]]]:
        """Continue prompts with settings of their own side by side: at every step (place in `requests`, its token).

        A place is left out from the step on at which its text has ended or reached its limit, or at which it stands in
        `dropped`, which may grow meanwhile. No more than `batch_size` requests.
        """
        choose = own_luck(requests, self.device)
        limits = [request.max_new_tokens for request in requests]
        for rows, tokens in self._decode([request.tokens for request in requests], limits, choose, dropped):
            yield list(zip(rows.tolist(), tokens.tolist(), strict=True))

    @torch.inference_mode()
    def _decode(
        self, prompts: list[list[int]], limits: list[int], choose: Choose, dropped: Set[int] = frozenset()
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """One batch, step by step: the rows that go on, and their tokens, both (rows,).

        A row leaves the batch when enough of them have ended. What several rows are asked alike is read once. Errors:
        LamarckError where the model gives no numbers, of which a draw would make tokens.
        """
        asked, copies = _read_once(prompts)
        inputs, mask = self._left_pad(asked)
        # Without padding no mask is needed, and the attention kernel without one is faster.
        attention = None if bool(mask.all()) else mask
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        # A genome's model keeps more than keys and values, and makes its own at the first step.
        cache = None if isinstance(self.model.config, GenomeConfig) else growing_cache(self.model.config)
        read: ReadPrompts | None = None
        end = torch.tensor(self.end, device=self.device)
        limit = torch.tensor(limits, device=self.device)
        rows = torch.arange(len(prompts), device=self.device)
        running = torch.ones(len(prompts), dtype=torch.bool, device=self.device)
        for step in range(1, max(limits) + 1):
            with attended_by(self.model, ATTENTION) if read else nullcontext():
                output = self.model(
                    input_ids=inputs,
                    attention_mask=attention,
                    position_ids=positions,
                    past_key_values=cache,
                    use_cache=True,
                    logits_to_keep=1,
                    **({"prompts": read} if read else {}),
                )
            cache = output.past_key_values if cache is None else cache
            logits = output.logits[:, -1]
            if step == 1 and len(asked) < len(prompts):
                back = torch.tensor(copies, device=self.device)
                logits, positions = logits[back], positions[back]
                if self._one_copy and TEXTS * len(asked) <= len(prompts):
                    read = ReadPrompts(cache, list(map(len, asked)), back)
                    cache, attention = growing_cache(self.model.config), None  # of what is written from here on
                else:
                    cache.batch_select_indices(back)
                    attention = None if attention is None else attention[back]
            if bool(logits.sum(-1).isnan().any()):
                raise LamarckError(
                    "the model's logits are not numbers, so no token can be chosen: its training has diverged, or its "
                    "weights are damaged (`lamarck founder check DIR` looks at weights)"
                )
            chosen = choose(logits, rows, step)
            running = running & ~torch.isin(chosen, end)
            yield rows[running], chosen[running]
            running = running & (limit[rows] > step)
            if dropped:
                running = running & ~torch.isin(rows, torch.tensor(sorted(dropped), device=self.device))
            left = int(running.sum())
            if left == 0:
                return
            # Dropping rows copies the cache: worth it once a quarter of the batch is idle.
            if left <= 0.75 * len(running):
                keep = running.nonzero().squeeze(1)
                cache.batch_select_indices(keep)
                if read:
                    read.keep(keep)
                rows, chosen, positions, running = rows[keep], chosen[keep], positions[keep], running[keep]
                attention = None if attention is None else attention[keep]
            inputs, positions = chosen[:, None], positions[:, -1:] + 1
            if attention is not None:
                attention = torch.cat([attention, attention.new_ones(len(attention), 1)], dim=1)

    def _left_pad(self, prompts: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """(batch, longest) token ids and the mask that is 1 on real tokens; padding stands on the left."""
        longest = max(len(prompt) for prompt in prompts)
        inputs = torch.tensor([[self.end[0]] * (longest - len(prompt)) + prompt for prompt in prompts])
        mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        return inputs.to(self.device), mask.to(self.device)

    @torch.inference_mode()
    def loglikelihoods(self, texts: list[str]) -> list[float]:
        tokens = text_tokens(texts, self.tokenizer)
        if max((len(row) for row in tokens), default=0) > self.context:
            raise LamarckError(f"a text to score is longer than the model's context of {self.context} tokens: split it")
        order = sorted(range(len(texts)), key=lambda row: len(tokens[row]))
        sums = [0.0] * len(texts)
        for first in range(0, len(order), self.batch_size):
            rows = order[first : first + self.batch_size]
            scores = self.token_scores([[self.start, *tokens[row]] for row in rows])
            for row, values in zip(rows, scores, strict=True):
                sums[row] = float(values.sum())
        return sums

    @torch.inference_mode()
    def token_scores(self, batch: list[list[int]]) -> list[torch.Tensor]:
        """Log probability, in nats, of every token of each row but the first, which begins the text."""
        padded = self._right_pad(batch)
        read, written = padded[:, : max(padded.shape[1] - 1, 1)], padded[:, 1:]
        logits = self.model(input_ids=read, use_cache=False).logits[:, : written.shape[1]].flatten(0, 1)
        # A few places at a time: in 32 bits, the logits of a batch of texts would be gigabytes.
        places = max(1, VALUES // logits.shape[1])
        each = zip(logits.split(places), written.reshape(-1, 1).split(places), strict=True)
        chosen = torch.cat([torch.log_softmax(part.float(), -1).gather(1, tokens) for part, tokens in each])
        chosen = chosen.view(written.shape)
        return [values[: len(row) - 1] for values, row in zip(chosen, batch, strict=True)]

    @torch.inference_mode()
    def scored(self, batch: Sequence[list[int]], alternatives: int) -> list[ScoredText]:
        """Each row, with the `alternatives` likeliest tokens, at least one, of every place behind the first token."""
        padded = self._right_pad(batch)
        logits = self.model(input_ids=padded, use_cache=False).logits
        log_probabilities = torch.log_softmax(logits.float(), -1)
        chosen = log_probabilities[:, :-1].gather(2, padded[:, 1:, None]).squeeze(2).tolist()
        best = log_probabilities.topk(alternatives)
        texts = []
        for row, values, likely, ids in zip(batch, chosen, best.values.tolist(), best.indices.tolist(), strict=True):
            last = len(row) - 1
            places = [dict(zip(*each, strict=True)) for each in zip(ids[: last + 1], likely[: last + 1], strict=True)]
            texts.append(ScoredText([*row, ids[last][0]], [*values[:last], likely[last][0]], places))
        return texts

    def _right_pad(self, batch: Sequence[list[int]]) -> torch.Tensor:
        """(batch, longest) token ids; padding stands on the right, where causal attention never looks."""
        longest = max(len(row) for row in batch)
        return torch.tensor([row + [self.end[0]] * (longest - len(row)) for row in batch], device=self.device)


def _read_once(prompts: list[list[int]]) -> tuple[list[list[int]], list[int]]:
    """(prompts to read, for each of `prompts` its place among them)."""
    distinct = list(dict.fromkeys(map(tuple, prompts)))
    if len(distinct) == len(prompts) or max(map(len, distinct)) < SHARED:
        return prompts, list(range(len(prompts)))
    places = {prompt: place for place, prompt in enumerate(distinct)}
    return list(map(list, distinct)), [places[tuple(prompt)] for prompt in prompts]


def _load(weights: Path, adapter: Path | None, dtype: torch.dtype) -> tuple[PreTrainedTokenizerBase, torch.nn.Module]:
    tokenizer, model = open_tokenizer(weights), open_model(weights, dtype=dtype)
    if adapter is None:
        return tokenizer, model
    adapted = open_adapter(model, adapter)
    # In float32 the merged product equals the sum to rounding and saves two products a layer; in 16 bits the small
    # update would drown in the weights' rounding, so there the adapter stays beside them, as it was trained.
    if dtype == torch.float32:
        return tokenizer, adapted.merge_and_unload()
    from lamarck.models.adapters import fuse_adapters

    fuse_adapters(adapted)
    for name, value in adapted.named_parameters():
        if ".lora_" in name:
            value.data = value.data.to(dtype)  # as every product would round them
    return tokenizer, adapted
