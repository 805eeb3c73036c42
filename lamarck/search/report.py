"""What a search came to: its candidates with what was changed, the winner's figure on fresh founders, the proxy."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from lamarck.campaign.ledger import failed, read_ledger
from lamarck.campaign.t_interval import t_interval
from lamarck.campaign.table import ArmRow, rows
from lamarck.search.approval import largest_final, largest_rounds
from lamarck.search.file import BASELINE, Search
from lamarck.search.proxy import FEWEST, spearman
from lamarck.search.run import FINAL, Round, differences, rounds
from lamarck.search.space import Values
from lamarck.search.words import ValueChange, changes


class CandidateLine(NamedTuple):
    """A candidate in one round. `difference`: its mean paired difference to the baseline there, in points, on `seeds`
    founders, with a t interval: what chose it, and so too good where it leads. None: not tried, or it failed.

    `changed`: to its first parent, or to the baseline where it was drawn.
    """

    round: str
    candidate: str
    parents: tuple[str, ...]
    how: str
    values: Values
    changed: tuple[ValueChange, ...]
    difference: float | None
    low: float | None
    high: float | None
    seeds: int
    failed: bool
    device_seconds: float


class DrawnLine(NamedTuple):
    """What random draws found at equal cost. `difference`: of the search's winner to theirs, in points, founder by
    founder on those that chose nothing, with a t interval and the p of Wilcoxon's signed-rank test; None before both
    are tried, and where they found the same."""

    winner: ArmRow | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    pairs: int = 0
    same: bool = False


class Report(NamedTuple):
    """`winner` is its row on fresh founders, the only figure of a search that may be quoted; None before the final.

    `device_seconds` were spent, of `ceiling` at most. `proxy` is Spearman's correlation of the children's mean
    differences with the grandchildren's, over candidates.
    """

    lines: list[CandidateLine]
    winner: ArmRow | None
    winner_values: Values | None
    device_seconds: float
    ceiling: float
    proxy: float | None
    proxy_pairs: int
    finished: bool
    drawn: DrawnLine | None  # None: the search itself draws


def report(search: Search) -> Report:
    found = rounds(search)
    final = found[-1] if found[-1].name == FINAL else None
    choosing = [each for each in found if each.name != FINAL]
    known: dict[str, Values] = {}
    lines = [line for each in choosing for line in _lines(search, each, known)]
    pairs = [pair for each in choosing for pair in _proxy_pairs(each)]
    row = _winner_row(final)
    values = final.candidates[0].values if final else None
    return Report(
        lines,
        row,
        values,
        _spent(search, found),
        sum(each.device_seconds for part in search.parts for each in (*largest_rounds(part), largest_final(part))),
        spearman(*zip(*pairs, strict=True)) if len(pairs) >= FEWEST else None,
        len(pairs),
        bool(final and final.finished),
        _drawn(search.drawn, row, values) if search.drawn else None,
    )


def _winner_row(final: Round | None) -> ArmRow | None:
    row = rows(final.campaign)[1] if final and final.campaign else None
    return row if row and row.difference is not None else None


def _spent(search: Search, found: list[Round]) -> float:
    """Device-seconds of all members, those of the random draws included; one that several rounds have counts once."""
    every = [*found, *(rounds(search.drawn) if search.drawn else [])]
    ledgers = [read_ledger(each.campaign) for each in every if each.campaign]
    members = {row.member: row.device_seconds for done in ledgers for row in done.values()}
    return sum(members.values())


def _drawn(search: Search, winner: ArmRow | None, values: Values | None) -> DrawnLine:
    from scipy import stats

    last = rounds(search)[-1]
    final = last if last.name == FINAL else None
    own = _winner_row(final)
    if own is None or winner is None or final is None:
        return DrawnLine(own)
    gains = [winner.scores[seed] - own.scores[seed] for seed in winner.scores if seed in own.scores]
    if final.candidates[0].values == values or not gains:
        return DrawnLine(own, same=bool(gains), pairs=len(gains))
    low, high = t_interval(gains)
    p_value = float(stats.wilcoxon(gains).pvalue) if len(set(gains)) > 1 else None
    return DrawnLine(own, sum(gains) / len(gains), low, high, p_value, len(gains))


def _lines(search: Search, each: Round, known: dict[str, Values]) -> Iterable[CandidateLine]:
    done = read_ledger(each.campaign) if each.campaign else {}
    lost = failed(done)
    for candidate in each.candidates:
        before = known.get(candidate.parents[0]) if candidate.parents else None
        known[candidate.name] = candidate.values
        own = differences(done, candidate.name)
        low, high = t_interval(own)
        yield CandidateLine(
            each.name,
            candidate.name,
            candidate.parents,
            candidate.how,
            candidate.values,
            tuple(changes(before or search.baseline, candidate.values)),
            sum(own) / len(own) if own and candidate.name not in lost else None,
            low,
            high,
            len(own),
            candidate.name in lost,
            sum(row.device_seconds for (arm, _), row in done.items() if arm == candidate.name),
        )


def _proxy_pairs(each: Round) -> list[tuple[float, float]]:
    """Of each candidate: the mean score of its children, and that of its grandchildren, to the baseline's."""
    if each.campaign is None:
        return []
    done = read_ledger(each.campaign)
    pairs = []
    for candidate in each.candidates:
        both = [
            (own.proxy - other.proxy, own.score - other.score)
            for (arm, seed), own in done.items()
            if arm == candidate.name and (other := done.get((BASELINE, seed)))
            if own.proxy is not None and other.proxy is not None and own.score is not None and other.score is not None
        ]
        if both:
            pairs.append((sum(child for child, _ in both) / len(both), sum(score for _, score in both) / len(both)))
    return pairs


