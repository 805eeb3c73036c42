"""What is bred from trained parents: what is carried, what is recorded, and crossings."""

import random

import pytest
import torch

from lamarck.arch.breed import crossing, loss_on, mutant
from lamarck.arch.crossover import align, cross
from lamarck.arch.genome import Genome
from lamarck.arch.inherit import ancestor, inherit
from lamarck.arch.operators import apply, mutate
from lamarck.arch.origins import Origin, same_blocks
from lamarck.errors import LamarckError
from tests.arch.checks import NEAR, cache_error, distance, exact, future_leak, ids_for, train_step
from tests.arch.kinds import FFN, HEADS, MOE, PLAIN, genome_of, plain
from tests.arch.test_operators import DIFFERENT, EXACT


def test_what_cannot_be_exact_carries_what_it_can() -> None:
    """Fewer key heads by their means lose less than random ones; a latent of full rank loses nothing."""
    genome = genome_of(*[{"attn": {"kind": "MHA", "rope": "standard", **HEADS}, "ffn": FFN}] * 2)
    parent, ids = exact(genome), ids_for(genome)
    for _ in range(60):
        train_step(parent, ids, 0.1)
    step = next(each for each in (apply("make_gqa", genome, random.Random(seed))[0] for seed in range(9)))
    child = mutant(parent, [step], ids, seed=0)
    fresh = inherit([ancestor(exact(genome, 5))], step.genome, same_blocks(step.genome), 0).model
    descent = child.descent
    assert not descent.exact and descent.inherited == 1
    assert descent.loss_before < descent.loss_after < loss_on(fresh, ids)
    for seed in range(20):
        latent = apply("toggle_mla_attention", genome, random.Random(seed))[0]
        place = next(i for i, block in enumerate(latent.genome.model.blocks) if block.attn.kind == "MLA")
        if latent.genome.model.blocks[place].attn.kv_latent_dim == 16:
            full = inherit([ancestor(parent)], latent.genome, latent.origins, 0).model
            assert distance(full(ids).logits, parent(ids).logits) < EXACT
            break
    else:
        pytest.fail("no latent of full rank was drawn")


def test_a_chain_records_its_operators_and_what_is_left_of_the_parent() -> None:
    genome = plain()
    parent, ids = exact(genome), ids_for(genome)
    steps = mutate(genome, random.Random(3), steps=3, weights={"insert_retro_module": 1, "duplicate_block_span": 2})
    child = mutant(parent, steps, ids, seed=0)
    descent = child.descent
    assert len(descent.operators) == 3 and set(descent.operators) <= {"insert_retro_module", "duplicate_block_span"}
    assert descent.parents == (genome.digest(),) and descent.genome == child.model.genome.digest()
    assert descent.exact and descent.loss_after == pytest.approx(descent.loss_before, abs=1e-12)
    # Counted by hand: every tensor that is the parent's, and copies of what reads in the copied blocks.
    own = sum(each.numel() for each in child.model.parameters())
    given = sum(each.numel() for each in parent.parameters())
    assert given / own <= descent.inherited < 1


def test_the_same_seed_breeds_the_same_child() -> None:
    genome = plain()
    parent, ids = exact(genome), ids_for(genome)
    children = [mutant(parent, mutate(genome, random.Random(5), steps=2), ids, seed=7) for _ in range(2)]
    assert children[0].descent == children[1].descent
    theirs, ours = (child.model.state_dict() for child in children)
    assert all(torch.equal(theirs[name], ours[name]) for name in theirs)


def test_shuffled_blocks_take_their_weights_with_them() -> None:
    """The sources loaded by name: a moved block kept the weights of the place."""
    parent = exact(plain())
    swapped = inherit([ancestor(parent)], plain(), (Origin(1), Origin(0), Origin(2)), 0).model
    wanted = {name: tensor for name, tensor in parent.blocks[1].state_dict().items()}
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in swapped.blocks[0].state_dict().items())


