"""The table of operators: how they are drawn, applied by name, and chained. Weights follow in breed.py."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from lamarck.arch.edit import Edit, Propose, moved_spans, rebuilt
from lamarck.arch.genes import Block
from lamarck.arch.genome import Genome
from lamarck.arch.operators_attention import ATTENTION
from lamarck.arch.operators_depth import DEPTH, grow_width
from lamarck.arch.operators_extras import EXTRAS
from lamarck.arch.operators_ffn import FFN
from lamarck.arch.origins import Origin, Origins
from lamarck.arch.preserves import preserves
from lamarck.errors import LamarckError, nearest

SINGLE: dict[str, tuple[str, Propose]] = DEPTH | ATTENTION | FFN | EXTRAS
COMPOSED: dict[str, str] = {
    "graph_jitter": "two to four other operators in a row",
    "template_mutation": "a change that takes several steps, from a list",
}
# The 44 names of the sources, each with what it does.
OPERATORS: dict[str, str] = {name: does for name, (does, _) in SINGLE.items()} | COMPOSED
# What only grows, and is not drawn by chance: it changes what two parents must share to cross.
GROWTH: dict[str, tuple[str, Propose]] = {"grow_width": ("a wider stream", grow_width)}


@dataclass(frozen=True)
class Step:
    """One applied operator: the genome that it made, and what of the genome before lives on in it."""

    operator: str
    genome: Genome
    origins: Origins
    exact: bool  # whether inheritance leaves the function as it was


def _new_block(genome: Genome, rng: random.Random, *kinds: str) -> Block:
    """A block of the shape that is most common, with a state-space branch or a memory instead of its attention."""
    block = rng.choice(genome.model.blocks)
    values = {**block.model_dump(), "extras": []}
    if "ssm" in kinds:
        heads = next(each for each in (8, 4, 2, 1) if genome.model.emb.dim % each == 0)
        values |= {"attn": None, "ssm": {"d_inner": genome.model.emb.dim, "d_state": 8, "heads": heads}}
    if "memory" in kinds:
        stride = max(1, genome.data.seq_len // 16)
        values["extras"] = [{"type": "retro", "memory_tokens": 64, "stride": stride, "gating_weight": 0.3}]
    return Block.model_validate(values)


def _insert(kind: str) -> Propose:
    def propose(genome: Genome, rng: random.Random) -> Edit | None:
        blocks = list(genome.model.blocks)
        place = rng.randint(0, len(blocks))
        origins: list[Origin | None] = [Origin(each) for each in range(len(blocks))]
        origins.insert(place, None)
        blocks.insert(place, _new_block(genome, rng, kind))
        new = rebuilt(genome, blocks=blocks, recurrences=moved_spans(genome.model, origins))
        return None if new is None else Edit(new, tuple(origins))

    return propose


def _remove(genome: Genome, rng: random.Random) -> Edit | None:
    blocks = list(genome.model.blocks)
    if len(blocks) < 2:
        return None
    origins: list[Origin | None] = [Origin(each) for each in range(len(blocks))]
    gone = rng.randrange(len(blocks))
    del blocks[gone], origins[gone]
    new = rebuilt(genome, blocks=blocks, recurrences=moved_spans(genome.model, origins))
    return None if new is None else Edit(new, tuple(origins))


PARTS: dict[str, Propose] = {
    "insert_ssm_block": _insert("ssm"),
    "insert_memory_block": _insert("memory"),
    "remove_block": _remove,
}
TEMPLATES: tuple[tuple[str, ...], ...] = (
    ("insert_ssm_block",),
    ("remove_block", "insert_memory_block"),
    ("dense_to_moe", "tune_router_coeffs"),
    ("toggle_ssm", "toggle_gated_mix"),
    ("tune_attn_sparsity", "insert_chunk_memory"),
    ("insert_retro_module", "toggle_branch_router"),
)


def apply(name: str, genome: Genome, rng: random.Random) -> list[Step]:
    """One operator by name; a composed one gives several steps, which bear its name too.

    Errors: LamarckError for a name that there is not (with the nearest), and where the genome offers no place for it.
    """
    if name == "graph_jitter":
        return _jitter(genome, rng)
    if name == "template_mutation":
        return _template(genome, rng)
    known = SINGLE | GROWTH
    if name not in known:
        raise LamarckError(f"unknown operator {name!r}: {nearest(name, [*OPERATORS, *GROWTH])}")
    step = _step(name, known[name][1], genome, rng)
    if step is None:
        raise LamarckError(f"{name} ({known[name][0]}) finds no place in this genome")
    return [step]


def _step(name: str, propose: Propose, genome: Genome, rng: random.Random) -> Step | None:
    edit = propose(genome, rng)
    if edit is None:
        return None
    return Step(name, edit.genome, edit.origins, preserves(genome, edit.genome, edit.origins))


def _jitter(genome: Genome, rng: random.Random) -> list[Step]:
    steps: list[Step] = []
    wanted = rng.randint(2, 4)
    for name in rng.sample(list(SINGLE), len(SINGLE)):
        here = steps[-1].genome if steps else genome
        step = _step(f"graph_jitter:{name}", SINGLE[name][1], here, rng)
        if step is not None:
            steps.append(step)
        if len(steps) == wanted:
            break
    return steps


def _template(genome: Genome, rng: random.Random) -> list[Step]:
    """The first template, in random order, that finds a place for all its parts."""
    proposals = PARTS | {name: propose for name, (_, propose) in SINGLE.items()}
    for template in rng.sample(TEMPLATES, len(TEMPLATES)):
        steps: list[Step] = []
        for name in template:
            here = steps[-1].genome if steps else genome
            step = _step(f"template_mutation:{name}", proposals[name], here, rng)
            if step is None:
                break
            steps.append(step)
        if len(steps) == len(template):
            return steps
    raise LamarckError("template_mutation finds no place in this genome for any of its templates")


def mutate(
    genome: Genome, rng: random.Random, steps: int = 1, weights: Mapping[str, float] | None = None
) -> list[Step]:
    """`steps` operators in a row, drawn by `weights` (all alike when left out) from those that find a place.

    Errors: LamarckError for a weight of an unknown operator, and where none finds a place.
    """
    if unknown := next((name for name in weights or {} if name not in OPERATORS), None):
        raise LamarckError(f"unknown operator {unknown!r}: {nearest(unknown, OPERATORS)}")
    chain: list[Step] = []
    for _ in range(steps):
        chain += _one(chain[-1].genome if chain else genome, rng, weights)
    return chain


def _one(genome: Genome, rng: random.Random, weights: Mapping[str, float] | None) -> list[Step]:
    left = {name: 1.0 if weights is None else weights.get(name, 0.0) for name in OPERATORS}
    while any(left.values()):
        name = rng.choices(list(left), list(left.values()))[0]
        try:
            return apply(name, genome, rng)
        except LamarckError:
            del left[name]
    raise LamarckError("no operator with a weight above 0 finds a place in this genome")