class Node(NamedTuple):
    """A candidate in the tree of descent, with its figure in every round that tried it, and its children."""

    name: str
    lines: tuple[CandidateLine, ...]
    children: tuple["Node", ...]


def tree(found: Report) -> tuple[Node, ...]:
    """The candidates below their first parents; those that were drawn are the first ones."""
    own: dict[str, list[CandidateLine]] = {}
    for line in found.lines:
        own.setdefault(line.candidate, []).append(line)

    def below(parent: str | None) -> tuple[Node, ...]:
        names = [name for name, lines in own.items() if (lines[0].parents or (None,))[0] == parent]
        return tuple(Node(name, tuple(own[name]), below(name)) for name in names)

    return below(None)


def described(node: Node) -> str:
    """One line of the tree: figures with intervals, what was mutated, with whom it was crossed."""
    first = node.lines[0]
    told = "; ".join(f"{line.round} {figure(line)}" for line in node.lines)
    crossed = f", crossed with {first.parents[1]}" if len(first.parents) > 1 else ""
    return f"{node.name}: {told} · {', '.join(each.short for each in first.changed) or 'as the baseline'}{crossed}"


def figure(line: CandidateLine) -> str:
    if line.failed:
        return "could not be raised"
    if line.difference is None:
        return "not tried yet"
    bounds = "" if line.low is None else f" [{line.low:+.1f}, {line.high:+.1f}]"
    return f"{line.difference:+.1f}{bounds} on {line.seeds} founder{'s' if line.seeds > 1 else ''}"


def winner_sentence(search: Search, found: Report) -> str:
    """The one figure of a search that may be quoted."""
    row = found.winner
    if row is None or row.difference is None:
        return f"The winner is still to be tried on {len(search.file.fresh_seeds)} fresh founders."
    ruler = f"the exam {search.file.exam.rstrip('/').rpartition('/')[2]}" if search.file.exam else "the suite"
    return (
        f"The winner, {row.arm}, on {row.pairs} founders that chose nothing, by {ruler}: {row.difference:+.1f} points "
        f"to the baseline{_bounds(row)}: {row.verdict or 'no difference shown'}."
    )


def drawn_sentence(search: Search, found: Report) -> str:
    """Whether the search did better than drawing at random, at equal cost."""
    own = found.drawn
    if own is None:
        return "The search draws at random itself: there is nothing beside it to beat."
    if own.same:
        return f"Random draws at equal cost found the same strategy ({own.pairs} founders)."
    if own.difference is None:
        return "Random draws at equal cost are still to be raised: whether the search beats them is not known."
    shown = own.low is not None and own.low > 0
    return (
        f"To what random draws found at equal cost, on the same {own.pairs} founders: {own.difference:+.1f} points"
        f"{_bounds(own)}: {'the search beats them' if shown else 'the search is not shown to beat them'}."
    )


def _bounds(row: ArmRow | DrawnLine) -> str:
    if row.low is None or row.p_value is None:
        return ""
    return f" [{row.low:+.1f}, {row.high:+.1f}], p {row.p_value:.3f}"


def winner_words(search: Search, found: Report) -> list[str]:
    """What the winner does differently from the configuration's own strategy, in words."""
    if found.winner_values is None:
        return []
    return [each.sentence for each in changes(search.baseline, found.winner_values)] or ["it is the baseline"]


def budget_sentence(found: Report) -> str:
    return f"{found.device_seconds:.0f} device-seconds of training were spent; the ceilings allow {found.ceiling:.0f}."


def proxy_sentence(found: Report) -> str:
    if found.proxy is None:
        return f"{found.proxy_pairs} candidates are too few to say whether a child's score foretells a grandchild's."
    return f"Child and grandchild: rank correlation {found.proxy:.2f} over {found.proxy_pairs} candidates."


FLATTERED = "What leads was chosen by these figures, so they flatter it; what may be quoted is the winner's below."


def as_markdown(search: Search, found: Report) -> str:
    """The whole page."""
    lines = [f"# {search.name}", "", search.file.description, "", budget_sentence(found), "", "## Candidates", ""]
    lines += ["Points to the baseline, below the candidate that each comes from. " + FLATTERED, ""]
    lines += _list(tree(found), 0)
    lines += ["", "## The winner", "", winner_sentence(search, found), "", drawn_sentence(search, found), ""]
    lines += [f"- {each}." for each in winner_words(search, found)]
    lines += ["", "## Child and grandchild", "", proxy_sentence(found)]
    return "\n".join(lines) + "\n"


def _list(nodes: Iterable[Node], depth: int) -> list[str]:
    return [line for each in nodes for line in (f"{'  ' * depth}- {described(each)}", *_list(each.children, depth + 1))]


def as_json(search: Search, found: Report) -> dict[str, Any]:
    return {
        "search": search.name,
        "finished": found.finished,
        "device_seconds": round(found.device_seconds, 3),
        "ceiling_device_seconds": found.ceiling,
        "candidates": [line._asdict() | {"changed": [each._asdict() for each in line.changed]} for line in found.lines],
        "winner": None if found.winner is None else found.winner._asdict() | {"verdict": found.winner.verdict},
        "winner_values": found.winner_values,
        "drawn": found.drawn and found.drawn._asdict(),
        "winner_words": winner_words(search, found),
        "proxy_correlation": found.proxy,
        "proxy_pairs": found.proxy_pairs,
    }
