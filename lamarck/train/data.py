"""Curriculum items as token examples, and the batch of every step: a pure function of seed and step."""

import random
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerBase

from lamarck.curriculum.item import Item
from lamarck.errors import LamarckError
from lamarck.seeds import seed_for

IGNORED = -100  # The label that torch's cross-entropy leaves out.


@dataclass(frozen=True)
class Example:
    """Token ids of prompt and answer; only those from `answer_start` on are trained."""

    tokens: tuple[int, ...]
    answer_start: int


@dataclass(frozen=True)
class Dataset:
    examples: list[Example]
    too_long: int  # examples whose answer lies wholly beyond the cut: nothing of them could be trained


def tokenize(items: Iterable[Item], tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> Dataset:
    """Errors: LamarckError when no example has a token to train on."""
    examples: list[Example] = []
    too_long = 0
    for item in items:
        prompt, answer = _texts(item, tokenizer)
        start = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        rest = tokenizer(answer, add_special_tokens=False)["input_ids"]
        tokens = (*start, *rest, tokenizer.eos_token_id)[:max_tokens]
        if len(tokens) > len(start):
            examples.append(Example(tokens, len(start)))
        else:
            too_long += 1
    if not examples:
        raise LamarckError(
            f"no example has a token to train on: every prompt fills the {max_tokens} of recipe.max_tokens"
        )
    return Dataset(examples, too_long)


def _texts(item: Item, tokenizer: PreTrainedTokenizerBase) -> tuple[str, str]:
    """What the model is shown, and what it must answer; in the chat form where the tokenizer has a template."""
    if not tokenizer.chat_template:
        return item.prompt, f" {item.completion}"
    messages = [{"role": "user", "content": item.prompt}]
    prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return prompt, item.completion


class Batches:
    """Step -> batch. Every epoch is shuffled by its own seed, so that a resumed run needs no state from before."""

    def __init__(self, examples: list[Example], batch_size: int, seed: int, padding: int) -> None:
        self.examples = examples
        self.batch_size = batch_size
        self.seed = seed
        self.padding = padding
        self._epoch = -1
        self._order: list[int] = []

    def at(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(inputs, labels) of a step, both (batch, longest), padded on the right."""
        first = step * self.batch_size
        chosen = [self._example(position) for position in range(first, first + self.batch_size)]
        longest = max(len(example.tokens) for example in chosen)
        inputs = [[*example.tokens, *[self.padding] * (longest - len(example.tokens))] for example in chosen]
        labels = [
            [IGNORED] * example.answer_start
            + list(example.tokens[example.answer_start :])
            + [IGNORED] * (longest - len(example.tokens))
            for example in chosen
        ]
        return torch.tensor(inputs), torch.tensor(labels)

    def _example(self, position: int) -> Example:
        epoch, place = divmod(position, len(self.examples))
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = list(range(len(self.examples)))
            random.Random(seed_for(self.seed, "epoch", str(epoch))).shuffle(self._order)
        return self.examples[self._order[place]]


def show_example(example: Example, tokenizer: PreTrainedTokenizerBase) -> str:
    """One example with its mask: what is read, and in brackets what is learned."""
    read = tokenizer.decode(example.tokens[: example.answer_start])
    learned = tokenizer.decode(example.tokens[example.answer_start :])
    return f"{read} [{learned}]"
