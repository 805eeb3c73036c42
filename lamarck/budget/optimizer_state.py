"""How many bytes an optimizer's state takes, and whose rank is cut: by formula, before any weight is read. Light."""

from collections.abc import Iterable
from dataclasses import dataclass

from lamarck.budget.shape import Shape
from lamarck.config import Recipe
from lamarck.config.optimizer import AdamWSettings, ApolloMiniSettings, ApolloSettings, GroupName

FLOAT32, BFLOAT16 = 4, 2
QUERIES = "q_proj"  # the query projection, as transformers calls it in Llama-like models


@dataclass(frozen=True)
class TrainedWeight:
    """A weight that the optimizer updates."""

    name: str
    group: GroupName
    shape: tuple[int, ...]
    element_bytes: int  # 4: float32, 2: bfloat16

    @property
    def numbers(self) -> int:
        product = 1
        for length in self.shape:
            product *= length
        return product


@dataclass(frozen=True)
class OptimizerState:
    """Bytes of state by group, and the weights with a side shorter than the rank, which is theirs then."""

    bytes: dict[GroupName, int]
    steps: int  # of these, the counts of steps: they are on the CPU whatever the device is
    clipped: tuple[str, ...]

    @property
    def total(self) -> int:
        return sum(self.bytes.values())


def optimizer_state(
    weights: Iterable[TrainedWeight], settings: AdamWSettings | ApolloSettings | ApolloMiniSettings
) -> OptimizerState:
    """The state after a step that reached every weight.

    A weight of N numbers: 8 N bytes for both moments and 4 for the step. A projected one of m x n, m the smaller, at
    rank r: 8 r n for the moments, 4 for the step, 4 for the last norm where its growth is limited. Masters: 4 N more.
    """
    by_group: dict[GroupName, int] = {"embedding": 0, "head": 0, "matrices": 0, "scalars": 0}
    clipped, steps = [], 0
    for weight in weights:
        rank = settings.projected_rank(weight.group, weight.shape)
        moments, norm = 2 * weight.numbers, 0
        if rank is not None and not isinstance(settings, AdamWSettings):
            moments = 2 * rank * max(weight.shape)
            norm = 0 if settings.growth_limit is None else 1
            if rank < settings.rank:
                clipped.append(weight.name)
        masters = weight.numbers if weight.element_bytes == 2 and settings.sixteen_bit == "masters" else 0
        by_group[weight.group] += FLOAT32 * (moments + masters + norm + 1)
        steps += FLOAT32
    return OptimizerState(by_group, steps, tuple(clipped))


def trained_weights_of(shape: Shape, recipe: Recipe) -> list[TrainedWeight]:
    """What a recipe trains of a founder of this shape."""
    if recipe.form == "adapter":
        return adapter_weights(shape, recipe)
    weights = whole_weights(shape, FLOAT32 if recipe.dtype == "float32" else BFLOAT16)
    return [each for each in weights if recipe.trained == "all" or each.name.endswith(f".{QUERIES}")]


def whole_weights(shape: Shape, element_bytes: int) -> list[TrainedWeight]:
    """Every weight of a Llama-like model, as training without an adapter has them."""
    weights = [TrainedWeight("embed_tokens", "embedding", (shape.vocabulary, shape.hidden), element_bytes)]
    if not shape.tied:
        weights.append(TrainedWeight("lm_head", "head", (shape.vocabulary, shape.hidden), element_bytes))
    for layer in range(shape.layers):
        for linear in shape.linears:
            sides = (linear.outputs, linear.inputs)
            weights.append(TrainedWeight(f"layers.{layer}.{linear.name}", "matrices", sides, element_bytes))
        for norm in ("input_layernorm", "post_attention_layernorm"):
            weights.append(TrainedWeight(f"layers.{layer}.{norm}", "scalars", (shape.hidden,), element_bytes))
    return [*weights, TrainedWeight("norm", "scalars", (shape.hidden,), element_bytes)]


def adapter_weights(shape: Shape, recipe: Recipe) -> list[TrainedWeight]:
    """Those of the LoRA adapter that the recipe trains, always in float32."""
    return [
        TrainedWeight(f"layers.{layer}.{linear.name}.{name}", "matrices", sides, FLOAT32)
        for layer in range(shape.layers)
        for linear in shape.adapted(recipe.target_modules)
        for name, sides in (("lora_A", (recipe.rank, linear.inputs)), ("lora_B", (linear.outputs, recipe.rank)))
    ]
