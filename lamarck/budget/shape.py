"""The shape of a Llama-like model, and what can be counted from it: parameters, and those of a LoRA adapter."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from lamarck.config.founder import EvolvedFounder, Founder, GgufFounder, HubFounder, LocalFounder, MergeFounder
from lamarck.config.section import Section, load_section
from lamarck.config.tiny import TinyFounder
from lamarck.errors import LamarckError
from lamarck.files import read_json
from lamarck.lineage.generation import WEIGHTS_RECORD
from lamarck.lineage.records import read_record
from lamarck.models.attention import LIKE_LLAMA

KNOWN_SHAPES = Path("config/shapes.yaml")
SPECIAL_WORDS = 3  # of a tiny founder's tokenizer: padding, end of text, unknown


class Shape(Section):
    """Equal decoder layers: grouped-query attention, gated MLP, RMSNorm (Touvron et al. 2023, arXiv:2307.09288)."""

    hidden: int = Field(ge=1)
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    kv_heads: int = Field(ge=1, description="Heads of keys and values, shared by groups of query heads.")
    head_size: int = Field(ge=1)
    intermediate: int = Field(ge=1)
    vocabulary: int = Field(ge=1)
    context: int = Field(ge=1, description="Longest text, in tokens.")
    tied: bool = Field(False, description="The output head is the embedding.")

    @property
    def linears(self) -> tuple["LinearShape", ...]:
        """The linear layers of one decoder layer, by the names that PEFT knows them under."""
        query, key = self.heads * self.head_size, self.kv_heads * self.head_size
        return (
            LinearShape("q_proj", self.hidden, query, "attention"),
            LinearShape("k_proj", self.hidden, key, "attention"),
            LinearShape("v_proj", self.hidden, key, "attention"),
            LinearShape("o_proj", query, self.hidden, "output"),
            LinearShape("gate_proj", self.hidden, self.intermediate, "mlp"),
            LinearShape("up_proj", self.hidden, self.intermediate, "mlp"),
            LinearShape("down_proj", self.intermediate, self.hidden, "down"),
        )

    @property
    def linear_parameters(self) -> int:
        """Of all decoder layers: what quantisation makes smaller."""
        return self.layers * sum(linear.inputs * linear.outputs for linear in self.linears)

    @property
    def other_parameters(self) -> int:
        """Embedding, head (unless tied) and norms: what quantisation leaves alone."""
        tables = self.vocabulary * self.hidden * (1 if self.tied else 2)
        return tables + (2 * self.layers + 1) * self.hidden

    @property
    def parameters(self) -> int:
        return self.linear_parameters + self.other_parameters

    def adapted(self, targets: Collection[str] | Literal["all-linear"]) -> tuple["LinearShape", ...]:
        """The linear layers of one decoder layer that get an adapter; PEFT's all-linear leaves out the head alone."""
        return tuple(linear for linear in self.linears if targets == "all-linear" or linear.name in targets)

    def lora_parameters(self, rank: int, targets: Collection[str] | Literal["all-linear"]) -> int:
        """r x (inputs + outputs) for each adapted layer (Hu et al. 2021, arXiv:2106.09685, section 4.1)."""
        return self.layers * rank * sum(linear.inputs + linear.outputs for linear in self.adapted(targets))


@dataclass(frozen=True)
class LinearShape:
    """A weight of (outputs, inputs). Layers of one `reads` are given the same tensor."""

    name: str
    inputs: int
    outputs: int
    reads: Literal["attention", "output", "mlp", "down"]


class KnownShapes(Section):
    """config/shapes.yaml: founders of the hub whose shape must be known before they are here."""

    founders: dict[str, Annotated[Shape, Field(description="owner/name on the hub -> its shape.")]]


