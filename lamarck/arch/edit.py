"""One change of a genome, and the small tools that operators are written with."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from lamarck.arch.genes import Block
from lamarck.arch.genome import Genome, Model, Recurrence, changed
from lamarck.arch.origins import Origin, Origins, same_blocks


@dataclass(frozen=True)
class Edit:
    """A child's genome, and where each of its blocks comes from in the genome it was made from."""

    genome: Genome
    origins: Origins


Propose = Callable[[Genome, random.Random], Edit | None]  # None: the genome offers no place for it
ChangeBlock = Callable[[Block, Genome, random.Random], Block | None]


def valid(genome: Genome, **model: Any) -> Genome | None:
    """The genome with parts of its model changed; None where that would not be valid."""
    try:
        return Genome.model_validate({**genome.model_dump(), "model": {**genome.model.model_dump(), **_plain(model)}})
    except ValidationError:
        return None


def rebuilt(genome: Genome, **model: Any) -> Genome | None:
    """The same; None also where nothing changes."""
    new = valid(genome, **model)
    return None if new == genome else new


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Genes as plain values, so that pydantic checks what they say together."""
    return {name: _dumped(value) for name, value in values.items()}


def _dumped(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_dumped(each) for each in value]
    return value.model_dump() if hasattr(value, "model_dump") else value


def in_place(genome: Genome, **model: Any) -> Edit | None:
    """An edit that leaves every block where it is."""
    new = rebuilt(genome, **model)
    return None if new is None else Edit(new, same_blocks(new))


def at_a_block(change: ChangeBlock) -> Propose:
    """An operator that changes one block: the first, in random order, where `change` makes something new and valid."""

    def propose(genome: Genome, rng: random.Random) -> Edit | None:
        blocks = genome.model.blocks
        for place in rng.sample(range(len(blocks)), len(blocks)):
            try:
                block = change(blocks[place], genome, rng)
            except ValidationError:
                continue
            if block is not None:
                edit = in_place(genome, blocks=[*blocks[:place], block, *blocks[place + 1 :]])
                if edit is not None:
                    return edit
        return None

    return propose


def at_a_gene(field: str, change: Callable[[Any, Genome, random.Random], Any]) -> Propose:
    """An operator that changes one block's attn, ssm or ffn; `change` returns None where it has no business."""

    def change_block(block: Block, genome: Genome, rng: random.Random) -> Block | None:
        gene = getattr(block, field)
        new = None if gene is None else change(gene, genome, rng)
        return None if new is None else changed(block, **{field: new.model_dump()})

    return at_a_block(change_block)


def with_extra(block: Block, old: Any | None, new: Any | None) -> Block:
    """The block with one extra replaced (old and new), added (new) or removed (old)."""
    extras = [each for each in block.extras if each is not old]
    if new is not None:
        place = len(extras) if old is None else next(i for i, each in enumerate(block.extras) if each is old)
        extras.insert(place, new)
    return changed(block, extras=[each.model_dump() for each in extras])


def other(rng: random.Random, values: list[Any], than: Any) -> Any:
    """One of the values that is not the present one; the present one where there is no other."""
    others = [value for value in values if value != than]
    return rng.choice(others) if others else than


def reordered(genome: Genome, origins: list[Origin], spans: tuple[Recurrence, ...] | None = None) -> Edit | None:
    """The genome whose blocks are those of `origins`, in that order; its spans follow their first and last block."""
    model = genome.model
    blocks = [model.blocks[origin.block] for origin in origins]
    if spans is None:
        spans = moved_spans(model, list(origins))
    new = rebuilt(genome, blocks=blocks, recurrences=spans)
    return None if new is None else Edit(new, tuple(origins))


def moved_spans(model: Model, origins: "list[Origin | None]") -> tuple[Recurrence, ...]:
    """Where the recurrences lie after blocks were added or moved: around the blocks that they were around."""
    spans = []
    for span in model.spans:
        inside = [
            place
            for place, origin in enumerate(origins)
            if origin is not None and span.start <= origin.block < span.end
        ]
        if inside:
            spans.append(span.model_copy(update={"start": min(inside), "end": max(inside) + 1}))
    return tuple(spans)
