"""How the weights of one branch become those of another: exactly where that can be, else as much as fits.

Every function fills `new`, which begins as NaN: what is still NaN afterwards was not inherited. Growth is exact because
whatever writes to the stream is 0 where it is new (quiet.py); Net2Net, arXiv:1511.05641; LEMON, arXiv:2310.07999.
"""

import torch

from lamarck.arch.genes import AssocMemory, Attention, ChunkMemory, DenseFfn, MemoryTokens, MoeFfn, Retro, Ssm
from lamarck.arch.genome import Model

Weights = dict[str, torch.Tensor]  # of one branch: name within it -> tensor


def corner(new: torch.Tensor, old: torch.Tensor) -> None:
    """Copy what both have room for, from index 0 of every axis."""
    shared = tuple(slice(0, min(ours, theirs)) for ours, theirs in zip(new.shape, old.shape, strict=True))
    new[shared] = old[shared]


def carry_equal(old: Weights, new: Weights) -> None:
    """Copy every tensor of the same name and shape."""
    for name, tensor in new.items():
        if name in old and old[name].shape == tensor.shape:
            tensor.copy_(old[name])


def carry_branch(old: Weights, new: Weights, old_gene: object, gene: object, old_model: Model, model: Model) -> None:
    """Fill one branch from another of the same place: attn, ssm, ffn or a memory of the same type."""
    match old_gene, gene:
        case Attention(), Attention():
            carry_attention(old, new, old_gene, gene, old_model, model)
        case DenseFfn(), DenseFfn():
            carry_network(old, new, old_gene.activation, gene.activation)
        case DenseFfn(), MoeFfn():
            for expert in range(gene.n_experts):
                carry_network(old, _expert(new, expert), old_gene.activation, gene.activation)
        case MoeFfn(), DenseFfn():
            carry_network(_expert(old, 0), new, old_gene.activation, gene.activation)
        case MoeFfn(), MoeFfn():
            _carry_experts(old, new, old_gene, gene)
        case Ssm(), Ssm():
            if (old_gene.d_inner, old_gene.heads) == (gene.d_inner, gene.heads):
                carry_equal(old, new)
        case Retro(), Retro():
            carry_equal(old, new)
            new["scale"] *= old_gene.gating_weight / gene.gating_weight
        case AssocMemory() | MemoryTokens() | ChunkMemory(), AssocMemory() | MemoryTokens() | ChunkMemory():
            _carry_memory(old, new, old_gene, gene)
        case _:
            carry_network(old, new, getattr(old_gene, "activation", ""), getattr(gene, "activation", ""))


def carry_attention(
    old: Weights, new: Weights, old_gene: Attention, gene: Attention, old_model: Model, model: Model
) -> None:
    """Heads stay; each new key head is the mean of those that its queries used (arXiv:2305.13245, section 2.1)."""
    by_head = (old_gene.heads, old_gene.head_dim), (gene.heads, gene.head_dim)
    corner(new["q_proj.weight"].unflatten(0, by_head[1]), old["q_proj.weight"].unflatten(0, by_head[0]))
    corner(new["o_proj.weight"].unflatten(1, by_head[1]), old["o_proj.weight"].unflatten(1, by_head[0]))
    groups = _served(old_gene, gene)
    old_latent, latent = old_model.latent_dim(old_gene), model.latent_dim(gene)
    if old_latent is not None and latent is not None and latent >= old_latent:
        corner(new["kv_down.weight"], old["kv_down.weight"])
        for name in ("k_proj.weight", "v_proj.weight"):
            wide = _regrouped(old[name], groups, old_gene, gene)
            new[name][:, :old_latent] = wide
            new[name][~wide[:, 0].isnan(), old_latent:] = 0  # What the latent has more is not read yet.
    else:
        full = {name: _full(old, name) for name in ("k_proj.weight", "v_proj.weight")}
        regrouped = {name: _regrouped(tensor, groups, old_gene, gene) for name, tensor in full.items()}
        if latent is None:
            for name, tensor in regrouped.items():
                new[name].copy_(tensor)
        else:
            _factorise(regrouped, new, latent)
    if (old_gene.gating_pos, old_gene.gating_op) == (gene.gating_pos, gene.gating_op) and "gate.weight" in new:
        _carry_gate(old, new, old_gene, gene, groups)
    for name in ("q_norm.weight", "k_norm.weight"):
        if name in old and name in new:
            corner(new[name], old[name])


def _full(old: Weights, name: str) -> torch.Tensor:
    """The map from the stream to keys or values, (kv_heads * head_dim, dim), a latent multiplied out."""
    return old[name] @ old["kv_down.weight"] if "kv_down.weight" in old else old[name]


