"""What a genome costs, computed from the genome alone: parameters, FLOPs, and bytes of the cache."""

from dataclasses import dataclass
from functools import lru_cache

from lamarck.arch.genes import (
    AssocMemory,
    Attention,
    BranchRouter,
    ChunkMemory,
    Custom,
    DenseFfn,
    Gated,
    LayerScale,
    MemoryTokens,
    MoeFfn,
    Retro,
    Ssm,
)
from lamarck.arch.genome import Block, Genome, Model, Recurrence
from lamarck.arch.pattern import Pattern

SCAN_CHUNK = 64  # of linear attention and fast weights


def _sum_size(itemsize: int) -> int:
    """Bytes of a number in a running sum: float32 at least."""
    return max(4, itemsize)


@dataclass(frozen=True)
class Cost:
    """Of a text of some tokens, read in one forward pass."""

    parameters: int = 0
    flops: int = 0  # of the products of matrices as computed, two for a multiply and add; what a mask hides counts
    cache: int = 0  # bytes kept for the next token, for one text

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.parameters + other.parameters, self.flops + other.flops, self.cache + other.cache)

    def repeated(self, times: int) -> "Cost":
        """The same weights run so often; every pass keeps a cache of its own."""
        return Cost(self.parameters, self.flops * times, self.cache * times)


def cost(genome: Genome, tokens: int, itemsize: int = 4) -> Cost:
    """Of one text of `tokens` tokens; `itemsize`: bytes of a number (4 for float32, 2 for bfloat16)."""
    model = genome.model
    dim, vocab = model.emb.dim, model.emb.vocab
    heads = 1 if model.head.tie_embeddings else 2
    total = Cost(heads * vocab * dim + _norm(model), 2 * tokens * dim * vocab)
    for place, block in enumerate(model.blocks):
        total += _block(block, model, tokens, itemsize).repeated(model.passes(place))
    for span in model.recurrences:
        total += _adapter(span, dim, tokens)
    return total


def _linear(tokens: int, *shapes: int) -> Cost:
    """Matrices without bias, given by their numbers of entries, that every token goes through once."""
    return Cost(sum(shapes), 2 * tokens * sum(shapes))


def _norm(model: Model) -> int:
    return model.emb.dim if model.norm == "rmsnorm" else 2 * model.emb.dim


def _adapter(span: Recurrence, dim: int, tokens: int) -> Cost:
    matrices = [dim * dim] * (1 + span.concat_prelude + (span.adapter == "gated"))
    return _linear(tokens, *matrices).repeated(span.steps - 1) + Cost(dim)


def _block(block: Block, model: Model, tokens: int, itemsize: int) -> Cost:
    total = Cost()
    for gene in block.branches.values():
        total += _branch(gene, model, tokens, itemsize) + Cost(_norm(model))
    for extra in block.extras:
        if isinstance(extra, BranchRouter):
            total += _router(extra, model, tokens, itemsize)
        if isinstance(extra, LayerScale):
            total += Cost(len(extra.targets) * model.emb.dim)
        if isinstance(extra, Gated):
            total += Cost(len(extra.targets))
    return total


def _branch(gene: object, model: Model, tokens: int, itemsize: int) -> Cost:
    dim = model.emb.dim
    match gene:
        case Attention():
            return _attention(gene, model, tokens, itemsize)
        case DenseFfn() | Custom():
            return _linear(tokens, _network(dim, gene.hidden, gene.activation))
        case MoeFfn():
            one = _network(dim, gene.hidden, gene.activation)
            router = _linear(tokens, dim * gene.n_experts)
            used = gene.k + gene.shared
            return router + Cost((gene.n_experts + gene.shared) * one, 2 * tokens * used * one)
        case Ssm():
            return _ssm(gene, dim, tokens, itemsize)
        case Retro():
            return _retro(gene, dim, tokens, itemsize)
        case AssocMemory():
            width = gene.heads * gene.head_dim
            state = gene.heads * gene.head_dim * (gene.head_dim + 1)
            sums = _scan(gene.heads, tokens, gene.head_dim, gene.head_dim + 1, SCAN_CHUNK)
            return _linear(tokens, *[dim * width] * 4) + Cost(0, sums, state * _sum_size(itemsize))
        case MemoryTokens():
            width = gene.heads * gene.head_dim
            return _linear(tokens, dim * width, dim * width) + Cost(
                2 * gene.tokens * width, 4 * tokens * gene.tokens * width
            )
        case ChunkMemory():
            width, ends = gene.heads * gene.head_dim, tokens // gene.stride
            kept = (gene.chunk_size - 1) * dim + 2 * ends * width
            return (
                _linear(tokens, *[dim * width] * 2)
                + _linear(ends, *[dim * width] * 2)
                + Cost(0, 4 * tokens * ends * width, kept * itemsize)
            )
    raise TypeError(f"no cost is written for {type(gene).__name__}")


