"""How prompts are put to a model: here and by another server alike."""

from pathlib import Path

import pytest
from jinja2 import TemplateError
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from lamarck.models.chat import NO_TEMPLATE, conversation_tokens, template_of_one_message
from tests.tiny import PROMPTS


@pytest.fixture(params=[False, True], ids=["plain", "begins each text with a token"])
def tokenizer(request: pytest.FixtureRequest, tiny_model: Path) -> PreTrainedTokenizerBase:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    if request.param:
        first = (tokenizer.eos_token, tokenizer.eos_token_id)
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=f"{first[0]} $A", special_tokens=[first])
    return tokenizer


def test_another_server_asks_a_model_without_a_template_as_we_do(tokenizer: PreTrainedTokenizerBase) -> None:
    template = template_of_one_message(tokenizer)
    for prompt in PROMPTS:
        messages = [{"role": "user", "content": prompt}]
        text = tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False)
        assert [tokenizer(text, add_special_tokens=False)["input_ids"]] == conversation_tokens(messages, tokenizer)


@pytest.mark.parametrize("roles", [["system"], ["user", "assistant", "user"]])
def test_it_refuses_what_we_refuse(tokenizer: PreTrainedTokenizerBase, roles: list[str]) -> None:
    messages = [{"role": role, "content": "1"} for role in roles]
    with pytest.raises(ValueError, match=NO_TEMPLATE):
        conversation_tokens(messages, tokenizer)
    with pytest.raises(TemplateError, match=NO_TEMPLATE):
        tokenizer.apply_chat_template(messages, chat_template=template_of_one_message(tokenizer), tokenize=False)