def test_crossover_pairs_blocks_by_what_they_are() -> None:
    linear = {"attn": {"kind": "LINEAR", **HEADS}, "ffn": FFN}
    common = {"attn": PLAIN, "ffn": FFN}
    experts = {"attn": PLAIN, "ffn": {**MOE}}
    first, second = genome_of(common, experts, common), genome_of(common, linear, experts, common)
    assert align(first, second) == [(0, 0), (None, 1), (1, 2), (2, 3)]
    parents, ids = [exact(first, 1), exact(second, 2)], ids_for(first)
    for seed in range(4):
        step = cross(first, second, random.Random(seed))
        child = crossing(parents[0], parents[1], random.Random(seed), ids, seed=0)
        assert child.model.genome == step.genome and child.descent.inherited == 1
        assert child.descent.parents == (first.digest(), second.digest())
        assert child.descent.operators == ("crossover",) and not child.descent.exact
        for block, origin in zip(child.model.blocks, step.origins, strict=True):
            source = parents[origin.parent].blocks[origin.block].state_dict()
            assert all(torch.equal(tensor, source[name]) for name, tensor in block.state_dict().items())
        assert cache_error(child.model, ids) < NEAR
        assert future_leak(lambda each, model=child.model: model(each).logits, ids) < NEAR


def test_a_crossing_keeps_whole_recurrences_and_drops_cut_ones() -> None:
    looped = DIFFERENT.model.model_dump() | {"recurrences": [{"start": 0, "end": 2}]}
    first = Genome.model_validate({**DIFFERENT.model_dump(), "model": looped})
    second = genome_of(*[{"attn": PLAIN, "ffn": {**FFN, "hidden": hidden}} for hidden in (8, 16, 40)])
    kept = {len(cross(first, second, random.Random(seed)).genome.model.recurrences) for seed in range(12)}
    assert kept <= {0, 1} and 1 in kept


def test_what_cannot_be_done_is_refused_with_a_sentence() -> None:
    rng = random.Random(0)
    with pytest.raises(LamarckError, match=r"unknown operator 'dense_to_mo': did you mean 'dense_to_moe'\?"):
        apply("dense_to_mo", plain(), rng)
    with pytest.raises(LamarckError, match=r"mutate_topk \(more or fewer experts for each token\) finds no place"):
        apply("mutate_topk", plain(), rng)
    with pytest.raises(LamarckError, match="unknown operator 'toggle_smm': did you mean 'toggle_ssm'"):
        mutate(plain(), rng, weights={"toggle_smm": 1})
    with pytest.raises(LamarckError, match="no operator with a weight above 0 finds a place"):
        mutate(plain(), rng, weights={"mutate_topk": 1})
    with pytest.raises(LamarckError, match="at least one operator"):
        mutant(exact(plain()), [], ids_for(plain()), 0)
    with pytest.raises(LamarckError, match=r"emb\.dim 16 and 32 cannot cross"):
        cross(plain(), plain(emb={"dim": 32, "vocab": 32}), rng)
    with pytest.raises(LamarckError, match="blocks of both"):
        cross(plain(1), plain(1), rng)
    with pytest.raises(LamarckError, match="another vocabulary"):
        other = plain(emb={"dim": 16, "vocab": 33})
        inherit([ancestor(exact(plain()))], other, same_blocks(other), 0)
    with pytest.raises(LamarckError, match="a wider stream is a step of its own"):
        wide = plain(2, emb={"dim": 32, "vocab": 32})
        inherit([ancestor(exact(plain()))], wide, same_blocks(wide), 0)
    with pytest.raises(LamarckError, match="cannot be joined"):
        narrow = plain(emb={"dim": 8, "vocab": 32})
        inherit([ancestor(exact(plain()))], narrow, same_blocks(narrow), 0)


def test_operators_need_no_torch() -> None:
    import subprocess
    import sys

    program = "import sys, lamarck.arch.operators, lamarck.arch.crossover; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
