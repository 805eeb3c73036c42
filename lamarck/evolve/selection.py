"""Who is better, who is ahead, and who breeds. Pure: numbers in, names out.

Every value counts as more is better here. A tolerance is what two values of one objective may differ by through luck
alone: candidates within it in every objective are indistinguishable, and the simplest of them stands for all.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TOURNAMENT = 3

Values = Sequence[float]
Niche = tuple[int, ...]


@dataclass(frozen=True)
class Entry:
    """`values`: of each objective, more is better. `simplicity`: what is smaller is simpler, compared in its order."""

    name: str
    values: tuple[float, ...]
    simplicity: tuple[float, ...] = ()
    niche: Niche = ()


def dominates(first: Values, second: Values, tolerance: Values) -> bool:
    """Nowhere worse, and somewhere better, by more than luck (Pareto dominance where all tolerances are 0)."""
    pairs = list(zip(first, second, tolerance, strict=True))
    return all(a >= b - t for a, b, t in pairs) and any(a > b + t for a, b, t in pairs)


def ranks(rows: Sequence[Values], tolerance: Values) -> list[int]:
    """0 for those that none dominates, 1 for those that only rank 0 does, and so on, as in NSGA-II."""
    found = [-1] * len(rows)
    left = set(range(len(rows)))
    rank = 0
    while left:
        front = {i for i in left if not any(dominates(rows[j], rows[i], tolerance) for j in left if j != i)}
        front = front or left  # with tolerances three may beat each other in a circle
        for i in front:
            found[i] = rank
        left -= front
        rank += 1
    return found


def same(first: Values, second: Values, tolerance: Values) -> bool:
    return all(abs(a - b) <= t or a == b for a, b, t in zip(first, second, tolerance, strict=True))


def standing(entries: Sequence[Entry], tolerance: Values) -> dict[str, str]:
    """Name of each -> the simplest that it cannot be told from, itself where it stands for itself."""
    order = sorted(entries, key=lambda each: (each.simplicity, each.name))
    leaders: list[Entry] = []
    found: dict[str, str] = {}
    for entry in order:
        leader = next((each for each in leaders if same(each.values, entry.values, tolerance)), None)
        if leader is None:
            leaders.append(entry)
        found[entry.name] = entry.name if leader is None else leader.name
    return found


def front(entries: Sequence[Entry], tolerance: Values) -> list[Entry]:
    """Those that none dominates, without those for whom a simpler one stands; in the order in which they came."""
    found = ranks([each.values for each in entries], tolerance)
    first = [entry for entry, rank in zip(entries, found, strict=True) if rank == 0]
    leaders = standing(first, tolerance)
    return [entry for entry in first if leaders[entry.name] == entry.name]


def survivors(entries: Sequence[Entry], tolerance: Values, count: int) -> list[Entry]:
    """At most `count`: those that stand for others, rank by rank; within a rank the first objective decides."""
    leaders = standing(entries, tolerance)
    kept = [each for each in entries if leaders[each.name] == each.name]
    found = dict(zip((each.name for each in kept), ranks([each.values for each in kept], tolerance), strict=True))
    order = sorted(kept, key=lambda each: (found[each.name], -each.values[0], each.simplicity, each.name))
    return order[:count]


def scores(rows: Sequence[Values], weights: Values) -> list[float]:
    """Weighted mean of the shares of the others that each is ahead of, ties half: no unit weighs more than another."""
    others = max(1, len(rows) - 1)
    columns = list(zip(*rows, strict=True))
    total = sum(weights)
    found = []
    for row in rows:
        shares = [
            (sum(value > each for each in column) + (sum(value == each for each in column) - 1) / 2) / others
            for value, column in zip(row, columns, strict=True)
        ]
        found.append(sum(w * share for w, share in zip(weights, shares, strict=True)) / total)
    return found


def weighted(entries: Sequence[Entry], weights: Values, rng: random.Random) -> Entry:
    """The best of three drawn at random, by the weighted score."""
    found = scores([each.values for each in entries], weights)
    drawn = [rng.randrange(len(entries)) for _ in range(TOURNAMENT)]
    return entries[max(drawn, key=lambda place: (found[place], -place))]


def pareto_uniform(entries: Sequence[Entry], tolerance: Values, rng: random.Random) -> Entry:
    """Any of the front."""
    return rng.choice(front(entries, tolerance))


def lexicase(entries: Sequence[Entry], tolerance: Values, rng: random.Random) -> Entry:
    """Objectives in random order; each lets through whoever is within its tolerance, or within the median absolute
    deviation, of the best (La Cava et al. 2016, epsilon-lexicase, arXiv:1905.13266)."""
    left = list(entries)
    for place in rng.sample(range(len(tolerance)), len(tolerance)):
        column = [each.values[place] for each in left]
        allowed = max(tolerance[place], _deviation(column))
        best = max(column)
        # An infinite value, such as a target that was never reached, is within nothing.
        left = [each for each in left if each.values[place] == best or each.values[place] >= best - allowed]
    return rng.choice(left)


def _deviation(values: Sequence[float]) -> float:
    finite = sorted(each for each in values if abs(each) != float("inf"))
    if not finite:
        return 0.0
    middle = _median(finite)
    return _median(sorted(abs(each - middle) for each in finite))


def _median(ordered: Sequence[float]) -> float:
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def elites(entries: Sequence[Entry], tolerance: Values, most: int) -> dict[Niche, Entry]:
    """MAP-Elites (Mouret & Clune 2015, arXiv:1504.04909): of every niche the best in the first objective.

    Who came first stays, unless the newcomer is ahead by more than luck, or cannot be told from it and is simpler.
    `most`: niches that are kept, the best; 0: all.
    """
    found: dict[Niche, Entry] = {}
    for entry in entries:
        holder = found.get(entry.niche)
        if holder is None or _replaces(entry, holder, tolerance[0]):
            found[entry.niche] = entry
    if not most:
        return found
    order = sorted(found.items(), key=lambda each: (-each[1].values[0], each[1].name))
    return dict(order[:most])


def _replaces(entry: Entry, holder: Entry, tolerance: float) -> bool:
    if entry.values[0] > holder.values[0] + tolerance:
        return True
    return entry.values[0] >= holder.values[0] - tolerance and entry.simplicity < holder.simplicity


def map_elites(archive: Mapping[Niche, Entry], rng: random.Random) -> Entry:
    """Any of the archive."""
    return rng.choice([archive[niche] for niche in sorted(archive)])
