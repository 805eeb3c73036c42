"""A model's forward and backward pass as CUDA graphs: the same kernels, started by one call.

A GPU is done with a layer of a small model sooner than Python has started the next one's kernels. A graph holds for one
shape of inputs, so lengths are rounded up; what pads a row stands behind it, where causal attention never looks.
"""

from typing import Any

import torch
from transformers.modeling_outputs import BaseModelOutputWithPast

from lamarck.config import Recipe
from lamarck.models.attention import LIKE_LLAMA
from lamarck.train.causal import causal_of
from lamarck.train.team import Team

LENGTHS = 16  # a recipe has so many shapes a number of rows at most: each takes about a second, once


def use_graphs(model: torch.nn.Module, recipe: Recipe, team: Team, recomputed: int) -> bool:
    """Whether the passes of `model`, on whose frozen weights an adapter is trained, are replayed from now on. It is in
    training mode when they are; `recomputed` of its layers are computed twice."""
    causal = causal_of(model)
    if not _fits(causal, recipe, team, recomputed):
        return False
    for value in model.parameters():
        if value.requires_grad:
            # A replay writes its gradients where the last one did: those that are kept for a sum are copies.
            value.register_hook(torch.Tensor.clone)
    decoder = causal.get_decoder()
    decoder.forward = Replayed(decoder, -(-recipe.max_tokens // LENGTHS))
    return True


def _fits(causal: Any, recipe: Recipe, team: Team, recomputed: int) -> bool:
    """One process on one GPU, an ordinary loss, a model whose forward pass asks for no value; and every layer kept:
    what is computed again draws the luck of its dropout again, for which a graph has no place."""
    alone = team.device.type == "cuda" and team.size == 1 and not recomputed
    return alone and causal.config.model_type in LIKE_LLAMA and (recipe.loss, recipe.form) == ("plain", "adapter")


class Replayed:
    """The forward pass of `decoder`, captured for each shape of its inputs when that is first seen."""

    def __init__(self, decoder: Any, step: int) -> None:
        """`step`: lengths are rounded up to multiples of it."""
        self.decoder, self.run, self.step = decoder, decoder.forward, step
        self.graphs: dict[tuple[int, int], Any] = {}
        self.pool = torch.cuda.graph_pool_handle()  # one after the other, they can have the same memory

    def __call__(self, input_ids: torch.Tensor, **_: Any) -> BaseModelOutputWithPast:
        """`input_ids`: (rows, length). All else has the values that training gives it."""
        length = input_ids.shape[1]
        padded = torch.nn.functional.pad(input_ids, (0, -length % self.step))
        if padded.shape not in self.graphs:
            self.graphs[padded.shape] = self._captured(padded)
        return BaseModelOutputWithPast(last_hidden_state=self.graphs[padded.shape](padded)[:, :length])

    def _captured(self, inputs: torch.Tensor) -> Any:
        """Captured passes draw from the luck of dropout, and a run that is resumed captures again."""
        luck = torch.cuda.get_rng_state(inputs.device)
        hidden = _Hidden(self.decoder, self.run)
        graph = torch.cuda.make_graphed_callables(hidden, (inputs.clone(),), pool=self.pool)
        torch.cuda.set_rng_state(luck, inputs.device)
        return graph


class _Hidden(torch.nn.Module):
    """(rows, length) tokens -> (rows, length, hidden) what the head reads; the decoder's parameters are its own."""

    def __init__(self, decoder: torch.nn.Module, run: Any) -> None:
        super().__init__()
        self.decoder, self.run = decoder, run

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.run(input_ids=inputs, use_cache=False).last_hidden_state
        return hidden
