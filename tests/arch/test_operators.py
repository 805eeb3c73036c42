"""Every operator changes genome and module as its name says; growth is exact; what is bred stays causal."""

import random
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch

from lamarck.arch.genes import Block, MoeFfn
from lamarck.arch.genome import Genome
from lamarck.arch.inherit import Heir, ancestor, inherit
from lamarck.arch.model import GenomeForCausalLM
from lamarck.arch.operators import GROWTH, OPERATORS, Step, apply
from tests.arch.checks import NEAR, cache_error, distance, exact, future_leak, ids_for, silent_tensors
from tests.arch.kinds import BLOCKS, EVERY, FFN, HEADS, MOE, PLAIN, genome_of, plain

EXACT = 1e-10
Check = Callable[[GenomeForCausalLM, GenomeForCausalLM], bool]


def blocks(model: GenomeForCausalLM, says: Callable[[Block], Any]) -> list[Any]:
    return [says(block) for block in model.genome.model.blocks]


def shapes(model: GenomeForCausalLM, pattern: str) -> list[tuple[int, ...]]:
    """Shapes of the tensors whose names match."""
    return [tuple(each.shape) for name, each in model.named_parameters() if re.search(pattern, name)]


def count(model: GenomeForCausalLM, kind: str) -> int:
    """Extras of that kind in the genome."""
    return sum(each.type == kind for block in model.genome.model.blocks for each in block.extras)


def modules(model: GenomeForCausalLM, name: str) -> int:
    return sum(type(each).__name__ == name for each in model.modules())


def gene_changes(field: str, *names: str) -> Check:
    """Some of these fields differ, in one block, and nothing else there."""

    def check(old: GenomeForCausalLM, new: GenomeForCausalLM) -> bool:
        pairs = [
            (getattr(a, field), getattr(b, field))
            for a, b in zip(old.genome.model.blocks, new.genome.model.blocks, strict=True)
            if a != b
        ]
        (before, after), *others = pairs
        differing = {key for key in type(after).model_fields if getattr(before, key, None) != getattr(after, key)}
        return not others and bool(differing & set(names)) and differing <= set(names)

    return check


def other_shapes(pattern: str) -> Check:
    return lambda old, new: shapes(old, pattern) != shapes(new, pattern)


def other_function(old: GenomeForCausalLM, new: GenomeForCausalLM) -> bool:
    """With the same weights the module computes something else."""
    ids = ids_for(old.genome)
    same = {name: tensor.shape for name, tensor in old.state_dict().items()}
    assert same == {name: tensor.shape for name, tensor in new.state_dict().items()}
    return distance(old(ids).logits, new(ids).logits) > 1e-6


def one_more(kind: str, module: str) -> tuple[Check, Check]:
    return (
        lambda old, new: count(new, kind) == count(old, kind) + 1,
        lambda old, new: modules(new, module) == modules(old, module) + 1,
    )


def one_less(kind: str, module: str) -> tuple[Check, Check]:
    more = one_more(kind, module)
    return (lambda old, new: more[0](new, old), lambda old, new: more[1](new, old))


def extra_changes(old: GenomeForCausalLM, new: GenomeForCausalLM) -> bool:
    """One extra says something else, and stays of its kind."""
    pairs = [
        (a, b)
        for x, y in zip(old.genome.model.blocks, new.genome.model.blocks, strict=True)
        for a, b in zip(x.extras, y.extras, strict=True)
        if a != b
    ]
    return len(pairs) == 1 and pairs[0][0].type == pairs[0][1].type


def module_changes(old: GenomeForCausalLM, new: GenomeForCausalLM) -> bool:
    """Other tensors, or other weights in them, or another function of them."""
    ids, ours, theirs = ids_for(old.genome), old.state_dict(), new.state_dict()
    if {name: each.shape for name, each in ours.items()} != {name: each.shape for name, each in theirs.items()}:
        return True
    if [each.requires_grad for each in old.parameters()] != [each.requires_grad for each in new.parameters()]:
        return True
    return (
        any(not torch.equal(ours[name], theirs[name]) for name in ours)
        or distance(old(ids).logits, new(ids).logits) > 0
    )


def router_losses_change(old: GenomeForCausalLM, new: GenomeForCausalLM) -> bool:
    """The loss in training is another, though the function may be the same."""
    ids = ids_for(old.genome)
    losses = [model.train()(ids, labels=ids).loss.item() for model in (old, new)]
    return losses[0] != losses[1]


