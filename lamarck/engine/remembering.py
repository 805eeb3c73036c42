"""An engine that remembers: an evaluation that is killed goes on from the last answers that it had. Light.

Only what this checkout wrote down is believed (`lamarck.seal`): the score would be that of whoever gave the answers.
"""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lamarck.engine import Engine
from lamarck.errors import LamarckError
from lamarck.files import canonical_json, digest_value, read_regular, write_text
from lamarck.seal import is_sealed, key_of, seal

# What one chunk may generate, in tokens: all that a kill can lose. A tiny suite is one chunk, 70B's is some thirty.
CHUNK_TOKENS = 2_000_000
ATTEMPTS = "attempts"  # the line that counts them; the others are named by digests


class Remembering:
    """`engine`, whose answers are kept in `file`, chunk by chunk, one sealed JSON line each; `run` names everything
    that decides them. What another run left in the file is thrown away. `resumed`: how many attempts left some before.

    A chunk is remembered whole or not at all, because what is sampled in a batch depends on the whole of it.
    Errors: LamarckError for answers to this run that this checkout did not write.
    """

    def __init__(self, engine: Engine, file: Path, run: str, chunk_tokens: int = CHUNK_TOKENS) -> None:
        self._engine = engine
        self._file = file
        self._chunk_tokens = chunk_tokens
        self._run = run
        self._key = key_of(file)
        earlier, self._known = _read(file, run, self._key)
        self.resumed = earlier if self._known else 0
        # Anew, without the half line that a kill may have left: what is appended must begin on a line of its own.
        lines = [(ATTEMPTS, self.resumed + 1), *self._known.items()]
        write_text(file, json.dumps(run) + "\n" + "".join(self._line(*line) for line in lines))

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
            file.write(self._line(key, answers))

    def _line(self, key: str, content: Any) -> str:
        return json.dumps([key, content, seal(self._key, *_sealed(self._run, key, content))]) + "\n"


def _read(file: Path, run: str, key: bytes) -> tuple[int, dict[str, list[Any]]]:
    """Attempts, and the chunks that they left. A kill may leave the last line half written: it is left out."""
    if not os.path.lexists(file):
        return 0, {}
    first, *lines = read_regular(file).decode("utf-8", errors="replace").split("\n")
    if first != json.dumps(run):
        return 0, {}
    found: dict[str, Any] = {}
    for line in lines[:-1]:
        try:
            name, content, said = json.loads(line)
            sealed = is_sealed(said, key, *_sealed(run, name, content))
        except (ValueError, TypeError, AttributeError, RecursionError):
            sealed = False
        if not sealed:
            raise LamarckError(
                f"answers in {file} are damaged, or were not written by this checkout: delete it, and all is asked anew"
            )
        found[name] = content
    return found.pop(ATTEMPTS, 0), found


def _sealed(run: str, key: str, content: Any) -> tuple[bytes, ...]:
    return run.encode(), key.encode(), canonical_json(content).encode()
