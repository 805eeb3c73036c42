"""What a review shows of a curriculum: its cells, and its guard-rails beside the earlier curricula's. Light."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from lamarck.config.limits import Limit, broken_limits
from lamarck.lineage.contents import Card, CardCell

MOST_EARLIER = 4  # curricula beside the present one: the founder's own, and the last ones


def cells_table(card: Card, before: Card | None) -> Table:
    """A block of rows a skill, a column a difficulty: the teacher's pass rate, what its parent's was, items kept."""
    columns = sorted({cell.difficulty for cell in card.cells})
    table = _narrow("", "difficulty", *map(str, columns))
    for skill in dict.fromkeys(cell.skill for cell in card.cells):
        now, past = _of_skill(card, skill), _of_skill(before, skill) if before else {}
        rows = [("pass rate", {number: f"{cell.pass_rate:.2f}" for number, cell in now.items()})]
        if past:
            rows.append(("before", {number: f"{cell.pass_rate:.2f}" for number, cell in past.items()}))
        rows.append(("kept", {number: str(cell.kept) for number, cell in now.items()}))
        if any(cell.kept < cell.asked for cell in now.values()):
            rows.append(("asked", {number: str(cell.asked) for number, cell in now.items()}))
        for place, (name, values) in enumerate(rows):
            table.add_row(Text(skill if place == 0 else ""), name, *(values.get(number, "") for number in columns))
    return table


def _of_skill(card: Card, skill: str) -> dict[int, CardCell]:
    return {cell.difficulty: cell for cell in card.cells if cell.skill == skill}


def guard_rails_table(card: Card, earlier: Sequence[Card], limits: Mapping[Any, Limit]) -> Table:
    """Each measure beside what it was in the earlier curricula, the founder's own first, and how far it may go from
    that. Measures that were never anything but zero are named below."""
    shown = [*earlier[:1], *earlier[1:][-(MOST_EARLIER - 1) :]]
    table = _narrow("guard-rail", "this", *(["limit"] if earlier else []), *(f"{past.parent}'s" for past in shown))
    zero = []
    for name, value in card.measures.items():
        values = [value, *(past.measures.get(name, math.nan) for past in shown)]
        if not any(values):
            zero.append(name)
            continue
        cells = [f"{each:.3g}" for each in values]
        if earlier:
            limit: dict[Any, Limit] = {name: limits[name]} if name in limits else {}
            broken = broken_limits(limit, {name: value}, earlier[0].measures)
            cells.insert(1, _bounds(limits.get(name), earlier[0].measures.get(name, math.nan)))
            table.add_row(Text(name, style="bold red" if broken else ""), *cells)
        else:
            table.add_row(Text(name), *cells)
    if zero:
        table.caption = f"zero in all of them: {', '.join(zero)}"
    return table


def _bounds(limit: Limit | None, founder: float) -> str:
    """The limit as a number: a share of the founder's own."""
    if limit is None:
        return ""
    low, high = limit.at_least, limit.at_most
    bounds = [f">{low * founder:.3g}" if low is not None else "", f"<{high * founder:.3g}" if high is not None else ""]
    return " ".join(filter(None, bounds))


def _narrow(*headings: str) -> Table:
    """Tables of which two stand side by side on a wide terminal, and below each other within 80 columns."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), caption_justify="left")
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left")
    return table
