"""Text as its tokens come: never taken back, whole at the end, nothing from a stop string on."""

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from lamarck.serve.text import Text


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A token a byte, as a byte-level tokenizer that has merged nothing: characters come in pieces."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={each: number for number, each in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


TOKENIZER = byte_tokenizer()


def pieces(text: str, stops: list[str], begin: str = "") -> tuple[list[str], Text]:
    made = Text(TOKENIZER, begin, stops)
    found = []
    for token in TOKENIZER(text)["input_ids"]:
        found.append(made.add(token))
        if made.stopped:
            break
    found.append(made.end())
    return [each for each in found if each], made


def test_characters_of_several_tokens_come_whole() -> None:
    found, _ = pieces("naïve 猫🐈 end", [])
    assert "".join(found) == "naïve 猫🐈 end"
    assert not any("\ufffd" in each for each in found)
    assert len(found) > 5


def test_what_begins_the_text_comes_first() -> None:
    assert "".join(pieces("ab", [], "<think>")[0]) == "<think>ab"


def test_nothing_of_a_stop_string_is_ever_shown() -> None:
    found, made = pieces("one STO two STOP three", ["STOP", "never"])
    assert "".join(found) == "one STO two "
    assert made.stopped
    assert made.count == len("one STO two STOP")


def test_a_stop_string_that_never_comes_holds_nothing_back_at_the_end() -> None:
    found, made = pieces("one STO", ["STOP"])
    assert "".join(found) == "one STO"
    assert not made.stopped
