"""Where texts begin and end, as every engine on this machine must see it."""

from transformers import GenerationConfig, PreTrainedTokenizerBase

from lamarck.errors import LamarckError


def end_tokens(generation: GenerationConfig, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Every token id that ends a text, the generation config's first."""
    found: list[int] = []
    for candidate in (generation.eos_token_id, tokenizer.eos_token_id):
        found += candidate if isinstance(candidate, list) else [] if candidate is None else [candidate]
    if not found:
        raise LamarckError("the tokenizer names no end-of-sequence token: generation would never stop")
    return list(dict.fromkeys(found))


def start_token(tokenizer: PreTrainedTokenizerBase, end: list[int]) -> int:
    """The token that stands before a text to score: where a model has none, the one that ended the text before."""
    start: int | None = tokenizer.bos_token_id
    return end[0] if start is None else start
