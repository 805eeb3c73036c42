"""Crossover by alignment: blocks are paired by what they are, so that a cut joins places that correspond."""

import random
from itertools import pairwise
from typing import Any

from lamarck.arch.edit import valid
from lamarck.arch.genes import Block
from lamarck.arch.genome import Genome, Recurrence
from lamarck.arch.operators import Step
from lamarck.arch.origins import Origin
from lamarck.errors import LamarckError

GAP = -0.3  # for a block without a partner; a pair counts the share of what the two say alike, 0..1

Pair = tuple[int | None, int | None]


def likeness(first: Block, second: Block) -> float:
    """The share of what two blocks say that they say alike, 0..1."""
    ours, theirs = _leaves(first.model_dump()), _leaves(second.model_dump())
    keys = ours.keys() | theirs.keys()
    return sum(ours.get(key) == theirs.get(key) and key in ours and key in theirs for key in keys) / len(keys)


def _leaves(value: Any, place: str = "") -> dict[str, Any]:
    """Place -> value, for all that is said; what is left out is not."""
    if isinstance(value, dict):
        return {key: leaf for name, each in value.items() for key, leaf in _leaves(each, f"{place}.{name}").items()}
    if isinstance(value, list | tuple) and value and isinstance(value[0], dict):
        return {key: leaf for i, each in enumerate(value) for key, leaf in _leaves(each, f"{place}.{i}").items()}
    return {} if value is None or value == () else {place: value}


def align(first: Genome, second: Genome) -> list[Pair]:
    """The pairing of blocks, in the order of both, with the highest sum (Needleman & Wunsch 1970)."""
    ours, theirs = first.model.blocks, second.model.blocks
    best: dict[tuple[int, int], tuple[float, list[Pair]]] = {(0, 0): (0.0, [])}
    for i in range(len(ours) + 1):
        for j in range(len(theirs) + 1):
            options = []
            if i and j:
                score, path = best[i - 1, j - 1]
                options.append((score + likeness(ours[i - 1], theirs[j - 1]), [*path, (i - 1, j - 1)]))
            if i:
                score, path = best[i - 1, j]
                options.append((score + GAP, [*path, (i - 1, None)]))
            if j:
                score, path = best[i, j - 1]
                options.append((score + GAP, [*path, (None, j - 1)]))
            if options:
                best[i, j] = max(options, key=lambda option: option[0])
    return best[len(ours), len(theirs)][1]


def cross(first: Genome, second: Genome, rng: random.Random) -> Step:
    """A child with the first parent's blocks up to a cut in the alignment, and the second's behind it.

    Embedding, head, norms, cache and training are the first's; a recurrence that the cut goes through is dropped.
    Errors: LamarckError where the streams differ, or no cut gives a valid child with blocks of both.
    """
    for name, ours, theirs in (
        ("emb.dim", first.model.emb.dim, second.model.emb.dim),
        ("emb.vocab", first.model.emb.vocab, second.model.emb.vocab),
        ("norm", first.model.norm, second.model.norm),
    ):
        if ours != theirs:
            raise LamarckError(f"parents of {name} {ours} and {theirs} cannot cross")
    pairs = align(first, second)
    cuts = [place for place in range(1, len(pairs)) if _clean(pairs, place)]
    for cut in rng.sample(cuts, len(cuts)):
        origins = [Origin(ours, 0) for ours, _ in pairs[:cut] if ours is not None]
        origins += [Origin(theirs, 1) for _, theirs in pairs[cut:] if theirs is not None]
        parents = (first.model, second.model)
        blocks = [parents[origin.parent].blocks[origin.block] for origin in origins]
        child = valid(first, blocks=blocks, recurrences=_whole_spans(first, second, origins))
        if child is not None:
            return Step("crossover", child, tuple(origins), False)
    raise LamarckError("no crossing of these parents gives a valid child with blocks of both")


def _clean(pairs: list[Pair], cut: int) -> bool:
    """Whether both sides have something: a cut before the first block of one parent only copies the other."""
    return any(ours is not None for ours, _ in pairs[:cut]) and any(theirs is not None for _, theirs in pairs[cut:])


def _whole_spans(first: Genome, second: Genome, origins: list[Origin]) -> list[Recurrence]:
    """Recurrences of either parent whose blocks all stand in the child, side by side."""
    spans = []
    for parent, genome in enumerate((first, second)):
        places = {origin.block: place for place, origin in enumerate(origins) if origin.parent == parent}
        for span in genome.model.spans:
            inside = [places[block] for block in range(span.start, span.end) if block in places]
            if len(inside) == span.end - span.start and all(b == a + 1 for a, b in pairwise(inside)):
                spans.append(span.model_copy(update={"start": inside[0], "end": inside[-1] + 1}))
    return spans