def _network(dim: int, hidden: int, activation: str) -> int:
    return (3 if activation == "swiglu" else 2) * dim * hidden


def _attention(gene: Attention, model: Model, tokens: int, itemsize: int) -> Cost:
    dim, latent = model.emb.dim, model.latent_dim(gene)
    width, kv_width = gene.heads * gene.head_dim, gene.kv_heads * gene.head_dim
    matrices = [dim * width, (latent or dim) * kv_width, (latent or dim) * kv_width, width * dim]
    total = _linear(tokens, *matrices, *([] if latent is None else [dim * latent]))
    if gene.gating_pos != "none":
        gated = width if gene.gating_pos == "output" else kv_width
        total += _linear(tokens, dim * gated) if gene.gating_op == "dense" else Cost(gated)
    if gene.kind == "LINEAR":
        sums = _scan(gene.heads, tokens, gene.head_dim, gene.head_dim + 1, SCAN_CHUNK)
        return total + Cost(0, sums, gene.heads * gene.head_dim * (gene.head_dim + 1) * _sum_size(itemsize))
    norms = 2 * gene.head_dim if gene.qk_norm == "rms" else 0
    chosen = (gene.selector_heads or 0) * (gene.selector_dim or 0)
    scores = 4 * tokens**2 * width + 2 * tokens**2 * chosen
    numbers, scales = (latent, 1) if latent is not None else (2 * kv_width, 2 * gene.kv_heads)
    kept = numbers + scales * itemsize if model.kv_policy.quant == "int8" else numbers * itemsize
    return total + Cost(norms, scores, _kept(model.pattern(gene), tokens) * kept)


@lru_cache(maxsize=1024)
def _kept(pattern: Pattern, tokens: int) -> int:
    """Of the first `tokens` tokens, those that a later one may still see."""
    return sum(bool(pattern.keeps(tokens, key)) for key in range(tokens))


def _scan(heads: int, tokens: int, width: int, values: int, chunk: int) -> int:
    """FLOPs of scan.scan with states of `width` x `values` numbers a head."""
    whole, rest = divmod(tokens, chunk)
    squares = whole * chunk**2 + rest**2
    return 2 * heads * (squares * (width + values) + 2 * tokens * width * values)


def _ssm(gene: Ssm, dim: int, tokens: int, itemsize: int) -> Cost:
    inner, states, heads = gene.d_inner, gene.d_state, gene.heads
    kept = (gene.d_conv - 1) * inner * itemsize + states * inner * _sum_size(itemsize)
    total = _linear(tokens, *[dim * inner] * 3, inner * gene.d_conv) + Cost(inner + heads, 0, kept)
    if gene.kind == "mamba2":
        sums = _scan(heads, tokens, states, inner // heads, gene.chunk)
        return total + _linear(tokens, dim * states, dim * states, dim * heads) + Cost(heads, sums)
    sums = _scan(heads * states, tokens, 1, inner // heads, gene.chunk) + 2 * tokens * states * inner
    return total + Cost(2 * heads * states, sums)


def _retro(gene: Retro, dim: int, tokens: int, itemsize: int) -> Cost:
    ends = tokens // gene.stride
    kept = max(0, min(ends, ends + gene.memory_tokens - (tokens + 1) // gene.stride))
    products = 2 * tokens * ends * dim * (2 if gene.aggregator == "attention" else 1)
    extra = {"mean": Cost(), "attention": Cost(1), "gate": _linear(tokens, dim)}[gene.aggregator]
    return extra + Cost(dim, products, kept * dim * itemsize)


def _router(gene: BranchRouter, model: Model, tokens: int, itemsize: int) -> Cost:
    dim, targets = model.emb.dim, len(gene.targets)
    matrices = [dim * targets] if gene.hidden is None else [dim * gene.hidden, gene.hidden * targets]
    kept = dim * _sum_size(itemsize) if gene.router_type == "sequence" else 0
    return _linear(tokens, *matrices) + Cost(_norm(model), 0, kept)
