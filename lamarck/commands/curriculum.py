"""`lamarck curriculum show`, `why`, `diff`: what one holds, what it left out, and how it differs from another."""

import json
import math
from contextlib import nullcontext

from rich import box
from rich.table import Table
from rich.text import Text

from lamarck import output
from lamarck.curriculum.diff import CellChange, CurriculumDifference, OwnVocabulary, Side, difference
from lamarck.curriculum.item import Item, read_curriculum
from lamarck.curriculum.refused import EXAMPLES, read_refused, reasons
from lamarck.errors import LamarckError
from lamarck.lineage.contents import Card, read_card
from lamarck.lineage.generation import Generation
from lamarck.visible import visible, visible_lines

LONGEST_LINE, MOST_LINES = 400, 60  # of one text in `show`
LINES_OF_REFUSED = 8  # of one text in `why`
SHOWN_CELLS, SHOWN_WORDS, LONGEST_EXAMPLE = 12, 8, 90  # in `diff`, which is one screen


def show(
    generation: Generation, skill: str | None, difficulty: int | None, offset: int, limit: int, as_json: bool
) -> None:
    """Print `limit` items from `offset` on, of those that match. Errors: LamarckError when none does."""
    items = list(enumerate(read_curriculum(generation.curriculum), start=1))
    chosen = [
        (number, item)
        for number, item in items
        if skill in (None, item.skill) and difficulty in (None, item.difficulty)
    ]
    if not chosen:
        cells = sorted({(item.skill, item.difficulty) for _, item in items})
        raise LamarckError(
            f"{generation.curriculum} has no such item; it has "
            + ", ".join(f"{name} {number}" for name, number in cells)
        )
    page = chosen[offset : offset + limit]
    if not page:
        raise LamarckError(f"--offset {offset} lies behind the last of {len(chosen)} items")
    if as_json:
        rows = [{"line": number, **item.model_dump(mode="json")} for number, item in page]
        print(json.dumps({"items": len(chosen), "offset": offset, "page": rows}, indent=2, sort_keys=True))
        return
    console = output.console()
    with console.pager() if console.is_terminal else nullcontext():
        for number, item in page:
            console.print(_item(number, item))
        last = offset + len(page)
        more = f"; go on with --offset {last}" if last < len(chosen) else ""
        console.print(Text(f"items {offset + 1} to {last} of {len(chosen)} in {generation.curriculum}{more}"))


def _item(number: int, item: Item) -> Text:
    verdict = f"verified by {item.verdict.by}" if item.verdict.verified else "not verified"
    edited = ", changed by a human" if item.edited_from else ""
    task = "" if item.task == "solve" else f" {item.task}"
    heading = f"#{number}  {item.skill} {item.difficulty}{task}  {verdict}, score {item.verdict.score:g}{edited}"
    text = Text(f"{heading}  by {item.teacher.generation}  {item.id[:8]}\n", style="bold")
    for name in ("prompt", "reasoning", "completion"):
        # Indented, line by line: nothing that a model writes can pass for a heading of ours.
        lines = visible_lines(getattr(item, name), LONGEST_LINE, MOST_LINES) if getattr(item, name) else []
        for place, line in enumerate(lines):
            text.append(f"  {name if place == 0 else '':<11}{line}\n", style="not bold")
    return text


def show_why(generation: Generation, as_json: bool) -> None:
    """Print the reasons for which texts were left out, the most frequent first, each with its number and examples.

    Errors: LamarckError where nothing was written for the generation yet.
    """
    found = reasons(read_refused(generation))
    if as_json:
        rows = [
            {
                "reason": reason.name,
                "texts": reason.number,
                "examples": [row.model_dump(mode="json") for row in reason.examples[:EXAMPLES]],
            }
            for reason in found
        ]
        print(json.dumps({"reasons": rows}, indent=2, sort_keys=True))
        return
    console = output.console()
    if not found:
        console.print(Text(f"Nothing that was written for {generation.name} was left out."))
    for reason in found:
        console.print(Text(f"{reason.number:,} {reason.name}", style="bold"))
        for row in reason.examples[:EXAMPLES]:
            why = f": {visible(row.why, LONGEST_LINE)}" if row.why else ""
            console.print(Text(f"  {row.skill} {row.difficulty}, {row.number:,} times{why}"))
            for line in visible_lines(row.text, LONGEST_LINE, LINES_OF_REFUSED) or ["(nothing)"]:
                console.print(Text(f"    | {line}"))


