"""Bytes of memory on one GPU, part by part: of a training step, and of an engine that writes.

Every formula names its source. What they leave out is in docs/cost.md, with what was measured against them.
"""

from dataclasses import dataclass, fields
from typing import Literal

from lamarck.budget.optimizer_state import optimizer_state, trained_weights_of
from lamarck.budget.shape import Shape
from lamarck.config import Recipe

GIB = 2**30
Format = Literal["float32", "bfloat16", "fp8", "nf4"]

# Bits a weight of a linear layer, its constants included.
#   fp8   one scale per output row is below 0.01 bits (compressed-tensors, channel strategy)
#   nf4   blocks of 64: an 8-bit constant each, and 32 bits for 256 of those (Dettmers et al. 2023, arXiv:2305.14314, 3)
LINEAR_BITS: dict[Format, float] = {
    "float32": 32,
    "bfloat16": 16,
    "fp8": 8,
    "nf4": 4 + 8 / 64 + 32 / (64 * 256),
}
FLOAT32, BFLOAT16 = 4, 2
# A CUDA context with its kernels and cuBLAS workspaces; and of everything, what the caching allocator cannot reuse.
# Assumed: vLLM leaves a tenth of a GPU free (gpu_memory_utilization 0.9).
CONTEXT = 1 * GIB
FRAGMENTATION = 0.05
# Of layers that are split over GPUs, whole at once: the one in work, the next one, and the buffer that it arrives in.
FETCHED_LAYERS = 3
# Of a GPU, what training may plan to fill where layers could be computed again instead of kept.
ROOM = 0.9
# Of a loss's logits on a frozen head, computed at once: half a GiB in float32.
LOGITS_AT_ONCE = 2**27
PROMPT_TOKENS = 512  # of a text that is read before writing: a request of a skill, a task of a suite. Assumed.
# Tokens of prompts that vLLM reads in one step, at most: its max_num_batched_tokens, offline, on 70 GiB and up.
READ_TOGETHER = 16384


@dataclass(frozen=True)
class Memory:
    """Bytes on each GPU at the fullest moment."""

    weights: float
    trained: float  # LoRA weights; while training also gradients and the optimizer's state of whatever is trained
    activations: float = 0.0  # saved for the backward pass, and what the layer in work needs
    logits: float = 0.0  # of the vocabulary
    cache: float = 0.0  # keys and values of the texts being written
    reserve: float = 0.0

    @property
    def total(self) -> float:
        return sum(getattr(self, part.name) for part in fields(self))

    def with_reserve(self) -> "Memory":
        reserve = CONTEXT + FRAGMENTATION * self.total
        return Memory(self.weights, self.trained, self.activations, self.logits, self.cache, reserve)


def weight_bytes(shape: Shape, weights: Format, others: int) -> float:
    """All weights; `others` are the bytes of one in embedding, head and norms, which no format quantises."""
    return shape.linear_parameters * LINEAR_BITS[weights] / 8 + shape.other_parameters * others


def training_memory(shape: Shape, recipe: Recipe, rows: int, recomputed: int, gpus: int = 1) -> Memory:
    """One optimizer step of lamarck.train, on each of `gpus`: `rows` examples side by side, each of recipe.max_tokens.

    They split the frozen layers evenly (Rajbhandari et al. 2020, arXiv:1910.02054, section 5.3); each has embedding,
    head and adapter whole. Whole weights that are trained are not split.

    Of the first `recomputed` layers only the inputs are kept, and each is computed again in the backward pass (Chen et
    al. 2016, arXiv:1604.06174), when the others are gone. The head and the backward pass of a layer do not meet: the
    fuller one counts.
    """
    tokens = rows * recipe.max_tokens
    stream = stream_bytes(recipe)
    layer = layer_activation_bytes(shape, recipe) * tokens + rounded_adapter_bytes(shape, recipe) / shape.layers
    kept = shape.layers - recomputed
    saved = kept * layer + recomputed * shape.hidden * stream * tokens
    # Backward through a gated MLP holds two gradients of its width beside what was saved, and one of the stream.
    working: float = (2 * shape.intermediate + shape.hidden) * stream * tokens
    working += _dequantised(shape, recipe) + (0.0 if kept else layer)
    logits = _loss_bytes(shape, recipe, tokens)
    layers = split_bytes(shape, _format(recipe)) if recipe.form == "adapter" else 0.0
    fetched = FETCHED_LAYERS * layers / shape.layers if gpus > 1 else 0.0
    return Memory(
        weights=weight_bytes(shape, _format(recipe), stream) - layers * (1 - 1 / gpus),
        trained=training_bytes(shape, recipe),
        activations=saved + max(0.0, working - logits) + fetched,
        logits=logits,
    )


