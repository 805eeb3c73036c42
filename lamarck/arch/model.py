"""The model that a genome describes, behind transformers' interface: save, load, generate. No remote code.

Importing this module registers the model type, so that AutoModelForCausalLM opens what save_pretrained wrote.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import ModelOutput

from lamarck.arch.block import ArchBlock, PassAdapter, norm_layer
from lamarck.arch.context import Cache, Context
from lamarck.arch.genome import Genome, check_genome
from lamarck.errors import LamarckError

IGNORED = -100  # The label that takes no part in the loss.


class GenomeConfig(PreTrainedConfig):
    """A genome in transformers' config.json."""

    model_type = "lamarck_genome"
    keys_to_ignore_at_inference = ("past_key_values",)

    genome: dict[str, Any] | None = None
    vocab_size: int = 0
    hidden_size: int = 0
    num_hidden_layers: int = 0
    max_position_embeddings: int = 0
    tie_word_embeddings: bool = False  # A tied head is no tensor of its own here.
    use_cache: bool = True

    @classmethod
    def of(cls, genome: Genome) -> "GenomeConfig":
        return cls(
            genome=genome.model_dump(mode="json"),
            vocab_size=genome.model.emb.vocab,
            hidden_size=genome.model.emb.dim,
            num_hidden_layers=len(genome.model.blocks),
            max_position_embeddings=genome.data.seq_len,
            architectures=[GenomeForCausalLM.__name__],
        )


@dataclass
class GenomeOutput(ModelOutput):
    """loss: nats per predicted token, in training with the routers' own losses; logits: (B, T, vocab)"""

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    past_key_values: Cache | None = None


class GenomeForCausalLM(PreTrainedModel, GenerationMixin):
    """Embedding, blocks, recurrences, norm, head."""

    config_class = GenomeConfig
    base_model_prefix = ""
    _supports_sdpa = True
    _is_stateful = True  # Parts of the cache are sums: it cannot be cut back.

    def __init__(self, config: GenomeConfig) -> None:
        super().__init__(config)
        self.genome = check_genome(config.genome, "the model's config.json")
        gene = self.genome.model
        self.embed = nn.Embedding(gene.emb.vocab, gene.emb.dim)
        self.blocks = nn.ModuleList(ArchBlock(block, gene, place) for place, block in enumerate(gene.blocks))
        self.adapters = nn.ModuleList(PassAdapter(span, gene.emb.dim) for span in gene.spans)
        self.norm = norm_layer(gene)
        self.head = None if gene.head.tie_embeddings else nn.Linear(gene.emb.dim, gene.emb.vocab, bias=False)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        std = self.genome.model.emb.init_std
        if isinstance(module, nn.Linear | nn.Embedding):
            init.normal_(module.weight, std=std)
        elif isinstance(module, nn.RMSNorm | nn.LayerNorm):
            init.ones_(module.weight)
            if isinstance(module, nn.LayerNorm):
                init.zeros_(module.bias)
        elif hasattr(module, "initialise"):
            module.initialise(std)

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embed

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        self.embed = value

    def get_output_embeddings(self) -> nn.Linear | None:
        return self.head

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        """transformers' caches know keys and values only: the model makes its own."""
        return False

    def forward(
        self,
        input_ids: torch.Tensor,  # (B, T)
        attention_mask: torch.Tensor | None = None,  # (B, tokens of the cache + T), 0 for padding
        past_key_values: Cache | None = None,
        labels: torch.Tensor | None = None,  # (B, T): the input itself; the shift happens here
        use_cache: bool | None = None,
        logits_to_keep: int = 0,  # of the last tokens; 0: of all
        **unused: Any,
    ) -> GenomeOutput:
        if use_cache and past_key_values is None:
            past_key_values = Cache()
        context = make_context(input_ids, attention_mask, past_key_values)
        # Training in bfloat16 keeps float32 weights; what is served or measured computes in the weights' own type.
        lower = self.training and self.genome.train.bf16
        with torch.autocast(input_ids.device.type, torch.bfloat16, enabled=lower):
            x = self._run(self.embed(input_ids), context)
            logits = self._logits(self.norm(x[:, -logits_to_keep:]))
        if past_key_values is not None:
            past_key_values.tokens += input_ids.shape[1]
        loss = None if labels is None else shifted_loss(logits, labels)
        if loss is not None and self.training:
            loss = loss + sum(context.aux)
        return GenomeOutput(loss, logits, past_key_values)

    def _run(self, x: torch.Tensor, context: Context) -> torch.Tensor:
        """All blocks, in order, and the recurrences among them; x: (B, T, dim) -> (B, T, dim)"""
        place = 0
        for span, adapter in zip(self.genome.model.spans, self.adapters, strict=True):
            prelude = self._pass(x, place, span.start, context)
            x = self._pass(prelude, span.start, span.end, context)
            for context.turn in range(1, span.steps):
                again = self._pass(adapter(x, prelude), span.start, span.end, context)
                x = x + adapter.mix * (again - x)
            context.turn, place = 0, span.end
        return self._pass(x, place, len(self.blocks), context)

    def _pass(self, x: torch.Tensor, start: int, end: int, context: Context) -> torch.Tensor:
        for block in self.blocks[start:end]:
            x = block(x, context)
        return x

    def _logits(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.embed.weight) if self.head is None else self.head(x)


def make_context(ids: torch.Tensor, mask: torch.Tensor | None, cache: Cache | None) -> Context:
    """Positions of the new tokens: how many real ones lie before each. ids: (B, T), mask: (B, tokens + T) or None."""
    past, (batch, new) = 0 if cache is None else cache.tokens, ids.shape
    if mask is None or bool(mask.all()):
        positions = torch.arange(past, past + new, device=ids.device).unsqueeze(0)
        # Rows of a cache may be reordered, so that each needs its own.
        return Context(positions if cache is None else positions.expand(batch, -1), False, cache)
    if mask.dim() != 2 or mask.shape[1] != past + new:
        raise LamarckError(f"attention_mask must be (batch, {past + new}): one number for each token so far")
    positions = (mask.cumsum(1) - 1).masked_fill(mask == 0, -1)[:, past:]
    return Context(positions, True, cache)


def shifted_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy in nats of each token given those before it: logits at t against the label at t + 1.

    logits: (B, T, vocab), labels: (B, T), -100 where nothing is to be predicted. Errors: LamarckError for T = 1.
    """
    if logits.shape[1] < 2:
        raise LamarckError("a loss needs two tokens: the first of a text has nothing before it to be predicted from")
    wide = logits[:, :-1].flatten(0, 1)
    wide = wide.float() if wide.dtype == torch.bfloat16 else wide
    return F.cross_entropy(wide, labels[:, 1:].flatten(), ignore_index=IGNORED)


AutoConfig.register(GenomeConfig.model_type, GenomeConfig)
AutoModelForCausalLM.register(GenomeConfig, GenomeForCausalLM)


def build_model(genome: Genome, seed: int) -> GenomeForCausalLM:
    """A fresh float32 model. The same genome and seed give the same weights; torch's own seed is left as it was."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        return GenomeForCausalLM(GenomeConfig.of(genome)).eval()
