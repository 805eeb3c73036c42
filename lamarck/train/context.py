"""The context-frozen loss: the context of a text stays a constant, and only the decisions made after it are learned.

A row is a context and the decisions made after it. In every layer, keys and values of the context are constants: no
gradient flows into how the context is read, only into what is made of it. The first decision is predicted at the
context's last position, which is therefore a decision position itself: constant are the keys and values of those before
it. The loss is that of ordinary masked training, to rounding; the gradient is not.

The context is read without a graph, and its keys and values are put before those of the decisions inside the attention
function, where recomputation (activation checkpointing, of transformers' kind or peft's) finds them again; a cache of
transformers' would be dropped there. What the graph holds does not grow with the context.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from lamarck.budget.optimizer_state import QUERIES
from lamarck.errors import LamarckError
from lamarck.models.logits import logits_at
from lamarck.train.causal import causal_of

ATTENTION = "lamarck_context"
IGNORED = -100  # The label that torch's cross-entropy leaves out.
ATTENTION_LAYERS = {"full_attention", "sliding_attention"}  # whose whole state is keys and values
PLAIN = "train it with the plain loss"


@dataclass
class FrozenContext:
    """Keys and values of a batch's contexts, by layer: constants of (batch, key heads, longest, head size)."""

    lengths: torch.Tensor  # (batch,), how many positions of each row are constants
    layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)
    read: bool = False  # from then on they are used, not written

    def mask(self, decisions: int, longest: int, window: int | None) -> torch.Tensor:
        """Who sees what: (batch, 1, decisions, longest + decisions), true where a decision may look.

        `window`: of sliding attention, how many positions back a key may lie, its own included.
        """
        device = self.lengths.device
        column, row = torch.arange(longest, device=device), torch.arange(decisions, device=device)
        lengths = self.lengths[:, None, None]
        context = (column < lengths).expand(-1, decisions, -1)
        own = (row <= row[:, None]).expand(len(self.lengths), -1, -1)
        if window is not None:
            context = context & (lengths + row[:, None] - column < window)
            own = own & (row[:, None] - row < window)
        return torch.cat([context, own], dim=-1)[:, None]


def freeze_contexts(model: torch.nn.Module) -> None:
    """Make a causal model of transformers, with or without an adapter, ready for `context_frozen_loss`.

    Errors: LamarckError where it would not be exact: layers with a state that is not keys and values, or attention that
    asks for more than a mask.
    """
    causal = causal_of(model)
    config = causal.config.get_text_config()
    others = set(getattr(config, "layer_types", None) or ()) - ATTENTION_LAYERS
    if others:
        raise LamarckError(
            f"this model has layers of {' and '.join(sorted(others))}, whose state is more than keys and values, "
            f"so that its context cannot be frozen: {PLAIN}"
        )
    AttentionInterface.register(ATTENTION, _attention)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
    causal.set_attn_implementation(ATTENTION)
    _refuse_unless_exact(model, config)


def context_frozen_loss(
    model: torch.nn.Module, inputs: torch.Tensor, labels: torch.Tensor, contexts: torch.Tensor
) -> torch.Tensor:
    """Mean cross-entropy, in nats, over the labelled tokens of a batch, each row's context a constant.

    `inputs` and `labels` are (batch, longest), padded on the right; `contexts` is (batch,), the tokens of each row that
    are its context, 0 for none. A row's labels lie behind its context. `model` went through `freeze_contexts`.
    """
    frozen = (contexts.to(inputs.device) - 1).clamp(min=0)
    longest = int(frozen.max())
    store = FrozenContext(frozen)
    if longest:
        with torch.no_grad():
            _decoder(model)(input_ids=inputs[:, :longest], use_cache=False, frozen_context=store)
        store.read = True
    decisions = inputs.shape[1] - int(frozen.min())
    # Each row from its first decision position on; what runs over the end is padding, whose labels do not count.
    places = frozen[:, None] + torch.arange(decisions, device=inputs.device)
    last = inputs.shape[1] - 1
    beyond = places > last
    tokens = inputs.gather(1, places.clamp(max=last))
    targets = labels.gather(1, places.clamp(max=last)).masked_fill(beyond, IGNORED)
    more = {"frozen_context": store} if longest else {}
    hidden = _decoder(model)(input_ids=tokens, position_ids=places.clamp(max=last), use_cache=False, **more)
    return _loss(model, hidden.last_hidden_state, targets)


