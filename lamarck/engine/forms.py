"""Texts held to a form while they are written: at every step only tokens from which the form can still be reached.

The masks are llguidance's (MIT), computed in threads of its own beside Python.
"""

from collections.abc import Sequence

import torch
from llguidance import LLExecutor, LLMatcher, LLTokenizer
from llguidance.hf import from_tokenizer
from llguidance.torch import allocate_token_bitmask, fill_next_token_bitmask_par
from transformers import PreTrainedTokenizerBase

from lamarck.engine.sampling import VALUES, Choose
from lamarck.errors import LamarckError
from lamarck.models.chat import BEFORE_ANSWER, END_OF_THINKING, ends_reasoning

# Of each byte of a mask, whether its eight tokens are allowed: eight booleans, read as one integer.
TRUTHS = (torch.arange(256)[:, None] >> torch.arange(8) & 1).bool().view(torch.int64).squeeze(1)


class Forms:
    """What holds the texts of one model, whose logits are `vocabulary` wide, to regular expressions."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, vocabulary: int, end: list[int]) -> None:
        """Errors: LamarckError for a tokenizer whose tokens are no pieces of text."""
        try:
            self._tokenizer: LLTokenizer = from_tokenizer(tokenizer, n_vocab=vocabulary, eos_token=end)
        except (ValueError, RuntimeError, KeyError, TypeError) as error:
            said = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise LamarckError(
                f"no text can be held to a form with this tokenizer, whose tokens are no pieces of text ({said}): set "
                "engine.forms to free"
            ) from error
        # The form is the answer's: it begins where reasoning ends, if this model can show that.
        self._begins = tokenizer.convert_tokens_to_ids(END_OF_THINKING) if ends_reasoning(tokenizer) else None
        # A whole form can be followed by nothing but the end.
        self._ends = allocate_token_bitmask(1, vocabulary).zero_()[0]
        for token in end:
            self._ends.view(torch.uint8)[token // 8] |= 1 << token % 8
        self._executor = LLExecutor(num_threads=torch.get_num_threads())

    def hold(self, forms: Sequence[str | None], prompts: Sequence[list[int]], choose: Choose) -> Choose:
        """`choose`, for a batch of texts from their beginning, among what each one's form allows; None allows all.

        `prompts` are token ids; one of them may have ended the reasoning already.
        Errors: LamarckError for an expression that is not valid, or that no text of this tokenizer matches.
        """
        # Many texts have one form: it is compiled once.
        compiled = {form: self._matcher(form) for form in dict.fromkeys(forms) if form is not None}
        matchers = [None if form is None else compiled[form].deep_copy() for form in forms]
        holds = [
            matcher is not None and (self._begins is None or self._begins in prompt)
            for matcher, prompt in zip(matchers, prompts, strict=True)
        ]

        def choose_allowed(logits: torch.Tensor, rows: torch.Tensor, step: int) -> torch.Tensor:
            places = rows.tolist()
            held = [(matcher, place) for place, row in enumerate(places) if holds[row] and (matcher := matchers[row])]
            if held:
                logits = self._allowed(logits, held)
            chosen = choose(logits, rows, step)
            tokens = chosen.tolist()
            for matcher, place in held:
                if not matcher.is_stopped():
                    matcher.consume_token(tokens[place])
                if matcher.is_error():
                    raise LamarckError(f"a text cannot be held to its form: {matcher.get_error()}")
            for place, row in enumerate(places):
                holds[row] = holds[row] or (matchers[row] is not None and tokens[place] == self._begins)
            return chosen

        return choose_allowed

    def _matcher(self, form: str) -> LLMatcher:
        matcher = LLMatcher(self._tokenizer, LLMatcher.grammar_from_regex(BEFORE_ANSWER + form))
        if matcher.is_error():
            raise LamarckError(f"the form {form!r} cannot be held: {matcher.get_error()}")
        return matcher

    def _allowed(self, logits: torch.Tensor, held: list[tuple[LLMatcher, int]]) -> torch.Tensor:
        """The (rows, vocabulary) logits themselves, minus infinity where a row's form forbids the token."""
        mask = allocate_token_bitmask(*logits.shape)
        going_on = [each for each in held if not each[0].is_stopped()]
        if going_on:
            fill_next_token_bitmask_par(self._executor, going_on, mask)
        for matcher, place in held:
            if matcher.is_stopped():
                mask[place] = self._ends
        reached = mask.any(1).tolist()
        for matcher, place in going_on:
            if matcher.is_error() or not reached[place]:
                raise LamarckError(f"no text of this tokenizer reaches its form: {matcher.get_error() or 'no token'}")
        rows = max(1, VALUES // logits.shape[1])
        truths = TRUTHS.to(logits.device)
        for part, bits in zip(logits.split(rows), mask.to(logits.device).split(rows), strict=True):
            allowed = truths.index_select(0, bits.view(torch.uint8).flatten().int()).view(torch.bool)
            part.masked_fill_(~allowed.view(len(part), -1)[:, : logits.shape[1]], -torch.inf)
        return logits
