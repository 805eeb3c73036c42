"""Operators on the order and number of blocks, on recurrences, and on how a candidate is trained."""

import random

from lamarck.arch.edit import Edit, Propose, in_place, moved_spans, other, rebuilt, reordered
from lamarck.arch.genome import Genome, Recurrence, changed
from lamarck.arch.origins import Origin, same_blocks


def duplicate_block_span(genome: Genome, rng: random.Random) -> Edit | None:
    """One to three blocks again, right behind themselves; the copies write nothing yet."""
    count = len(genome.model.blocks)
    start = rng.randrange(count)
    end = min(count, start + rng.choice([1, 2, 3]))
    order = [Origin(place) for place in range(count)]
    order[end:end] = [Origin(place, silent=True) for place in range(start, end)]
    kept = [origin if not origin.silent else None for origin in order]
    return reordered(genome, order, moved_spans(genome.model, kept))


def shuffle_block_span(genome: Genome, rng: random.Random) -> Edit | None:
    """Two to four neighbours in another order, with their weights."""
    count = len(genome.model.blocks)
    if count < 2:
        return None
    length = rng.randint(2, min(4, count))
    start = rng.randint(0, count - length)
    order = list(range(count))
    shuffled = rng.sample(order[start : start + length], length)
    if shuffled == order[start : start + length]:
        shuffled.reverse()
    order[start : start + length] = shuffled
    return reordered(genome, [Origin(place) for place in order], genome.model.recurrences)


def _free_spans(genome: Genome, shortest: int) -> list[tuple[int, int]]:
    """All spans of blocks that no recurrence touches."""
    taken = {place for span in genome.model.recurrences for place in range(span.start, span.end)}
    count = len(genome.model.blocks)
    spans = [(start, end) for start in range(count) for end in range(start + shortest, count + 1)]
    return [(start, end) for start, end in spans if not taken & set(range(start, end))]


def _recurrence(genome: Genome, rng: random.Random, shortest: int) -> Edit | None:
    spans = _free_spans(genome, shortest)
    if not spans:
        return None
    start, end = rng.choice(spans)
    new = Recurrence(
        start=start,
        end=end,
        steps=rng.choice([2, 3]),
        adapter=rng.choice(["linear", "gated"]),
        concat_prelude=rng.choice([True, False]),
    )
    return in_place(genome, recurrences=[*genome.model.recurrences, new])


def add_recurrence(genome: Genome, rng: random.Random) -> Edit | None:
    """The first recurrence, over two blocks or more."""
    return None if genome.model.recurrences else _recurrence(genome, rng, shortest=2)


def add_additional_recurrence(genome: Genome, rng: random.Random) -> Edit | None:
    """One more recurrence, beside those there are."""
    return _recurrence(genome, rng, shortest=1) if genome.model.recurrences else None


def tune_recurrence(genome: Genome, rng: random.Random) -> Edit | None:
    spans = genome.model.recurrences
    if not spans:
        return None
    place = rng.randrange(len(spans))
    span = spans[place]
    part = rng.choice(["steps", "adapter", "concat_prelude"])
    value = {
        "steps": other(rng, [2, 3, 4], span.steps),
        "adapter": other(rng, ["linear", "gated"], span.adapter),
        "concat_prelude": not span.concat_prelude,
    }[part]
    return in_place(genome, recurrences=[*spans[:place], changed(span, **{part: value}), *spans[place + 1 :]])


def toggle_precision(genome: Genome, rng: random.Random) -> Edit:
    """Training in bfloat16, or in float32."""
    train = changed(genome.train, bf16=not genome.train.bf16)
    return Edit(genome.model_copy(update={"train": train}), same_blocks(genome))


def grow_width(genome: Genome, rng: random.Random) -> Edit | None:
    """A wider stream; see inherit.widen. Norms that subtract a mean would see the new channels."""
    model = genome.model
    if model.norm != "rmsnorm":
        return None
    wide = int(model.emb.dim * rng.choice([1.25, 1.5, 2.0]))
    eps = model.norm_eps * model.emb.dim / wide
    new = rebuilt(genome, emb=changed(model.emb, dim=wide), norm_eps=eps)
    return None if new is None else Edit(new, same_blocks(new))


DEPTH: dict[str, tuple[str, Propose]] = {
    "duplicate_block_span": ("blocks again, as silent copies", duplicate_block_span),
    "shuffle_block_span": ("neighbouring blocks in another order", shuffle_block_span),
    "add_recurrence": ("blocks that run more than once", add_recurrence),
    "add_additional_recurrence": ("one more recurrence", add_additional_recurrence),
    "tune_recurrence": ("more or fewer passes, another adapter", tune_recurrence),
    "toggle_precision": ("training in bfloat16 or float32", toggle_precision),
}