def train_queries_only(model: torch.nn.Module) -> list[str]:
    """Leave only the query projections of a model without an adapter trainable; their names.

    Errors: LamarckError for a model whose queries share a weight with keys and values.
    """
    chosen = []
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(f".{QUERIES}." in f".{name}")
        if parameter.requires_grad:
            chosen.append(name)
    if not chosen:
        raise LamarckError(
            f"no weight of this model is called {QUERIES}, so its query projections cannot be trained alone: "
            "train all of it"
        )
    return chosen


def _attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    frozen_context: FrozenContext | None = None,
    **settings: Any,
) -> tuple[torch.Tensor, None]:
    """transformers' `sdpa`; before decisions come the context's keys and values. `key`: (batch, heads, n, size)."""
    if frozen_context is None:
        plain: tuple[torch.Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
        return plain
    if not frozen_context.read:
        frozen_context.layers[module.layer_idx] = key, value
        return _attention(module, query, key, value, attention_mask, **settings)

    def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        earlier_key, earlier_value = frozen_context.layers[module.layer_idx]
        mask = frozen_context.mask(query.shape[2], earlier_key.shape[2], settings.get("sliding_window"))
        keys, values = torch.cat([earlier_key, key], dim=2), torch.cat([earlier_value, value], dim=2)
        attended: torch.Tensor = sdpa_attention_forward(module, query, keys, values, mask, **settings)[0]
        return attended

    # Computed again in the backward pass: the graph would hold a copy of the context's keys and values for each layer.
    return checkpoint(attend, query, key, value, use_reentrant=False), None


def _refuse_unless_exact(model: torch.nn.Module, config: Any) -> None:
    """Compare the loss with the plain one on a batch of random tokens, and count the layers that took part."""
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randint(config.vocab_size, (2, 24), generator=generator).to(device)
    contexts = torch.tensor([15, 9], device=device)
    labels = inputs.masked_fill(torch.arange(24, device=device) < contexts[:, None], IGNORED)
    store = FrozenContext(contexts)
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            _decoder(model)(input_ids=inputs, use_cache=False, frozen_context=store)
            if len(store.layers) != config.num_hidden_layers:
                raise LamarckError(
                    f"only {len(store.layers)} of this model's {config.num_hidden_layers} layers keep keys and values "
                    f"of their own, so that its context cannot be frozen: {PLAIN}"
                )
            counted = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED) != IGNORED
            logits = logits_at(causal_of(model), inputs, counted)  # also with what stands behind the head: scales, caps
            plain = torch.nn.functional.cross_entropy(logits.float(), labels[:, 1:][counted[:, :-1]])
            frozen = context_frozen_loss(model, inputs, labels, contexts)
    except (TypeError, ValueError) as error:
        raise LamarckError(f"this model's attention cannot be given a frozen context ({error}): {PLAIN}") from error
    finally:
        model.train(training)
    # Of a loss of several nats, what rounding in 16 bits may do.
    tolerance = 1e-3 if next(model.parameters()).dtype.itemsize >= 4 else 5e-2
    if not abs(float(plain - frozen)) < tolerance:
        raise LamarckError(
            f"with its context frozen this model's loss is {float(frozen):.4f}, and the plain one {float(plain):.4f}: "
            f"its attention or its head is of a kind that is not known here; {PLAIN}"
        )


def _loss(model: torch.nn.Module, hidden: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Of the labelled positions alone: the vocabulary's logits are computed for no other."""
    targets = labels[:, 1:]
    counted = targets != IGNORED
    logits = causal_of(model).get_output_embeddings()(hidden[:, :-1][counted])
    return torch.nn.functional.cross_entropy(logits.float(), targets[counted])


def _decoder(model: torch.nn.Module) -> Any:
    return causal_of(model).get_decoder()
