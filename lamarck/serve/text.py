"""Tokens into text as they come: only what the next token cannot change any more, and nothing from a stop string on."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

REPLACEMENT = "\ufffd"  # what stands for bytes that are not, or not yet, a character
BYTE = re.compile(r"<0x[0-9A-F]{2}>")  # one byte, in vocabularies that spell unknown characters
MOST_HELD = 64  # tokens that make no character: what comes so long is not one that is still arriving


class Text:
    """The text of one answer in the making; `begin` stands before it. `count` tokens so far."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", begin: str = "", stops: list[str] | None = None) -> None:
        self._tokenizer = tokenizer
        self._begin = begin
        self._stops = stops or []
        self._held = max((len(stop) for stop in self._stops), default=1) - 1  # what may yet become a stop string
        self._tokens: list[int] = []
        # How a token is written can hang on the one before it: so the last piece is decoded again with every new one.
        self._window = 0  # the first token of the last piece
        self._read = 0  # the first token that is in no piece yet
        self._piece = ""  # what the last piece comes to by itself
        self._text = begin
        self._sent = 0
        self.stopped = False

    @property
    def count(self) -> int:
        return len(self._tokens)

    def add(self, token: int) -> str:
        """What is certain now and was not before."""
        self._tokens.append(token)
        if self._waits_for_more(token):
            return ""
        decoded = self._decode(self._window)
        certain = decoded.startswith(self._piece) and not decoded.endswith(REPLACEMENT)
        if not certain and len(self._tokens) - self._read < MOST_HELD:
            return ""
        self._text += decoded[len(self._piece) :]
        self._window, self._read = self._read, len(self._tokens)
        self._piece = self._decode(self._window)
        return self._send(len(self._text) - self._held)

    def end(self) -> str:
        """The rest, once no token follows."""
        if not self.stopped:
            # The whole at once has the last word, as long as it takes nothing back: it is what the engine gives.
            whole = self._begin + self._decode(0)
            taken_back = not whole.startswith(self._text[: self._sent])
            self._text = self._text + self._decode(self._window)[len(self._piece) :] if taken_back else whole
        return self._send(len(self._text))

    def _waits_for_more(self, token: int) -> bool:
        """A run of bytes is decoded as one: a single wrong one changes what all of them are. Special tokens, which are
        left out, do not end it."""
        name = str(self._tokenizer.convert_ids_to_tokens(token))
        return BYTE.fullmatch(name) is not None or token in self._tokenizer.all_special_ids

    def _decode(self, first: int) -> str:
        """The text of the tokens from `first` on."""
        return str(self._tokenizer.decode(self._tokens[first:], skip_special_tokens=True))

    def _send(self, certain: int) -> str:
        searched = max(0, self._sent - self._held, len(self._begin))
        found = [place for stop in self._stops if (place := self._text.find(stop, searched)) >= 0]
        if found:
            self.stopped = True
            self._text = self._text[: min(found)]
            certain = len(self._text)
        new = self._text[self._sent : max(certain, self._sent)]
        self._sent += len(new)
        return new