def shape_of_founder(founder: Founder, weights: Path) -> Shape:
    """The founder's shape: from `weights` where this founder lies there already, else from what describes it.

    Errors: LamarckError for an architecture that is not Llama's, a GGUF founder that is not unpacked yet, or a hub
    founder that config/shapes.yaml lacks.
    """
    for lies in (weights, weights.parent / "unprimed"):  # the second until its primer is allowed
        if _is_made_of(lies, founder):
            return shape_of_directory(lies)
    if isinstance(founder, LocalFounder | EvolvedFounder):
        return shape_of_directory(Path(founder.path))
    if isinstance(founder, GgufFounder | MergeFounder):
        file, done = (founder.path, "unpacked") if isinstance(founder, GgufFounder) else (founder.file, "merged")
        made = "unprimed" if founder.primer else "weights"
        raise LamarckError(f"the shape of {file} is known once it is {done}: `snakemake results/g0/{made}`")
    if isinstance(founder, HubFounder):
        known = load_section(KNOWN_SHAPES, KnownShapes).founders
        if founder.repo not in known:
            raise LamarckError(
                f"the shape of {founder.repo} is not known before it is here: add it to {KNOWN_SHAPES}, whose entries "
                "say the same as a model's config.json"
            )
        return known[founder.repo]
    return _shape_of_tiny(founder)


def _is_made_of(weights: Path, founder: Founder) -> bool:
    """Whether this founder lies there: another configuration's lineage may have been raised in this checkout."""
    record = weights / WEIGHTS_RECORD
    if not record.exists():
        return False
    unprimed = founder.model_copy(update={"primer": None})
    return read_record(record).inputs.get("founder") in (founder.digest(), unprimed.digest())


def find_shape(model: Path) -> Shape | None:
    """The shape of a model directory, None where its architecture is another. Errors: LamarckError as above."""
    content = _read_config(model)
    return shape_of_directory(model) if content.get("model_type") in LIKE_LLAMA else None


def _read_config(model: Path) -> dict[str, Any]:
    path = model / "config.json"
    if not path.exists():
        raise LamarckError(f"{model} has no config.json: its shape is not known")
    content: dict[str, Any] = read_json(path)
    return content


def shape_of_directory(model: Path) -> Shape:
    """The shape in a model directory's config.json. Errors: LamarckError where there is none that is like Llama's."""
    path, content = model / "config.json", _read_config(model)
    if content.get("model_type") not in LIKE_LLAMA:
        raise LamarckError(
            f"{path}: memory is only known of models like {', '.join(LIKE_LLAMA)}, not of {content.get('model_type')}"
        )
    try:
        return shape_of_config(content)
    except (KeyError, TypeError, ValueError) as error:
        raise LamarckError(f"{path} does not give the model's shape: {str(error).splitlines()[0]}") from error


def shape_of_config(content: dict[str, Any]) -> Shape:
    """The shape in a model's configuration. Errors: KeyError, TypeError or ValueError where it does not give it."""
    heads = content["num_attention_heads"]
    return Shape(
        hidden=content["hidden_size"],
        layers=content["num_hidden_layers"],
        heads=heads,
        kv_heads=content.get("num_key_value_heads") or heads,
        head_size=content.get("head_dim") or content["hidden_size"] // heads,
        intermediate=content["intermediate_size"],
        vocabulary=content["vocab_size"],
        context=content["max_position_embeddings"],
        tied=content.get("tie_word_embeddings", False),
    )


def _shape_of_tiny(founder: TinyFounder) -> Shape:
    from lamarck.skills import get_tagged_skill
    from lamarck.skills.base import PROMPT_END

    words = {PROMPT_END, *(word for name in founder.skills for word in get_tagged_skill(name).vocabulary())}
    return Shape(
        hidden=founder.hidden_size,
        layers=founder.layers,
        heads=founder.heads,
        kv_heads=founder.heads,
        head_size=founder.head_size,
        intermediate=founder.intermediate_size,
        vocabulary=SPECIAL_WORDS + len(words),
        context=founder.context,
        tied=True,
    )