def show_difference(first: Generation, second: Generation, as_json: bool) -> None:
    """Print what changed from `first` to `second`. Errors: LamarckError where one has no curriculum."""
    found = difference(_read(first), _read(second), SHOWN_WORDS)
    if as_json:
        print(json.dumps(found.model_dump(), indent=2, sort_keys=True))
        return
    console = output.console()
    for sentence in _sentences(found):
        console.print(Text(sentence))
    beside = Table.grid(padding=(0, 2))
    beside.add_row(_cells(found), _measures(found.first, found.second))
    console.print(beside)
    for side, other, only in (
        (found.second, found.first, found.only_second),
        (found.first, found.second, found.only_first),
    ):
        for sentence in _only(side, other, only):
            console.print(Text(sentence))
    for example in found.examples:
        prompt, completion = (visible(text, LONGEST_EXAMPLE) for text in (example.prompt, example.completion))
        where = f"{example.generation}, {example.skill} {example.difficulty}"
        console.print(Text(f"  {where}: {prompt} {completion}"), no_wrap=True, overflow="ellipsis")


def _read(generation: Generation) -> tuple[Card, list[Item]]:
    return read_card(generation.card), list(read_curriculum(generation.curriculum))


def _sentences(found: CurriculumDifference) -> list[str]:
    sides = (found.first, found.second)
    lines = [f"{side.generation}: {_parts(side)}{', human-edited' if side.edited else ''}" for side in sides]
    same = found.first.strategy == found.second.strategy
    problems, answers = (
        " -> ".join(f"{getattr(side, name)[0]:g} (longest {getattr(side, name)[1]})" for side in sides)
        for name in ("prompt_words", "completion_words")
    )
    strategy = "the same strategy" if same else "another strategy"
    return [*lines, f"{strategy}; words in a problem: {problems}, in an answer: {answers}"]


def _parts(side: Side) -> str:
    counts = {
        f"by {side.parent}": side.own,
        "replayed": side.replayed,
        "anchors": side.anchors,
        "to learn writing": side.to_write,
    }
    whole = sum(counts.values())
    shares = (f"{count} {name} ({100 * count / whole:.0f}%)" for name, count in counts.items() if count)
    return f"{whole} items, {', '.join(shares)}"


def _cells(found: CurriculumDifference) -> Table:
    hidden = len(found.cells) - SHOWN_CELLS
    also = [f"{hidden} more changed"] if hidden > 0 else []
    also += [f"{found.unchanged_cells} did not"] if found.unchanged_cells else []
    table = _narrow()
    table.caption = "; ".join(also) or None
    table.add_column("cell")
    for heading in ("pass rate", "own items", "share"):
        table.add_column(heading, justify="right")
    for cell in found.cells[:SHOWN_CELLS]:
        before, after = (f"{rate:.2f}" if rate is not None else "-" for rate in cell.pass_rate)
        table.add_row(
            Text(f"{cell.skill} {cell.difficulty}", style=_style(cell)),
            f"{before} {after}",
            f"{cell.kept[0]} {cell.kept[1]}",
            Text(cell.kind or f"{cell.shift:+.1f}", style=_style(cell)),
        )
    return table


def _style(cell: CellChange) -> str:
    return {"gained": "green", "lost": "red"}.get(cell.kind, "")


def _measures(first: Side, second: Side) -> Table:
    table = _narrow()
    table.add_column("guard-rail")
    for side in (first, second):
        table.add_column(side.generation, justify="right")
    names = first.measures.keys() | second.measures.keys()
    differing = sorted(name for name in names if first.measures.get(name) != second.measures.get(name))
    for name in differing:
        table.add_row(Text(name), *(f"{side.measures.get(name, math.nan):.3g}" for side in (first, second)))
    if len(names) > len(differing):
        table.caption = f"{len(names) - len(differing)} are the same"
    return table


def _narrow() -> Table:
    """Two such tables stand side by side within 80 columns."""
    return Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))


def _only(side: Side, other: Side, only: OwnVocabulary) -> list[str]:
    """What one side says and the other does not: words first, then words that stand together for the first time."""
    lines = []
    for count, frequent, kind in (
        (only.words, only.frequent_words, "words"),
        (only.pairs, only.frequent_pairs, "word pairs"),
    ):
        if count:
            named = ", ".join(f"{visible(word, 30)} ({items})" for word, items in frequent.items())
            lines.append(f"{count} {kind} of {side.generation} alone, not in {other.generation}: {named}")
    return lines
