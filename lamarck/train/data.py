"""Curriculum items as token examples, and the batch of every step: a pure function of seed and step."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from transformers import PreTrainedTokenizerBase

from lamarck.budget.work import rows_at_once
from lamarck.curriculum.item import Item
from lamarck.errors import LamarckError
from lamarck.models.chat import opened_reasoning
from lamarck.models.tokens import answer_tokens, prompt_tokens
from lamarck.seeds import seed_for

IGNORED = -100  # The label that torch's cross-entropy leaves out.


@dataclass(frozen=True)
class Exercise:
    """A prompt, and what is to be learned: the answer, and before it the reasoning, if there is one."""

    prompt: str
    answer: str
    reasoning: str = ""
    difficulty: int = 0


@dataclass(frozen=True)
class Example:
    """Token ids of prompt and answer; only those from `answer_start` on are trained."""

    tokens: tuple[int, ...]
    answer_start: int
    difficulty: int = 0

    @property
    def answers(self) -> int:
        """Tokens that are trained; the first of a text has nothing before it to be predicted from."""
        return len(self.tokens) - max(self.answer_start, 1)


@dataclass(frozen=True)
class Dataset:
    examples: list[Example]
    too_long: int  # examples left out: without its end an answer teaches to go on for ever


def exercises(items: Sequence[Item], reasoning: Literal["left out", "learned"]) -> list[Exercise]:
    """What is learned of each item, behind its context, if it has one. A text of reasoning is learned where the recipe
    says so and the item has one."""
    return [
        Exercise(
            f"{item.context}\n\n{item.prompt}" if item.context else item.prompt,
            item.completion,
            # What it thought while it made up the problem is no way to solve it, nor the other way round.
            item.reasoning if reasoning == "learned" and item.reasoning_of == item.task else "",
            item.difficulty,
        )
        for item in items
    ]


def tokenize(exercises: Sequence[Exercise], tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> Dataset:
    """Exercises as examples; one of more than `max_tokens` is left out. Errors: LamarckError when all of them are."""
    opened = opened_reasoning(tokenizer)
    answers = answer_tokens([(each.reasoning, each.answer) for each in exercises], tokenizer, opened)
    starts = prompt_tokens([each.prompt for each in exercises], tokenizer)
    examples: list[Example] = []
    too_long = 0
    for start, answer, each in zip(starts, answers, exercises, strict=True):
        tokens = (*start, *answer, tokenizer.eos_token_id)
        if len(tokens) <= max_tokens:
            examples.append(Example(tokens, len(start), each.difficulty))
        else:
            too_long += 1
    if not examples:
        raise LamarckError(
            f"nothing to train on: every example is longer than the {max_tokens} tokens of recipe.max_tokens"
        )
    return Dataset(examples, too_long)


class Batches:
    """Step -> batch. Every epoch is shuffled by its own seed, so that a resumed run needs no state from before."""

    def __init__(
        self, examples: list[Example], batch_size: int, seed: int, padding: int, easy_to_hard: bool = False
    ) -> None:
        """`easy_to_hard`: every epoch runs through the difficulties in their order, shuffled within each."""
        self.easy_to_hard = easy_to_hard
        self.examples = examples
        self.batch_size = batch_size
        self.seed = seed
        self.padding = padding
        self._epoch = -1
        self._order: list[int] = []

    def at(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(inputs, labels) of a step, both (batch, longest), padded on the right."""
        return self._pad(self.examples_at(step))

    def parts(self, step: int, rank: int = 0, size: int = 1) -> Iterator[tuple[torch.Tensor, torch.Tensor, float]]:
        """What process `rank` of `size` computes of a step's batch, in parts of like length: (inputs, labels, share of
        the whole step's answer tokens). Each process has as many parts, of about the same lengths.

        The parts' mean losses, weighted by their shares, are the mean over the whole batch; which examples share a
        step does not change, as it would if whole batches were made of like lengths.
        """
        chosen = sorted(self.examples_at(step), key=lambda example: len(example.tokens))
        answers = sum(example.answers for example in chosen)
        own = chosen[rank::size]
        rows = rows_at_once(self.batch_size // size)
        for first in range(0, len(own), rows):
            part = own[first : first + rows]
            yield *self._pad(part), sum(example.answers for example in part) / answers

    def _pad(self, chosen: list[Example]) -> tuple[torch.Tensor, torch.Tensor]:
        longest = max(len(example.tokens) for example in chosen)
        inputs = [[*example.tokens, *[self.padding] * (longest - len(example.tokens))] for example in chosen]
        labels = [
            [IGNORED] * example.answer_start
            + list(example.tokens[example.answer_start :])
            + [IGNORED] * (longest - len(example.tokens))
            for example in chosen
        ]
        return torch.tensor(inputs), torch.tensor(labels)

    def tokens_at(self, step: int) -> int:
        """Tokens of a step's examples, padding left out: what a throughput may count."""
        return sum(len(example.tokens) for example in self.examples_at(step))

    def examples_at(self, step: int) -> list[Example]:
        first = step * self.batch_size
        return [self._example(position) for position in range(first, first + self.batch_size)]

    def _example(self, position: int) -> Example:
        epoch, place = divmod(position, len(self.examples))
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = list(range(len(self.examples)))
            random.Random(seed_for(self.seed, "epoch", str(epoch))).shuffle(self._order)
            if self.easy_to_hard:
                self._order.sort(key=lambda row: self.examples[row].difficulty)
        return self.examples[self._order[place]]


def show_example(example: Example, tokenizer: PreTrainedTokenizerBase) -> str:
    """One example with its mask: what is read, and in brackets what is learned."""
    read = tokenizer.decode(example.tokens[: example.answer_start])
    learned = tokenizer.decode(example.tokens[example.answer_start :])
    return f"{read} [{learned}]"