def trains_in(old: GenomeForCausalLM, new: GenomeForCausalLM) -> bool:
    ids = ids_for(old.genome)
    types = [model.float().train()(ids).logits.dtype for model in (old, new)]
    return set(types) == {torch.bfloat16, torch.float32}


def order(model: GenomeForCausalLM) -> list[float]:
    return [block.branches["ffn"].down_proj.weight.sum().item() for block in model.blocks]


def reorders(old: GenomeForCausalLM, new: GenomeForCausalLM) -> bool:
    """The same weights, in another order of blocks."""
    return order(old) != order(new) and sorted(order(old)) == sorted(order(new))


def attn(**fields: Any) -> Genome:
    return genome_of(*[{"attn": {**PLAIN, **fields}, "ffn": FFN}] * 2)


DIFFERENT = genome_of(*[{"attn": PLAIN, "ffn": {**FFN, "hidden": hidden}} for hidden in (8, 16, 24)])
EXPERTS = genome_of({"attn": PLAIN, "ffn": {**MOE, "shared": 1}}, {"attn": PLAIN, "ffn": FFN})
LOOPED = plain(3, recurrences=[{"start": 0, "end": 2}])
KV = r"attn\.[kv]_proj"


def extras_of(*extras: str) -> Genome:
    return genome_of({"attn": PLAIN, "ffn": FFN, "extras": [BLOCKS[name]["extras"][0] for name in extras]})


