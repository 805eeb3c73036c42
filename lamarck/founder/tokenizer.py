"""A word-level tokenizer in Hugging Face format: one token a word, so that tiny models see the structure at once."""

from collections.abc import Iterable

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

PAD, END, UNKNOWN = "<pad>", "<eos>", "<unk>"


def build_tokenizer(vocabulary: Iterable[str]) -> PreTrainedTokenizerFast:
    """Words -> ids in the order given, repeats once; ids 0, 1, 2 are padding, end of text and unknown."""
    words = dict.fromkeys([PAD, END, UNKNOWN, *vocabulary])
    model = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, unk_token=UNKNOWN))
    model.pre_tokenizer = WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=model,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        # Cleaning would join words and punctuation: decode(encode(text)) must be the text.
        clean_up_tokenization_spaces=False,
    )
