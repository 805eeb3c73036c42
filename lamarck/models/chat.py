"""How prompts are put to a model. One place, so that it is asked in the very form in which it was taught. Light."""

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NO_TEMPLATE = "this model has no chat template: it answers one message, by a user, and knows no others"
THINK, END_OF_THINKING = "<think>", "</think>"
BEFORE_ANSWER = r"\n{0,2}"  # a pattern: what models write between their reasoning and the answer


def prompt_tokens(prompts: list[str], tokenizer: "PreTrainedTokenizerBase") -> list[list[int]]:
    """Token ids up to where each answer begins: in the chat form where the tokenizer has a template."""
    if not tokenizer.chat_template:
        return list(tokenizer(prompts)["input_ids"])
    chats = [[{"role": "user", "content": prompt}] for prompt in prompts]
    # As text first: the template writes the beginning-of-text token itself, and the tokenizer must not add a second.
    texts = tokenizer.apply_chat_template(chats, tokenize=False, add_generation_prompt=True)
    return list(tokenizer(texts, add_special_tokens=False)["input_ids"])


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
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except TemplateError as error:
        raise ValueError(f"the model's chat template refuses these messages: {error}") from error
    return list(tokenizer([text], add_special_tokens=False)["input_ids"])


def template_of_one_message(tokenizer: "PreTrainedTokenizerBase") -> str:
    """For a model without a chat template, one by which another server asks it as `conversation_tokens` does."""
    begin = tokenizer.decode(tokenizer("")["input_ids"])  # servers add no token to what a template writes
    return (
        "{% if messages | length != 1 or messages[0]['role'] != 'user' %}"
        f"{{{{ raise_exception({json.dumps(NO_TEMPLATE)}) }}}}"
        "{% endif %}"
        f"{{{{ {json.dumps(begin)} + messages[0]['content'] }}}}"
    )


def ends_reasoning(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Whether the model has one token that ends its reasoning, so that the beginning of its answer can be seen."""
    return END_OF_THINKING in tokenizer.get_vocab()


def opened_reasoning(tokenizer: "PreTrainedTokenizerBase") -> str:
    """`<think>` where the chat template has written it already, so that an answer cut short in the middle of its
    reasoning can be told from one that has none."""
    if not tokenizer.chat_template:
        return ""
    begun = tokenizer.apply_chat_template([{"role": "user", "content": ""}], tokenize=False, add_generation_prompt=True)
    return THINK if str(begun).rstrip().endswith(THINK) else ""


def answer_text(answer: str, reasoning: str, tokenizer: "PreTrainedTokenizerBase", opened: str) -> str:
    """What a model is to write behind a prompt: its reasoning, if it is to learn any, then the answer.

    `opened` is what `opened_reasoning` says of the tokenizer: where the template opens reasoning, a model that is to
    answer at once must close it first, or all it writes would count as thought. Without a template a space parts the
    answer from the prompt.
    """
    if reasoning:
        begin = "" if opened else f"{THINK}\n"
        return f"{begin}{reasoning}\n{END_OF_THINKING}\n\n{answer}"
    if opened:
        return f"{END_OF_THINKING}\n\n{answer}"
    return answer if tokenizer.chat_template else f" {answer}"