def recomputed_layers(shape: Shape, recipe: Recipe, rows: int, gpus: int, room: float) -> int:
    """The fewest layers to compute again, so that a step takes no more than `room` bytes of each of `gpus`; all where
    even that does not do."""
    counts = range(shape.layers)
    return next(
        (count for count in counts if training_memory(shape, recipe, rows, count, gpus).with_reserve().total <= room),
        shape.layers,
    )


def loading_memory(shape: Shape, recipe: Recipe) -> Memory:
    """The trainer's base and adapter before the first step: each of several GPUs has loaded all that they split."""
    return Memory(weight_bytes(shape, _format(recipe), stream_bytes(recipe)), _lora_parameters(shape, recipe) * FLOAT32)


def split_bytes(shape: Shape, weights: Format) -> float:
    """Of the linear layers, what several GPUs split: of NF4 the numbers, not their constants."""
    return shape.linear_parameters * (4 if weights == "nf4" else LINEAR_BITS[weights]) / 8


def stream_bytes(recipe: Recipe) -> int:
    """Of one value between two layers, and of a weight that is not quantised."""
    return FLOAT32 if recipe.dtype == "float32" else BFLOAT16


def training_bytes(shape: Shape, recipe: Recipe) -> float:
    """Of an adapter, all float32: weight, gradient, and the optimizer's state: with AdamW 16 bytes a parameter
    (arXiv:1910.02054, section 3.1). Of whole weights, which stand elsewhere: gradients and state; in 16 bits one weight
    and its gradient are in float32 while they are updated.

    `inherit: stack` also holds the parent's frozen adapter, of the same rank.
    """
    weights = trained_weights_of(shape, recipe)
    state = optimizer_state(weights, recipe.optimizer)
    kept = state.total - state.steps
    if recipe.form == "adapter":
        return kept + (3 if recipe.inherit == "stack" else 2) * _lora_parameters(shape, recipe) * FLOAT32
    largest = 0 if recipe.dtype == "float32" else max(weight.numbers for weight in weights)
    gradients = sum(weight.numbers for weight in weights) * stream_bytes(recipe)
    return kept + gradients + 2 * largest * FLOAT32


def _lora_parameters(shape: Shape, recipe: Recipe) -> int:
    """Of the adapter that is trained, if one is."""
    return shape.lora_parameters(recipe.rank, recipe.target_modules) if recipe.form == "adapter" else 0


def rounded_adapter_bytes(shape: Shape, recipe: Recipe) -> float:
    """Of all layers: the adapters' weights as 16-bit products read them."""
    wide = 0 if recipe.dtype == "float32" else BFLOAT16
    return _lora_parameters(shape, recipe) * wide


def layer_activation_bytes(shape: Shape, recipe: Recipe) -> float:
    """What autograd saves of one decoder layer, in bytes a token, with LoRA on a frozen base or all weights trained.

    After Korthikanti et al. 2022 (arXiv:2205.05198, section 4.1), less what a frozen weight does not need: the input of
    a linear layer is saved for its adapter alone, or for its weight. Attention is fused, so nothing of length squared
    is saved (Dao et al. 2022, arXiv:2205.14135).
    """
    stream = stream_bytes(recipe)
    query, key = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
    # RMSNorm works in float32 and saves its input and one scale; there are two.
    norms = 2 * (shape.hidden + 1) * FLOAT32
    # Queries, keys, values, the output, and in float32 one log-sum-exp a head.
    attention = (2 * query + 2 * key) * stream + shape.heads * FLOAT32
    # What SiLU reads, what it gives, and what that is multiplied with.
    mlp = 3 * shape.intermediate * stream
    return norms + attention + mlp + _input_bytes(shape, recipe, stream)


def _input_bytes(shape: Shape, recipe: Recipe, stream: int) -> float:
    """Adapters, and weights that are trained, share the tensor that their layers read, unless it is dropped out for
    each: dropout saves what is left and a mask of one byte a value."""
    adapts = recipe.form == "adapter"
    adapted = shape.adapted(recipe.target_modules if adapts else "all-linear")
    small = sum(recipe.rank for _ in adapted) * stream if adapts else 0
    if recipe.dropout:
        return small + sum(linear.inputs for linear in adapted) * (stream + 1)
    # The attention's output is saved already.
    read = {linear.reads: linear.inputs for linear in adapted if linear.reads != "output"}
    return small + sum(read.values()) * stream