# Operator, a genome it finds a place in, what becomes of the genome, what becomes of the module.
CASES: list[tuple[str, Genome, Check, Check]] = [
    (
        "duplicate_block_span",
        plain(),
        lambda old, new: len(new.genome.model.blocks) > len(old.genome.model.blocks),
        lambda old, new: len(new.blocks) == len(new.genome.model.blocks) > len(old.blocks),
    ),
    (
        "shuffle_block_span",
        DIFFERENT,
        lambda old, new: blocks(old, lambda b: b.ffn.hidden) != blocks(new, lambda b: b.ffn.hidden),
        reorders,
    ),
    ("add_recurrence", plain(), lambda old, new: len(new.genome.model.recurrences) == 1, other_shapes("adapters")),
    (
        "add_additional_recurrence",
        LOOPED,
        lambda old, new: len(new.genome.model.recurrences) == 2,
        lambda old, new: len(new.adapters) == 2,
    ),
    (
        "tune_recurrence",
        LOOPED,
        lambda old, new: new.genome.model.recurrences[0] != old.genome.model.recurrences[0],
        module_changes,
    ),
    ("toggle_precision", plain(), lambda old, new: old.genome.train.bf16 != new.genome.train.bf16, trains_in),
    ("make_gqa", EVERY["MHA"], gene_changes("attn", "kind", "kv_heads"), other_shapes(KV)),
    ("make_gqa", EVERY["MQA"], gene_changes("attn", "kind", "kv_heads"), other_shapes(KV)),
    ("tune_kv", plain(), gene_changes("attn", "kind", "kv_heads"), other_shapes(KV)),
    (
        "tune_attn_shape",
        plain(),
        gene_changes("attn", "kind", "heads", "kv_heads", "head_dim"),
        other_shapes(r"attn\."),
    ),
    (
        "toggle_linear_attention",
        plain(),
        gene_changes("attn", "kind", "rope"),
        lambda old, new: modules(new, "LinearAttention") == 1,
    ),
    (
        "toggle_linear_attention",
        genome_of({"attn": {"kind": "LINEAR", **HEADS}, "ffn": FFN}),
        gene_changes("attn", "kind", "rope"),
        lambda old, new: modules(new, "LinearAttention") == 0,
    ),
    ("toggle_mla_attention", plain(), gene_changes("attn", "kind", "kv_latent_dim"), other_shapes("kv_down")),
    (
        "toggle_mla_attention",
        genome_of(BLOCKS["MLA"]),
        gene_changes("attn", "kind", "kv_latent_dim"),
        other_shapes("kv_down"),
    ),
    ("tune_attn_gating", plain(), gene_changes("attn", "gating_pos", "gating_op"), other_shapes(r"attn\.gate")),
    (
        "tune_attn_gating",
        attn(gating_pos="output"),
        gene_changes("attn", "gating_pos", "gating_op"),
        other_shapes("gate"),
    ),
    (
        "tune_attn_sparsity",
        plain(),
        gene_changes("attn", "sparsity", "window", "block_size", "block_stride", "global_stride", "dilation"),
        other_function,
    ),
    (
        "toggle_selector",
        plain(),
        gene_changes("attn", "selector", "selector_topk", "selector_heads", "selector_dim", "selector_rope"),
        other_function,
    ),
    (
        "toggle_selector",
        genome_of(BLOCKS["selector"]),
        lambda old, new: new.genome.model.blocks[0].attn.selector == "none",
        other_function,
    ),
    ("toggle_alibi", plain(), gene_changes("attn", "alibi"), other_function),
    ("toggle_qk_norm", plain(), gene_changes("attn", "qk_norm", "qk_norm_max"), module_changes),
    ("toggle_qk_norm", genome_of(BLOCKS["rms"]), gene_changes("attn", "qk_norm"), other_shapes("q_norm")),
    ("tune_rope", plain(), gene_changes("attn", "rope", "rope_theta", "rope_factor"), module_changes),
    (
        "toggle_kv_policy",
        plain(),
        lambda old, new: new.genome.model.kv_policy != old.genome.model.kv_policy,
        module_changes,
    ),
    (
        "tune_kv_policy",
        EVERY["latent policy"],
        lambda old, new: new.genome.model.kv_policy.cache == "latent",
        module_changes,
    ),
    (
        "dense_to_moe",
        plain(),
        lambda old, new: sum(blocks(new, lambda b: isinstance(b.ffn, MoeFfn))) == 1,
        lambda old, new: modules(new, "Experts") == 1,
    ),
    ("mutate_topk", EXPERTS, gene_changes("ffn", "k"), other_function),
    ("tune_experts", EXPERTS, gene_changes("ffn", "n_experts", "k"), other_shapes(r"router\.weight")),
    ("tune_router", EXPERTS, gene_changes("ffn", "router_type", "shared"), module_changes),
    (
        "tune_router_coeffs",
        EXPERTS,
        gene_changes("ffn", "router_temperature", "balance", "z_loss"),
        router_losses_change,
    ),
    ("tune_ffn_width_activation", plain(), gene_changes("ffn", "hidden", "activation"), module_changes),
    (
        "toggle_ssm",
        plain(),
        lambda old, new: sum(blocks(new, lambda b: b.ssm is not None)) == 1,
        lambda old, new: modules(new, "StateSpace") == 1,
    ),
    (
        "toggle_ssm",
        genome_of({"attn": PLAIN, "ssm": BLOCKS["mamba2"]["ssm"]}),
        lambda old, new: new.genome.model.blocks[0].ssm is None,
        lambda old, new: modules(new, "StateSpace") == 0,
    ),
    (
        "shift_moe",
        EXPERTS,
        lambda old, new: blocks(new, lambda b: b.ffn.type) == ["dense", "moe"],
        lambda old, new: [type(b.branches["ffn"]).__name__ for b in new.blocks] == ["FeedForward", "Experts"],
    ),
    (
        "add_extra_combo",
        plain(),
        lambda old, new: (count(new, "retro"), count(new, "gated")) == (1, 1),
        lambda old, new: (modules(new, "RetroBranch"), modules(new, "Factors")) == (1, 1),
    ),
    ("insert_retro_module", plain(), *one_more("retro", "RetroBranch")),
    ("tune_retro", extras_of("retro gate"), extra_changes, module_changes),
    ("insert_custom_module", plain(), one_more("custom", "")[0], one_more("", "FeedForward")[1]),
    ("insert_assoc_memory", plain(), *one_more("assoc_memory", "Associative")),
    ("tune_assoc_memory", extras_of("assoc_memory"), extra_changes, module_changes),
    ("insert_memory_tokens", plain(), *one_more("memory_tokens", "LearnedTokens")),
    ("tune_memory_tokens", extras_of("memory_tokens"), extra_changes, module_changes),
    ("insert_chunk_memory", plain(), *one_more("chunk_memory", "Chunks")),
    ("tune_chunk_memory", extras_of("chunk_memory"), extra_changes, module_changes),
    ("toggle_branch_router", plain(), *one_more("branch_router", "Router")),
    ("toggle_branch_router", genome_of(BLOCKS["branch_router by token"]), *one_less("branch_router", "Router")),
    ("tune_branch_router", genome_of(BLOCKS["branch_router by token"]), extra_changes, module_changes),
    ("insert_layer_scale", plain(), *one_more("layer_scale", "Factors")),
    ("tune_layer_scale", genome_of(BLOCKS["layer_scale"]), extra_changes, module_changes),
    ("toggle_gated_mix", plain(), *one_more("gated", "Factors")),
    ("toggle_gated_mix", genome_of(BLOCKS["gated"]), *one_less("gated", "Factors")),
    ("graph_jitter", EXPERTS, lambda old, new: old.genome != new.genome, module_changes),
    ("template_mutation", EXPERTS, lambda old, new: old.genome != new.genome, module_changes),
    (
        "grow_width",
        plain(),
        lambda old, new: new.genome.model.emb.dim > old.genome.model.emb.dim,
        lambda old, new: new.embed.weight.shape[1] == new.genome.model.emb.dim > old.embed.weight.shape[1],
    ),
]
# Those that leave the function as it is, whatever they draw, in the genome that CASES gives them first.
GROWING = {
    "duplicate_block_span", "add_recurrence", "add_additional_recurrence", "toggle_precision", "dense_to_moe",
    "tune_router_coeffs", "add_extra_combo", "insert_retro_module", "insert_custom_module", "insert_assoc_memory",
    "insert_memory_tokens", "insert_chunk_memory", "insert_layer_scale", "tune_layer_scale", "grow_width",
    "toggle_gated_mix", "toggle_branch_router", "toggle_ssm", "tune_attn_gating",
}  # fmt: skip
# Those that may, by what they draw; the rest change what is computed.
SOMETIMES = {
    "make_gqa", "tune_kv", "tune_attn_shape", "toggle_mla_attention", "tune_router", "tune_ffn_width_activation",
    "tune_retro", "tune_assoc_memory", "tune_memory_tokens", "tune_chunk_memory", "tune_branch_router",
    "graph_jitter", "template_mutation",
}  # fmt: skip


