"""What is learned in the chat form, and what counts as a token."""

import copy
from typing import Literal

import pytest
from transformers import PreTrainedTokenizerFast

from lamarck.curriculum.item import Item
from lamarck.train.data import IGNORED, Batches, exercises, tokenize

CHAT = (
    "{% for message in messages %}<user> {{ message.content }} {% endfor %}"
    "{% if add_generation_prompt %}<assistant> {% endif %}"
)


def test_in_the_chat_form_only_the_assistants_words_are_learned(
    tiny_items: list[Item], tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.chat_template = CHAT
    inputs, labels = Batches(tokenize(exercises(tiny_items[:1], "left out"), tokenizer, 64).examples, 1, 0, 0).at(0)
    assert tokenizer.decode(inputs[0]) == f"<user> {tiny_items[0].prompt} <assistant> {tiny_items[0].completion} <eos>"
    learned = tokenizer.decode([token for token in labels[0].tolist() if token != IGNORED])
    assert learned == f"{tiny_items[0].completion} <eos>"


@pytest.mark.parametrize("template", [CHAT, None])
def test_a_context_stands_before_the_prompt_and_is_not_learned(
    tiny_items: list[Item], tiny_tokenizer: PreTrainedTokenizerFast, template: str | None
) -> None:
    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.chat_template = template
    plain, given = tiny_items[0], tiny_items[0].model_copy(update={"context": "w40 w41"})
    without, with_it = tokenize(exercises([plain, given], "left out"), tokenizer, 64).examples
    begins = ["<user>"] if template else []
    assert tokenizer.convert_ids_to_tokens(with_it.tokens)[: 2 + len(begins)] == [*begins, "w40", "w41"]
    assert with_it.tokens[with_it.answer_start :] == without.tokens[without.answer_start :]
    assert len(with_it.tokens) == len(without.tokens) + 2


THINKING = CHAT.replace("<assistant> ", "<assistant> <think> ")


@pytest.mark.parametrize(
    ("template", "reasoning", "learned"),
    [
        (CHAT, "left out", "{answer}"),
        (CHAT, "learned", "<think> w1 w2 </think> {answer}"),
        # Where the template has opened the reasoning, an answer that did not close it would count as thought.
        (THINKING, "left out", "</think> {answer}"),
        (THINKING, "learned", "w1 w2 </think> {answer}"),
    ],
)
def test_reasoning_is_learned_where_the_recipe_says_so(
    tiny_items: list[Item],
    tiny_tokenizer: PreTrainedTokenizerFast,
    template: str,
    reasoning: Literal["left out", "learned"],
    learned: str,
) -> None:
    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.add_tokens(["<think>", "</think>"])
    tokenizer.chat_template = template
    thought = tiny_items[0].model_copy(update={"reasoning": "w1 w2", "reasoning_of": "solve"})
    example = tokenize(exercises([thought], reasoning), tokenizer, 64).examples[0]
    text = tokenizer.decode(example.tokens[example.answer_start :])
    assert " ".join(text.split()) == f"{learned.format(answer=thought.completion)} <eos>"


def test_what_a_teacher_thought_while_writing_is_no_way_to_solve(tiny_items: list[Item]) -> None:
    thought = tiny_items[0].model_copy(update={"reasoning": "w1 w2", "reasoning_of": "write"})
    assert exercises([thought], "learned")[0].reasoning == ""
    assert exercises([thought.model_copy(update={"task": "write"})], "learned")[0].reasoning == "w1 w2"


def test_easy_to_hard_runs_through_the_difficulties_in_every_epoch(
    tiny_items: list[Item], tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    items = [
        item.model_copy(update={"difficulty": number % 4, "prompt": f"w{number % 4} w{10 + number}"})
        for number, item in enumerate(tiny_items)
    ]
    examples = tokenize(exercises(items, "left out"), tiny_tokenizer, 64).examples
    for easy_to_hard in (True, False):
        batches = Batches(examples, len(items), 0, 0, easy_to_hard)
        first, second = (batches.at(epoch)[0] for epoch in range(2))
        assert all((epoch == sorted(epoch)) is easy_to_hard for epoch in (first[:, 0].tolist(), second[:, 0].tolist()))
        assert first[:, 1].tolist() != second[:, 1].tolist()


def test_padding_is_not_counted(tiny_items: list[Item], tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    examples = tokenize(exercises(tiny_items, "left out"), tiny_tokenizer, 64).examples
    batches = Batches(examples, 8, 0, 0)
    # Five steps of 8 over 20 examples are two epochs, and the third step lies in both.
    assert sum(batches.tokens_at(step) for step in range(5)) == 2 * sum(len(example.tokens) for example in examples)