def logits_bytes(shape: Shape) -> float:
    """Of one answer token, in float32 whatever the head's type: log-softmax, its gradient, and that of the logits."""
    return shape.vocabulary * 3 * FLOAT32


def _loss_bytes(shape: Shape, recipe: Recipe, tokens: int) -> float:
    """Of a step's part: the logits of all its tokens, or of a slice, with the head's inputs and their gradients."""
    slice_tokens = max(1, LOGITS_AT_ONCE // shape.vocabulary)
    if recipe.form != "adapter" or tokens * shape.vocabulary <= LOGITS_AT_ONCE:
        return logits_bytes(shape) * tokens
    return logits_bytes(shape) * slice_tokens + 2 * shape.hidden * stream_bytes(recipe) * tokens


def _dequantised(shape: Shape, recipe: Recipe) -> float:
    """NF4 is multiplied after one layer's weight has been unpacked into the compute type (bitsandbytes, MatMul4Bit)."""
    if recipe.quantize == "none":
        return 0.0
    largest = max(linear.inputs * linear.outputs for linear in shape.linears)
    return largest * (FLOAT32 if recipe.dtype == "float32" else BFLOAT16)


def _format(recipe: Recipe) -> Format:
    return "nf4" if recipe.quantize == "nf4" else recipe.dtype


def cache_bytes(shape: Shape) -> int:
    """Keys and values of one token in 16 bits, of all layers (Pope et al. 2022, arXiv:2211.05102, section 3.3)."""
    return 2 * shape.layers * shape.kv_heads * shape.head_size * BFLOAT16


def writing_memory(shape: Shape, weights: Format, rows: int, new_tokens: int, rank: int) -> Memory:
    """The engine `hf` writing `rows` texts side by side, each as long as it may be; an adapter on all linear layers."""
    prompt, longest = _lengths(shape, new_tokens)
    wide = FLOAT32 if weights == "float32" else BFLOAT16
    return Memory(
        weights=weight_bytes(shape, weights, wide),
        trained=shape.lora_parameters(rank, "all-linear") * FLOAT32,
        activations=_reading_bytes(shape, wide, 1) * rows * prompt,
        logits=_sampling_bytes(shape, wide) * rows,
        cache=cache_bytes(shape) * wide / BFLOAT16 * rows * longest,
    )


def vllm_memory(
    shape: Shape, weights: Format, wide: int, rows: int, new_tokens: int, rank: int, gpus: int, unused: float
) -> Memory:
    """The engine `vllm` writing `rows` texts side by side, each as long as it may be, on each of `gpus` GPUs.

    They split weights, adapter, cache and heads evenly (tensor parallelism: Shoeybi et al. 2019, arXiv:1909.08053);
    each has the stream and the logits of all rows. `wide`: bytes of a value that is computed. `unused`: left to others.
    """
    prompt, longest = _lengths(shape, new_tokens)
    return Memory(
        weights=weight_bytes(shape, weights, wide) / gpus,
        trained=shape.lora_parameters(rank, "all-linear") * wide / gpus,
        activations=_reading_bytes(shape, wide, gpus) * min(rows * prompt, READ_TOGETHER),
        logits=_sampling_bytes(shape, wide) * rows,
        cache=cache_bytes(shape) * wide / BFLOAT16 * rows * longest / gpus,
        reserve=unused,
    )


def _lengths(shape: Shape, new_tokens: int) -> tuple[int, int]:
    """Tokens of a prompt, and of the longest text with it."""
    prompt = min(PROMPT_TOKENS, shape.context)
    return prompt, min(prompt + new_tokens, shape.context)


def _reading_bytes(shape: Shape, wide: int, gpus: int) -> float:
    """Of a prompt token that is read: two tensors of the MLP's width, and the stream with its float32 copy."""
    return 2 * shape.intermediate / gpus * wide + shape.hidden * (wide + FLOAT32)


def _sampling_bytes(shape: Shape, wide: int) -> int:
    """Of a text: the logits, in float32 the probabilities, sorted, their running sum, and the order."""
    return shape.vocabulary * (wide + 3 * FLOAT32 + 8)
