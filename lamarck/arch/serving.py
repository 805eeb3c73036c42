"""Who can serve a model: Llama-shaped genomes become ordinary Llama directories, the others say what prevents it."""

from pathlib import Path
from typing import TYPE_CHECKING

from lamarck.arch.genome import Attention, Block, Genome
from lamarck.errors import LamarckError

if TYPE_CHECKING:
    import torch
    from transformers import LlamaConfig

    from lamarck.arch.model import GenomeForCausalLM

HERE = "AutoModelForCausalLM and generate() of transformers, once lamarck.arch.model is imported"
EVERYWHERE = "everything that serves Llama: transformers, vLLM, llama.cpp"


def why_not_llama(genome: Genome) -> list[str]:
    """What a Llama does not have, one phrase each; empty where the genome is Llama-shaped."""
    model = genome.model
    reasons = [f"block {place}: {reason}" for place, block in enumerate(model.blocks) for reason in _unlike(block)]
    if model.norm != "rmsnorm":
        reasons.append(f"norm {model.norm}")
    if model.kv_policy.cache != "full" or model.kv_policy.quant != "none":
        reasons.append("a kv_policy")
    if model.recurrences:
        reasons.append("a recurrence")
    if not reasons and len({_shape(block) for block in model.blocks}) > 1:
        reasons.append("blocks of different shapes")
    first = model.blocks[0].attn
    if not reasons and first is not None and model.emb.dim % first.heads:
        reasons.append(f"a width of {model.emb.dim}, which {first.heads} heads do not divide")
    return reasons


def who_serves(genome: Genome) -> str:
    """One sentence for people: what can run the trained model."""
    reasons = why_not_llama(genome)
    if not reasons:
        return f"Llama-shaped: {EVERYWHERE}, after export_llama."
    more = f", and {len(reasons) - 1} more" if len(reasons) > 1 else ""
    return f"Not a Llama ({reasons[0]}{more}): served by {HERE}; vLLM and llama.cpp have no such block."


def _unlike(block: Block) -> list[str]:
    """What one block has that a Llama's has not."""
    reasons: list[str] = [each.type for each in block.extras]
    if block.ssm is not None:
        reasons.append("ssm")
    if block.attn is None:
        reasons.append("no attention")
    else:
        reasons += _unlike_attention(block.attn)
    if block.ffn is None:
        reasons.append("no ffn")
    elif block.ffn.type != "dense" or block.ffn.activation != "swiglu":
        reasons.append(f"{block.ffn.type} ffn with {block.ffn.activation}")
    return reasons


def _unlike_attention(attn: Attention) -> list[str]:
    unlike = {
        f"{attn.kind} attention": attn.kind in ("MLA", "LINEAR"),
        f"rope {attn.rope}": attn.rope not in ("standard", "linear"),
        "alibi": attn.alibi,
        f"{attn.sparsity} attention": attn.sparsity != "none",
        "a selector": attn.selector != "none",
        "a gate": attn.gating_pos != "none",
        "qk_norm": attn.qk_norm != "none",
    }
    return [reason for reason, holds in unlike.items() if holds]


def _shape(block: Block) -> tuple[object, ...]:
    """What all blocks of a Llama share; MHA, GQA and MQA are told apart by kv_heads alone."""
    attn, ffn = block.attn, block.ffn
    assert attn is not None and ffn is not None
    return attn.heads, attn.head_dim, attn.kv_heads, attn.rope, attn.rope_theta, attn.rope_factor, ffn.hidden


def llama_config(genome: Genome) -> "LlamaConfig":
    """Errors: LamarckError when the genome is not Llama-shaped."""
    from transformers import LlamaConfig

    if reasons := why_not_llama(genome):
        raise LamarckError(f"{genome.model.name} cannot become a Llama directory: {'; '.join(reasons)}")
    model = genome.model
    attn, ffn = model.blocks[0].attn, model.blocks[0].ffn
    assert attn is not None and ffn is not None
    rope = {"rope_type": "default" if attn.rope == "standard" else attn.rope, "rope_theta": attn.rope_theta}
    return LlamaConfig(
        vocab_size=model.emb.vocab,
        hidden_size=model.emb.dim,
        intermediate_size=ffn.hidden,
        num_hidden_layers=len(model.blocks),
        num_attention_heads=attn.heads,
        num_key_value_heads=attn.kv_heads,
        head_dim=attn.head_dim,
        max_position_embeddings=genome.data.seq_len,
        rms_norm_eps=model.norm_eps,
        rope_parameters=rope if attn.rope == "standard" else {**rope, "factor": attn.rope_factor},
        tie_word_embeddings=model.head.tie_embeddings,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )


def export_llama(model: "GenomeForCausalLM", directory: Path) -> None:
    """Write an ordinary Llama directory with equal logits, in the model's own dtype.

    Errors: LamarckError when the genome is not Llama-shaped.
    """
    from transformers import LlamaForCausalLM

    llama = LlamaForCausalLM(llama_config(model.genome)).to(model.dtype)
    llama.load_state_dict(_renamed(model.state_dict()), strict=not model.genome.model.head.tie_embeddings)
    llama.tie_weights()
    llama.save_pretrained(directory)


def _renamed(weights: "dict[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """The same tensors under Llama's names."""
    parts = {
        "embed.": "model.embed_tokens.",
        "head.": "lm_head.",
        "blocks.": "model.layers.",
        "norm.": "model.norm.",
    }
    inner = {
        ".norms.attn.": ".input_layernorm.",
        ".norms.ffn.": ".post_attention_layernorm.",
        ".branches.attn.": ".self_attn.",
        ".branches.ffn.": ".mlp.",
    }
    renamed = {}
    for name, tensor in weights.items():
        start = next(each for each in parts if name.startswith(each))
        new = parts[start] + name.removeprefix(start)
        for old, theirs in inner.items():
            new = new.replace(old, theirs)
        renamed[new] = tensor
    return renamed
