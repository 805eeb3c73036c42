"""Texts as token ids. Only what a chat template writes is control; whatever stands in a problem, an answer or a user's
message is text, also where it looks like a control token.

The student of a suite is asked by `chat.py`'s own functions: they are part of the ruler and do not move.
"""

from typing import TYPE_CHECKING

from lamarck.errors import LamarckError
from lamarck.models.chat import END_OF_THINKING, NO_TEMPLATE, THINK

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# What a model writes behind a prompt, as a template, whose tags are control where the tokenizer has them as tokens.
_ANSWER = (
    "{{ messages[0].begin }}{% if messages[0].reasoning %}{% if not opened %}" + THINK + "\n{% endif %}"
    "{{ messages[0].reasoning }}\n" + END_OF_THINKING + "\n\n"
    "{% elif opened %}" + END_OF_THINKING + "\n\n{% endif %}{{ messages[0].content }}"
)


def text_tokens(texts: list[str], tokenizer: "PreTrainedTokenizerBase", begin: bool = False) -> list[list[int]]:
    """Token ids of texts alone; with `begin` also what the tokenizer puts before each."""
    if not texts:
        return []
    return list(tokenizer(texts, add_special_tokens=begin, split_special_tokens=True)["input_ids"])


def prompt_tokens(prompts: list[str], tokenizer: "PreTrainedTokenizerBase") -> list[list[int]]:
    """Token ids up to where each answer begins: in the chat form where the tokenizer has a template."""
    if not tokenizer.chat_template:
        return text_tokens(prompts, tokenizer, begin=True)
    return [_rendered([{"role": "user", "content": prompt}], tokenizer) for prompt in prompts]


def conversation_tokens(messages: list[dict[str, str]], tokenizer: "PreTrainedTokenizerBase") -> list[list[int]]:
    """The same of a conversation: `messages` are {"role": ..., "content": ...}. A list of one row.

    Errors: ValueError with a sentence, where the model has no form for it.
    """
    if not tokenizer.chat_template:
        if [message["role"] for message in messages] != ["user"]:
            raise ValueError(NO_TEMPLATE)
        return prompt_tokens([messages[0]["content"]], tokenizer)
    from jinja2 import TemplateError

    try:
        return [_rendered(messages, tokenizer)]
    except TemplateError as error:
        raise ValueError(f"the model's chat template refuses these messages: {error}") from error
    except LamarckError as error:
        raise ValueError(str(error)) from error


def answer_tokens(answers: list[tuple[str, str]], tokenizer: "PreTrainedTokenizerBase", opened: str) -> list[list[int]]:
    """Token ids of what a model is to write behind a prompt, without the end of the text: `chat.answer_text`'s words.

    `answers`: (reasoning or "", answer); `opened`: what `chat.opened_reasoning` says of the tokenizer.
    """
    begin = "" if tokenizer.chat_template else " "
    return [
        _rendered(
            # The space that parts prompt and answer stands before an answer only, not before reasoning.
            [{"begin": "" if reasoning or opened else begin, "reasoning": reasoning, "content": answer}],
            tokenizer,
            chat_template=_ANSWER,
            opened=bool(opened),
        )
        for reasoning, answer in answers
    ]


def _rendered(messages: list[dict[str, str]], tokenizer: "PreTrainedTokenizerBase", **settings: object) -> list[int]:
    """Errors: LamarckError for a tokenizer that makes a control token of text, whatever it is told."""
    try:
        ids: list[int] = tokenizer.apply_chat_template(
            messages,
            add_generation_prompt="chat_template" not in settings,
            sanitize_control_tokens=True,
            return_dict=False,
            **settings,
        )
    except ValueError as error:
        raise LamarckError(f"a text cannot be put to this model: {error}") from error
    return ids
