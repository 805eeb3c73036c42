"""Operators on feed-forward networks and state-space branches."""

import random

from lamarck.arch.edit import Edit, Propose, at_a_block, at_a_gene, other, reordered
from lamarck.arch.genes import Block, DenseFfn, MoeFfn, Ssm
from lamarck.arch.genome import Genome, changed
from lamarck.arch.origins import Origin

EXPERTS = [2, 4, 8, 12, 16, 24, 32]


def dense_to_moe(ffn: DenseFfn | MoeFfn, genome: Genome, rng: random.Random) -> MoeFfn | None:
    if not isinstance(ffn, DenseFfn):
        return None
    shared = rng.choice([0, 1])
    return MoeFfn(
        type="moe", hidden=ffn.hidden, activation=ffn.activation, n_experts=rng.choice([4, 8]), k=2, shared=shared
    )


def mutate_topk(ffn: DenseFfn | MoeFfn, genome: Genome, rng: random.Random) -> MoeFfn | None:
    if not isinstance(ffn, MoeFfn):
        return None
    return changed(ffn, k=other(rng, [each for each in (1, 2, 4, 8) if each <= ffn.n_experts], ffn.k))


def tune_experts(ffn: DenseFfn | MoeFfn, genome: Genome, rng: random.Random) -> MoeFfn | None:
    if not isinstance(ffn, MoeFfn):
        return None
    near = [each for each in EXPERTS if ffn.n_experts / 2 <= each <= ffn.n_experts * 2]
    experts = other(rng, near, ffn.n_experts)
    return changed(ffn, n_experts=experts, k=min(ffn.k, experts))


def tune_router(ffn: DenseFfn | MoeFfn, genome: Genome, rng: random.Random) -> MoeFfn | None:
    """How the chosen experts are weighed, or one shared expert more or less."""
    if not isinstance(ffn, MoeFfn):
        return None
    if rng.random() < 0.5:
        return changed(ffn, router_type=other(rng, ["softmax", "sigmoid"], ffn.router_type))
    return changed(ffn, shared=max(0, ffn.shared + rng.choice([-1, 1])))


def tune_router_coeffs(ffn: DenseFfn | MoeFfn, genome: Genome, rng: random.Random) -> MoeFfn | None:
    """The temperature, made up for by the weights, and the losses that keep the experts busy."""
    if not isinstance(ffn, MoeFfn):
        return None
    return changed(
        ffn,
        router_temperature=round(ffn.router_temperature * rng.choice([0.5, 0.8, 1.25, 2.0]), 6),
        balance=other(rng, [0.0, 0.005, 0.01, 0.05], ffn.balance),
        z_loss=other(rng, [0.0, 0.001, 0.01], ffn.z_loss),
    )


def tune_ffn_width_activation(ffn: DenseFfn | MoeFfn, genome: Genome, rng: random.Random) -> DenseFfn | None:
    if not isinstance(ffn, DenseFfn):
        return None
    if rng.random() < 0.3:
        return changed(ffn, activation=other(rng, ["swiglu", "gelu", "silu", "relu"], ffn.activation))
    return changed(ffn, hidden=max(1, int(ffn.hidden * rng.choice([0.75, 1.25, 1.5]))))


def toggle_ssm(block: Block, genome: Genome, rng: random.Random) -> Block | None:
    if block.ssm is not None:
        return changed(block, ssm=None)
    dim = genome.model.emb.dim
    heads = next(each for each in (8, 4, 2, 1) if dim % each == 0)
    ssm = Ssm(kind=rng.choice(["mamba2", "ssm"]), d_inner=dim, d_state=rng.choice([8, 16]), heads=heads)
    return changed(block, ssm=ssm.model_dump())


def shift_moe(genome: Genome, rng: random.Random) -> Edit | None:
    """A block with experts moves one or two places."""
    blocks = genome.model.blocks
    places = [place for place, block in enumerate(blocks) if isinstance(block.ffn, MoeFfn)]
    if not places or len(blocks) < 2:
        return None
    source = rng.choice(places)
    targets = [source + step for step in (-2, -1, 1, 2) if 0 <= source + step < len(blocks)]
    order = [Origin(place) for place in range(len(blocks)) if place != source]
    order.insert(rng.choice(targets), Origin(source))
    return reordered(genome, order, genome.model.recurrences)


FFN: dict[str, tuple[str, Propose]] = {
    "dense_to_moe": ("experts that begin as copies of the network", at_a_gene("ffn", dense_to_moe)),
    "mutate_topk": ("more or fewer experts for each token", at_a_gene("ffn", mutate_topk)),
    "tune_experts": ("more or fewer experts", at_a_gene("ffn", tune_experts)),
    "tune_router": ("another router, or another number of shared experts", at_a_gene("ffn", tune_router)),
    "tune_router_coeffs": ("the router's temperature and losses", at_a_gene("ffn", tune_router_coeffs)),
    "tune_ffn_width_activation": ("another width or activation", at_a_gene("ffn", tune_ffn_width_activation)),
    "toggle_ssm": ("a state-space branch, added or removed", at_a_block(toggle_ssm)),
    "shift_moe": ("a block with experts, elsewhere", shift_moe),
}