def _served(old_gene: Attention, gene: Attention) -> list[list[int]]:
    """For each new key head: the old key heads that the queries it serves have used; none for new queries."""
    old_size, size = old_gene.heads // old_gene.kv_heads, gene.heads // gene.kv_heads
    queries = [[head for head in range(place * size, (place + 1) * size)] for place in range(gene.kv_heads)]
    return [[head // old_size for head in heads if head < old_gene.heads] for heads in queries]


def _regrouped(old: torch.Tensor, groups: list[list[int]], old_gene: Attention, gene: Attention) -> torch.Tensor:
    """old: (kv_heads * head_dim, in) -> the same for the new key heads, NaN where nothing is known."""
    heads = old.unflatten(0, (old_gene.kv_heads, old_gene.head_dim))
    new = old.new_full((gene.kv_heads, gene.head_dim, old.shape[1]), torch.nan)
    for place, group in enumerate(groups):
        if group:
            corner(new[place], heads[group].mean(0) if len(set(group)) > 1 else heads[group[0]])
    return new.flatten(0, 1)


def _factorise(full: Weights, new: Weights, latent: int) -> None:
    """Keys and values through a latent: the best approximation of that rank (Eckart & Young 1936)."""
    stacked = torch.cat([full["k_proj.weight"], full["v_proj.weight"]])
    left, sizes, right = torch.linalg.svd(stacked.nan_to_num().double(), full_matrices=False)
    root, rank = sizes[:latent].sqrt(), min(latent, len(sizes))
    new["kv_down.weight"][:rank] = (root[:, None] * right[:latent]).to(stacked.dtype)
    up = left[:, :latent] * root
    for name, rows in zip(("k_proj.weight", "v_proj.weight"), up.chunk(2), strict=True):
        new[name].zero_()
        new[name][:, :rank] = rows.to(stacked.dtype)


def _carry_gate(old: Weights, new: Weights, old_gene: Attention, gene: Attention, groups: list[list[int]]) -> None:
    dense = gene.gating_op == "dense"
    shapes = [
        (each.heads if gene.gating_pos == "output" else each.kv_heads, each.head_dim) for each in (old_gene, gene)
    ]
    theirs, ours = (
        tensor.unflatten(0, shape) if dense else tensor.squeeze(1)
        for tensor, shape in zip((old["gate.weight"], new["gate.weight"]), shapes, strict=True)
    )
    if gene.gating_pos == "output":
        corner(ours, theirs)
        return
    for place, group in enumerate(groups):
        if group:
            corner(ours[place], theirs[group].mean(0) if len(set(group)) > 1 else theirs[group[0]])


def carry_network(old: Weights, new: Weights, old_activation: str, activation: str) -> None:
    """A feed-forward network. Narrower: the units that do most stay. Gated or not: what the activation sees stays."""
    size = new["up_proj.weight"].shape[0]
    kept = _strongest(old, size)
    names = {"up_proj.weight": "up_proj.weight", "gate_proj.weight": "gate_proj.weight"}
    if (old_activation == "swiglu") != (activation == "swiglu"):
        names = {"up_proj.weight": "gate_proj.weight"} if old_activation == "swiglu" else {}
        names |= {"gate_proj.weight": "up_proj.weight"} if activation == "swiglu" else {}
    for name, source in names.items():
        if name in new and source in old:
            corner(new[name], old[source][kept])
    corner(new["down_proj.weight"], old["down_proj.weight"][:, kept])


def _strongest(old: Weights, size: int) -> torch.Tensor:
    """The units that stay, in their order: all, or the `size` with the largest weights in and out."""
    into, out = old["up_proj.weight"], old["down_proj.weight"]
    if into.shape[0] <= size:
        return torch.arange(into.shape[0], device=into.device)
    strength = into.norm(dim=1) * out.norm(dim=0)
    return strength.topk(size).indices.sort().values


def _expert(weights: Weights, expert: int) -> Weights:
    """One expert under the names of a dense network; the tensors are views."""
    names = ("gate_proj", "up_proj", "down_proj")
    return {f"{name}.weight": weights[name][expert] for name in names if name in weights}


def _carry_experts(old: Weights, new: Weights, old_gene: MoeFfn, gene: MoeFfn) -> None:
    """New experts begin as copies of old ones, under routes of their own."""
    for expert in range(gene.n_experts):
        source = _expert(old, expert % old_gene.n_experts)
        carry_network(source, _expert(new, expert), old_gene.activation, gene.activation)
    corner(new["router.weight"], old["router.weight"] * (gene.router_temperature / old_gene.router_temperature))
    for place in range(min(gene.shared, old_gene.shared)):
        start = f"shared.{place}."
        theirs, ours = (
            {name.removeprefix(start): tensor for name, tensor in each.items() if name.startswith(start)}
            for each in (old, new)
        )
        carry_network(theirs, ours, old_gene.activation, gene.activation)


def _carry_memory(
    old: Weights,
    new: Weights,
    old_gene: AssocMemory | MemoryTokens | ChunkMemory,
    gene: AssocMemory | MemoryTokens | ChunkMemory,
) -> None:
    shapes = [(each.heads, each.head_dim) for each in (old_gene, gene)]
    for name in ("q_proj.weight", "k_proj.weight", "v_proj.weight"):
        if name in new:
            corner(new[name].unflatten(0, shapes[1]), old[name].unflatten(0, shapes[0]))
    for name in ("keys", "values"):
        if name in new:
            corner(new[name], old[name])
    out = old["o_proj.weight"] * (old_gene.gating_weight / gene.gating_weight)
    corner(new["o_proj.weight"].unflatten(1, shapes[1]), out.unflatten(1, shapes[0]))
