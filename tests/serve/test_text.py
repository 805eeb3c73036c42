"""Text as its tokens come: never taken back, whole at the end, nothing from a stop string on."""

import random

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


def fallback_tokenizer() -> PreTrainedTokenizerFast:
    """Words, and bytes for what is none of them, as Llama 2's: a run of bytes that is not text is as many signs."""
    names = [*(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", "\u2581the", "\u2581a", "b"]
    tokenizer = Tokenizer(models.BPE({name: number for number, name in enumerate(names)}, [], byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
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


def test_split_and_broken_characters_are_the_same_piece_by_piece() -> None:
    """A model may write any bytes: the pieces are the whole text, and no half of an emoji ends the answer."""
    draw = random.Random(0)
    for tokenizer in (TOKENIZER, fallback_tokenizer()):
        cat = list(tokenizer("🐈")["input_ids"])
        for _ in range(300):
            cut = draw.randrange(len(cat) + 1)
            tokens = cat[:cut] + [draw.randrange(len(tokenizer)) for _ in range(draw.randrange(6))] + cat[:cut]
            made = Text(tokenizer)
            assert "".join([made.add(token) for token in tokens] + [made.end()]) == tokenizer.decode(tokens), tokens


def test_what_never_becomes_a_character_holds_nothing_up() -> None:
    """Tokens decoded: each piece once more with the next one, not the whole text at every token."""
    decoded = 0

    class Counting(PreTrainedTokenizerFast):
        def decode(self, tokens: list[int], **settings: bool) -> str:  # type: ignore[override]
            nonlocal decoded
            decoded += len(tokens)
            return str(super().decode(tokens, **settings))

    made = Text(Counting(tokenizer_object=TOKENIZER.backend_tokenizer))
    (broken,) = TOKENIZER.convert_tokens_to_ids(["\u0122"])  # a byte that continues a character, and none begun
    for _ in range(1000):
        made.add(broken)
    assert decoded < 200 * 1000