def descend(model: GenomeForCausalLM, steps: list[Step]) -> Heir:
    heir = ancestor(model)
    for step in steps:
        heir = inherit([heir], step.genome, step.origins, seed=1)
    return heir


def test_the_table_has_the_sources_44_names_and_each_has_a_case() -> None:
    assert len(OPERATORS) == 44
    assert {name for name, *_ in CASES} == OPERATORS.keys() | GROWTH.keys()
    assert OPERATORS.keys() >= (GROWING | SOMETIMES) - GROWTH.keys()


@pytest.mark.parametrize("case", range(len(CASES)), ids=[f"{name}-{place}" for place, (name, *_) in enumerate(CASES)])
def test_an_operator_does_what_its_name_says(case: int) -> None:
    name, genome, genome_check, module_check = CASES[case]
    first = name not in {each for each, *_ in CASES[:case]}
    ids = ids_for(genome, rows=4)
    for seed in range(2):
        parent = exact(genome)
        steps = apply(name, genome, random.Random(seed))
        heir = descend(parent, steps)
        child, change = heir.model, distance(heir.model(ids).logits, parent(ids).logits)
        assert child.genome == steps[-1].genome
        if seed == 0:
            assert cache_error(child, ids) < NEAR
            assert future_leak(lambda each, model=child: model(each).logits, ids) < NEAR
        if all(step.exact for step in steps):
            assert change < EXACT
        if first and name in GROWING:
            assert all(step.exact for step in steps)
        if name not in GROWING | SOMETIMES:
            assert not all(step.exact for step in steps)
        assert genome_check(parent, child)
        assert module_check(parent, child)
        # toggle_precision's check has trained; what is left is the function that served above.
        if all(step.exact for step in steps):
            assert not silent_tensors(heir, ids)


def test_growth_that_is_not_quiet_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without zeros where new parts write, every growth would change the function."""
    from lamarck.arch import inherit as module

    monkeypatch.setattr(module, "quiet_value", lambda name: None)
    for name in ("insert_assoc_memory", "duplicate_block_span", "add_recurrence", "tune_attn_shape"):
        parent, ids = exact(plain()), ids_for(plain())
        heir = descend(parent, apply(name, plain(), random.Random(1)))
        assert distance(heir.model(ids).logits, parent(ids).logits) > 1e-3


def test_a_part_that_never_learns_is_caught() -> None:
    """Two zeros in a row have no gradient: neither ever moves."""
    parent, ids = exact(plain()), ids_for(plain(), rows=4)
    heir = descend(parent, apply("insert_custom_module", plain(), random.Random(0)))
    with torch.no_grad():
        for name, parameter in heir.model.named_parameters():
            if "memory" in name:
                parameter.zero_()
    assert any("memory" in name for name in silent_tensors(heir, ids))
