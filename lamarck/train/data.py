"""Curriculum items as token examples, and the batch of every step: a pure function of seed and step."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedTokenizerBase

from lamarck.chat import answer_tokens, prompt_tokens
from lamarck.curriculum.item import Item
from lamarck.errors import LamarckError
from lamarck.seeds import seed_for
from lamarck.skills import get_skill

IGNORED = -100  # The label that torch's cross-entropy leaves out.
# A step's batch is split by length: short skills beside long ones are mostly padding, and more parts gain no more.
PARTS = 3


@dataclass(frozen=True)
class Example:
    """Token ids of prompt and answer; only those from `answer_start` on are trained."""

    tokens: tuple[int, ...]
    answer_start: int

    @property
    def answers(self) -> int:
        """Tokens that are trained; the first of a text has nothing before it to be predicted from."""
        return len(self.tokens) - max(self.answer_start, 1)


@dataclass(frozen=True)
class Dataset:
    examples: list[Example]
    too_long: int  # examples whose answer lies wholly beyond the cut: nothing of them could be trained


def exercises(items: Sequence[Item], writing_share: float, seed: int) -> list[tuple[str, str]]:
    """(prompt, answer) of every item, and for a share of them, drawn by `seed`, a second one in which the child writes
    the whole line, problem and answer, as its teacher did: a child that learns to answer alone forgets how to ask."""
    pairs = [(item.prompt, item.completion) for item in items]
    generator = random.Random(seed_for(seed, "writing"))
    written = [item for item in items if generator.random() < writing_share]
    return pairs + [get_skill(item.skill).written(item.prompt, item.completion) for item in written]


def tokenize(pairs: list[tuple[str, str]], tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> Dataset:
    """(prompt, answer) pairs as examples. Errors: LamarckError when no example has a token to train on."""
    examples: list[Example] = []
    too_long = 0
    starts = prompt_tokens([prompt for prompt, _ in pairs], tokenizer)
    for start, (_, answer) in zip(starts, pairs, strict=True):
        tokens = (*start, *answer_tokens(answer, tokenizer))[:max_tokens]
        if len(tokens) > len(start):
            examples.append(Example(tokens, len(start)))
        else:
            too_long += 1
    if not examples:
        raise LamarckError(
            f"no example has a token to train on: every prompt fills the {max_tokens} of recipe.max_tokens"
        )
    return Dataset(examples, too_long)


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
        return self._pad(self._examples(step))

    def parts(self, step: int) -> Iterator[tuple[torch.Tensor, torch.Tensor, float]]:
        """The batch of a step in parts of like length: (inputs, labels, share of the step's answer tokens).

        The parts' mean losses, weighted by their shares, are the mean over the whole batch; which examples share a
        step does not change, as it would if whole batches were made of like lengths.
        """
        chosen = sorted(self._examples(step), key=lambda example: len(example.tokens))
        answers = sum(example.answers for example in chosen)
        rows = -(-len(chosen) // PARTS)
        for first in range(0, len(chosen), rows):
            part = chosen[first : first + rows]
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
        return sum(len(example.tokens) for example in self._examples(step))

    def _examples(self, step: int) -> list[Example]:
        first = step * self.batch_size
        return [self._example(position) for position in range(first, first + self.batch_size)]

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
