"""Tokens into text as they come: only what the next token cannot change any more, and nothing from a stop string on."""

from typing import TYPE_CHECKING

from tokenizers.decoders import DecodeStream

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Text:
    """The text of one answer in the making; `begin` stands before it. `count` tokens so far."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", begin: str = "", stops: list[str] | None = None) -> None:
        self._tokenizer = tokenizer
        self._begin = begin
        self._stops = stops or []
        self._held = max((len(stop) for stop in self._stops), default=1) - 1  # what may yet become a stop string
        self._decoder = DecodeStream(skip_special_tokens=True)
        self._tokens: list[int] = []
        self._text = begin
        self._sent = 0
        self.stopped = False

    @property
    def count(self) -> int:
        return len(self._tokens)

    def add(self, token: int) -> str:
        """What is certain now and was not before."""
        self._tokens.append(token)
        piece = self._decoder.step(self._tokenizer.backend_tokenizer, token)
        if piece is None:
            return ""
        self._text += piece
        return self._send(len(self._text) - self._held)

    def end(self) -> str:
        """The rest, once no token follows."""
        if not self.stopped:
            # The whole at once has the last word: it is what the engine gives.
            self._text = self._begin + self._tokenizer.decode(self._tokens, skip_special_tokens=True)
        return self._send(len(self._text))

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
