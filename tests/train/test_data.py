"""What is learned in the chat form, and what counts as a token."""

import copy

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
    inputs, labels = Batches(tokenize(exercises(tiny_items[:1], 0, 0), tokenizer, 64).examples, 1, 0, 0).at(0)
    assert tokenizer.decode(inputs[0]) == f"<user> {tiny_items[0].prompt} <assistant> {tiny_items[0].completion} <eos>"
    learned = tokenizer.decode([token for token in labels[0].tolist() if token != IGNORED])
    assert learned == f"{tiny_items[0].completion} <eos>"


def test_padding_is_not_counted(tiny_items: list[Item], tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    examples = tokenize(exercises(tiny_items, 0, 0), tiny_tokenizer, 64).examples
    batches = Batches(examples, 8, 0, 0)
    # Five steps of 8 over 20 examples are two epochs, and the third step lies in both.
    assert sum(batches.tokens_at(step) for step in range(5)) == 2 * sum(len(example.tokens) for example in examples)
