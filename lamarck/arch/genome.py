"""The genome: a typed description of an architecture in YAML, valid by construction or refused with one sentence.

Light: no torch here. What a genome costs is computed in costs.py; the model it describes is built in model.py.
"""

import json
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from lamarck import strict_yaml
from lamarck.arch.genes import Attention, Block
from lamarck.arch.pattern import Pattern
from lamarck.arch.refusal import sentence
from lamarck.config.section import Section
from lamarck.errors import LamarckError
from lamarck.files import write_text


class Embedding(Section):
    dim: int = Field(ge=1, description="Width of the residual stream.")
    vocab: int = Field(ge=2, description="Number of token ids.")
    init_std: float = Field(0.02, gt=0, description="Standard deviation of every freshly drawn matrix.")


class Recurrence(Section):
    """Blocks start..end-1 run `steps` times; between passes an adapter mixes the state with what came in."""

    start: int = Field(ge=0)
    end: int = Field(ge=1, description="One beyond the last block.")
    steps: int = Field(2, ge=2, le=16)
    adapter: Literal["linear", "gated"] = "linear"
    concat_prelude: bool = Field(True, description="The adapter sees what came into the span, too.")


class KvPolicy(Section):
    """What the cache of every softmax attention keeps. The model computes the same without a cache."""

    cache: Literal["full", "window", "latent"] = "full"
    window: int | None = Field(None, ge=1)
    latent_dim: int | None = Field(None, ge=1, description="latent: keys and values are made from so many numbers.")
    quant: Literal["none", "int8"] = Field("none", description="int8: one scale for each token and head.")

    @model_validator(mode="after")
    def _fits_together(self) -> "KvPolicy":
        for name, wanted in {"window": self.cache == "window", "latent_dim": self.cache == "latent"}.items():
            if wanted != (getattr(self, name) is not None):
                raise ValueError(
                    f"cache: {self.cache} needs {name}" if wanted else f"cache: {self.cache} takes no {name}"
                )
        return self


class Head(Section):
    tie_embeddings: bool = True


class Model(Section):
    name: str = "candidate"
    emb: Embedding
    blocks: tuple[Block, ...] = Field(min_length=1)
    head: Head = Head()
    norm: Literal["rmsnorm", "layernorm"] = "rmsnorm"
    norm_eps: float = Field(1e-5, gt=0)
    kv_policy: KvPolicy = KvPolicy()
    recurrences: tuple[Recurrence, ...] = ()

    @model_validator(mode="after")
    def _spans_fit(self) -> "Model":
        reached = 0
        for span in self.spans:
            if span.end <= span.start or span.end > len(self.blocks):
                raise ValueError(f"a recurrence over {span.start}..{span.end} does not fit {len(self.blocks)} blocks")
            if span.start < reached:
                raise ValueError(f"two recurrences overlap at block {span.start}")
            reached = span.end
        return self

    @model_validator(mode="after")
    def _latents_have_no_gated_values(self) -> "Model":
        for place, block in enumerate(self.blocks):
            if block.attn is not None and block.attn.gating_pos == "value" and self.latent_dim(block.attn) is not None:
                raise ValueError(f"block {place} gates its values, which kv_policy latent makes from the latent")
        return self

    @property
    def spans(self) -> tuple[Recurrence, ...]:
        """The recurrences in the order of the blocks."""
        return tuple(sorted(self.recurrences, key=lambda each: each.start))

    def passes(self, block: int) -> int:
        """How often a block runs in one forward pass."""
        return next((span.steps for span in self.recurrences if span.start <= block < span.end), 1)

    def latent_dim(self, attn: Attention) -> int | None:
        """Numbers that keys and values of this attention are made from: its own, or the cache policy's."""
        return None if attn.kind == "LINEAR" else attn.kv_latent_dim or self.kv_policy.latent_dim

    def pattern(self, attn: Attention) -> Pattern:
        """Which tokens this attention sees, the cache policy's window included."""
        return Pattern(
            attn.sparsity,
            attn.window or 0,
            attn.block_size or 0,
            attn.block_stride or 0,
            attn.global_stride or 0,
            attn.dilation or 0,
            self.kv_policy.window,
        )


class Train(Section):
    """How a candidate is trained."""

    lr: float = Field(1e-3, gt=0)
    warmup: int = Field(20, ge=0, description="Steps of linear warm-up.")
    clip: float = Field(1.0, gt=0, description="Largest gradient norm.")
    weight_decay: float = Field(0.01, ge=0)
    bf16: bool = Field(False, description="Training computes in bfloat16; the weights stay float32.")
    max_tokens: int = Field(65536, ge=1, description="Tokens of a full training.")
    seed: int = Field(0, ge=0)


class Data(Section):
    tokenizer: str = "bytes"
    seq_len: int = Field(256, ge=2)
    batch_size: int = Field(8, ge=1)


Objective = Literal[
    "bits_per_byte", "passkey", "recall", "throughput", "memory", "parameters", "tokens_to_target",
    "time_to_target", "novelty", "instability",
]  # fmt: skip


class Evolution(Section):
    population: int = Field(8, ge=1)
    rung1_tokens: int = Field(16384, ge=1)
    rung2_tokens: int = Field(65536, ge=1)
    topk_keep: float = Field(0.33, gt=0, le=1)
    crossover_prob: float = Field(0.2, ge=0, le=1)
    mutation_steps: int = Field(1, ge=1)
    parent_selection: Literal["weighted", "pareto_uniform", "lexicase", "map_elites"] = "weighted"
    pareto_objectives: tuple[Objective, ...] = Field(("bits_per_byte", "throughput", "memory"), min_length=1)
    archive_max_elites: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _rungs_rise(self) -> "Evolution":
        if self.rung1_tokens > self.rung2_tokens:
            raise ValueError("rung1_tokens must not exceed rung2_tokens")
        return self


class Genome(Section):
    """Everything one candidate is: its architecture, its training, its data, and how its line evolves."""

    model: Model
    train: Train = Train()
    data: Data = Data()
    evolution: Evolution = Evolution()


def check_genome(values: object, source: str) -> Genome:
    """A genome from plain values. Errors: LamarckError with one sentence that names the place, and the nearest name."""
    try:
        return Genome.model_validate(values)
    except ValidationError as error:
        raise LamarckError(f"{source}: {sentence(error, Genome)}") from error


def load_genome(path: Path) -> Genome:
    """Read a genome from YAML. Errors: LamarckError with one sentence."""
    return check_genome(strict_yaml.load(path), str(path))


def save_genome(genome: Genome, path: Path) -> None:
    """Write a genome as YAML, without what it leaves at its default."""
    # Through JSON every value is its own: of one that stands twice YAML would write an alias, which is not read.
    values = json.loads(genome.model_dump_json(exclude_defaults=True))
    write_text(path, yaml.safe_dump(values, sort_keys=False))


def changed(gene: Any, **values: Any) -> Any:
    """A copy of a gene with some fields changed, checked again. Errors: ValidationError."""
    return type(gene).model_validate({**gene.model_dump(), **values})
