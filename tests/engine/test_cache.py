"""The engine's cache against transformers' own: the same keys and values after every step."""

import torch
from transformers import DynamicCache, LlamaConfig, MistralConfig
from transformers.cache_utils import DynamicSlidingWindowLayer

from lamarck.engine.cache import ROOM, GrowingLayer, growing_cache

SHAPE = {"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2, "hidden_size": 16}


def test_it_holds_what_transformers_holds() -> None:
    """The wrong implementation: memory that is still written to after other rows were chosen from it."""
    torch.manual_seed(0)
    ours, theirs = growing_cache(LlamaConfig(**SHAPE)), DynamicCache(config=LlamaConfig(**SHAPE))
    assert all(type(layer) is GrowingLayer for layer in ours.layers)
    rows = 3
    for step in range(2 * ROOM + 5):
        if step in (1, 4, ROOM):  # as rows are copied after the prompt, and dropped when they have ended
            chosen = torch.tensor([0, 0, 1, 2] if step == 1 else list(range(1, rows)))
            ours.batch_select_indices(chosen)
            theirs.batch_select_indices(chosen)
            rows = len(chosen)
        new = [torch.randn(rows, 2, 7 if step == 0 else 1, 8) for _ in range(4)]
        for layer in range(2):
            found = ours.update(*new[2 * layer : 2 * layer + 2], layer)
            expected = theirs.update(*new[2 * layer : 2 * layer + 2], layer)
            assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
        assert ours.get_seq_length() == theirs.get_seq_length()


def test_layers_that_keep_a_window_stay_as_they_are() -> None:
    cache = growing_cache(MistralConfig(**SHAPE, sliding_window=4))
    assert all(type(layer) is DynamicSlidingWindowLayer for layer in cache.layers)
