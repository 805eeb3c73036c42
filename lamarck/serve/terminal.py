"""`lamarck chat`: talk to a generation in the terminal. Away from one, each line of input is asked and answered."""

import io
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from lamarck import output
from lamarck.asking import as_text
from lamarck.config import load_config
from lamarck.errors import LamarckError
from lamarck.lineage.generation import Generation
from lamarck.models.chat import opened_reasoning
from lamarck.models.tokens import conversation_tokens
from lamarck.serve.model import load, servable
from lamarck.visible import visible_text

if TYPE_CHECKING:
    from lamarck.engine.hf import HFEngine


def chat(generation: Generation, system: str | None, temperature: float, config_path: Path) -> None:
    """Until the end of the input. Errors: LamarckError where the generation may not be served or cannot be asked so."""
    config = load_config(config_path)
    model = servable(generation)
    console = output.console()
    engine = load(model, config)
    remembers = bool(engine.tokenizer.chat_template)
    if system and not remembers:
        raise LamarckError(f"{generation.name} has no chat template, and so no place for --system")
    if sys.stdin.isatty():
        about = "" if remembers else "; without a chat template it sees one line at a time"
        console.print(f"{model.name}{about}. Ctrl-C stops an answer, Ctrl-D ends.", highlight=False)
    messages = [{"role": "system", "content": system}] if system else []
    for given in _lines():
        try:
            line = as_text(given)
        except LamarckError as error:
            console.print(f"error: {error}", markup=False, highlight=False)
            continue
        asked = [*(messages if remembers else []), {"role": "user", "content": line}]
        try:
            answer = _answer(engine, asked, temperature, console)
        except ValueError as error:
            console.print(f"error: {error}", markup=False, highlight=False)
            continue
        messages = [*asked, {"role": "assistant", "content": answer}]


def _lines() -> Iterator[str | bytes]:
    """What the person types, with the line editing that they are used to; or the lines of a file or pipe."""
    if not sys.stdin.isatty():
        # As bytes: one line that is not text must not end the others.
        yield from (text for line in sys.stdin.buffer if (text := line.rstrip(b"\r\n")).strip())
        return
    import readline  # noqa: F401  its import is what gives input() history and editing

    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # for as_text to find
    while True:
        try:
            line = input("> ")
        except (EOFError, KeyboardInterrupt):
            print()
            return
        if line.strip():
            yield line


def _answer(engine: "HFEngine", messages: list[dict[str, str]], temperature: float, console: Console) -> str:
    """Print the answer as it comes, and return it. Errors: ValueError for a conversation that the model cannot take."""
    from lamarck.engine.sampling import Continuation  # torch: seconds
    from lamarck.serve.text import Text

    tokens = conversation_tokens(messages, engine.tokenizer)[0]
    room = engine.context - len(tokens)
    if not tokens or room < 1:
        raise ValueError(f"the conversation has {len(tokens)} tokens, and the model's context is {engine.context}")
    text = Text(engine.tokenizer, opened_reasoning(engine.tokenizer))
    said = ""

    def say(piece: str) -> None:
        nonlocal said
        said += piece
        # Characters, never markup or control codes: what a model writes must not steer a terminal.
        console.out(visible_text(piece), end="", highlight=False)

    request = Continuation(tokens, room, temperature, seed=secrets.randbits(31))
    try:
        for step in engine.stream([request]):
            for _, token in step:
                say(text.add(token))
    except KeyboardInterrupt:
        console.print(" (stopped)")
    say(text.end())
    console.print()
    return said
