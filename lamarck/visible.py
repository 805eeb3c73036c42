"""The text of a model as characters on a terminal: shown, never interpreted. Light."""


def visible(text: str, longest: int) -> str:
    """`text` on one line: what would steer a terminal is made visible, and what is longer than `longest` is cut."""
    characters = [character if character.isprintable() else "\ufffd" for character in text[:longest]]
    return "".join(characters) + ("…" if len(text) > longest else "")


def visible_lines(text: str, longest: int, most: int) -> list[str]:
    """The same line by line: at most `most` lines, each cut at `longest`; a last one says how many more there are."""
    lines = text.split("\n")
    more = [f"… {len(lines) - most} more lines"] if len(lines) > most else []
    return [visible(line, longest) for line in lines[:most]] + more


def visible_text(text: str) -> str:
    """`text` with its line ends and tabs; what else would steer a terminal is made visible."""
    return "".join(each if each.isprintable() or each in "\n\t" else "\ufffd" for each in text)
