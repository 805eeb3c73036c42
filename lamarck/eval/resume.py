"""An engine that remembers: an evaluation that is killed goes on from the last answers that it had. Light."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lamarck.engine import Engine
from lamarck.files import digest_value, write_text

# What one chunk may generate, in tokens: all that a kill can lose. A tiny suite is one chunk, 70B's is some thirty.
CHUNK_TOKENS = 2_000_000


class Remembering:
    """`engine`, whose answers are kept in `file`, chunk by chunk, one JSON line each; `run` names everything that
    decides them. What another run left in the file is thrown away.

    A chunk is remembered whole or not at all, because what is sampled in a batch depends on the whole of it.
    """

    def __init__(self, engine: Engine, file: Path, run: str, chunk_tokens: int = CHUNK_TOKENS) -> None:
        self._engine = engine
        self._file = file
        self._chunk_tokens = chunk_tokens
        self._known = dict(_read(file, run))
        # Anew, without the half line that a kill may have left: what is appended must begin on a line of its own.
        write_text(file, "".join(json.dumps(line) + "\n" for line in (run, *self._known.items())))

    @property
    def device_name(self) -> str:
        return self._engine.device_name

    def generate(
        self,
        prompts: list[str],
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        forms: Sequence[str | None] | None = None,
        on_done: Callable[[int], None] = lambda finished: None,
    ) -> list[str]:
        size = max(1, self._chunk_tokens // max_new_tokens)
        settings: dict[str, Any] = {
            "max_new_tokens": max_new_tokens,
            "temperature": temperature,
            "top_p": top_p,
            "seed": seed,
        }
        texts: list[str] = []
        for first in range(0, len(prompts), size):
            chunk = prompts[first : first + size]
            settings["forms"] = forms[first : first + size] if forms else None
            key = digest_value([chunk, settings])
            if key in self._known:
                on_done(len(chunk))
            else:
                self._remember(key, self._engine.generate(chunk, **settings, on_done=on_done))
            texts += self._known[key]
        return texts

    def loglikelihoods(self, texts: list[str]) -> list[float]:
        key = digest_value(texts)
        if key not in self._known:
            self._remember(key, self._engine.loglikelihoods(texts))
        return list(self._known[key])

    def _remember(self, key: str, answers: list[Any]) -> None:
        self._known[key] = answers
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps([key, answers]) + "\n")


def _read(file: Path, run: str) -> Iterator[tuple[str, list[Any]]]:
    """The chunks in a file of this run. The last line may be half written: a kill does that, and it is left out."""
    if not file.exists():
        return
    first, *lines = file.read_text(encoding="utf-8", errors="replace").split("\n")
    if first != json.dumps(run):
        return
    for line in lines:
        try:
            key, answers = json.loads(line)
        except ValueError:
            return
        yield key, answers
