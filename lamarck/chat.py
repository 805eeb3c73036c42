"""How prompts are put to a model. One place, so that a model is asked in the very form in which it was taught."""

from transformers import PreTrainedTokenizerBase


def prompt_tokens(prompts: list[str], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """Token ids up to where each answer begins: in the chat form where the tokenizer has a template."""
    if not tokenizer.chat_template:
        return list(tokenizer(prompts)["input_ids"])
    chats = [[{"role": "user", "content": prompt}] for prompt in prompts]
    # As text first: the template writes the beginning-of-text token itself, and the tokenizer must not add a second.
    texts = tokenizer.apply_chat_template(chats, tokenize=False, add_generation_prompt=True)
    return list(tokenizer(texts, add_special_tokens=False)["input_ids"])


def answer_tokens(answer: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Token ids of an answer and of the end of the text; without a template a space parts it from the prompt."""
    text = answer if tokenizer.chat_template else f" {answer}"
    return [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
