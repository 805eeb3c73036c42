"""What our commands print: whatever it holds, from a file or the net, it steers no terminal, and a terminal that
lacks a letter gets another one. Light."""

import codecs
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TextIO, cast

from lamarck.visible import visible_text

if TYPE_CHECKING:
    from rich.console import Console

# What stands for signs of our own where there are only ASCII's, or Latin-1's; every other letter is a question mark.
PLAIN = {
    **{"…": "...", "–": "-", "—": "-", "−": "-", "→": "->", "≤": "<=", "≥": ">=", "×": "x", "±": "+-", "’": "'"},
    **{"⏎": "\\n", "⇥": "\\t"},
    **dict.fromkeys("─━═╌╍┄┅┈┉", "-"),
    **dict.fromkeys("│┃║", "|"),
}


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(each, "?") for each in error.object[error.start : error.end]), error.end


PLAIN_LETTERS = "lamarck-plain-letters"
codecs.register_error(PLAIN_LETTERS, _plain)


class Guarded:
    """A text stream around another one: everything written through it is visible. rich, which writes colours, goes to
    the stream within (that is what rich takes `rich_proxied_file` for); `console` sees to what it is given."""

    def __init__(self, stream: TextIO) -> None:
        self.rich_proxied_file = stream

    def write(self, text: str) -> int:
        return self.rich_proxied_file.write(visible_text(text))

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rich_proxied_file, name)


def guard_output() -> None:
    """From now on, standard output and standard error take every text, and are steered by none."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or isinstance(stream, Guarded):  # closed by whoever started this, or done already
            continue
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=PLAIN_LETTERS)
        setattr(sys, name, cast(TextIO, Guarded(stream)))


def tell(console: "Console", text: str) -> None:
    """One line of plain text, which the terminal wraps and nothing colours."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def console(stderr: bool = False, file: TextIO | None = None, force_terminal: bool | None = None) -> "Console":
    """For tables and colours: text that it is given, in whatever, is made visible before it is drawn."""
    from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
    from rich.segment import Segment

    class Seen:
        def __init__(self, inner: ConsoleRenderable) -> None:
            self.inner = inner

        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            for segment in console.render(self.inner, options):
                yield segment if segment.control else Segment(visible_text(segment.text), segment.style)

    class Hook(RenderHook):
        def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
            return [Seen(each) for each in renderables]

    made = Console(stderr=stderr, file=file, force_terminal=force_terminal)
    made.push_render_hook(Hook())
    return made
