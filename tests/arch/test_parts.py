"""Parts against what they are defined by, or against an independent implementation."""

import pytest
import torch
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from lamarck.arch.attention import alibi_slopes, quantised
from lamarck.arch.pattern import Pattern
from lamarck.arch.rope import Rotation, frequencies
from lamarck.arch.scan import normalised_scan, scan
from tests.arch.checks import distance


@pytest.mark.parametrize("chunk", [1, 5, 64])
def test_a_scan_is_the_recurrence_that_it_stands_for(chunk: int) -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 3, 17, width, generator=generator, dtype=torch.float64) for width in (4, 4, 5))
    decay = -torch.rand(2, 3, 17, generator=generator, dtype=torch.float64) * 3
    state = start = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64)
    outputs = []
    for step in range(17):
        state = state * decay[:, :, step, None, None].exp() + k[:, :, step, :, None] * v[:, :, step, None, :]
        outputs.append((q[:, :, step, None, :] @ state).squeeze(2))
    y, last = scan(q, k, v, start, decay, chunk)
    assert distance(y, torch.stack(outputs, dim=2)) < 1e-12
    assert distance(last, state) < 1e-12


def test_linear_attention_is_a_weighted_mean_of_the_values_so_far() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.rand(1, 2, 70, 4, generator=generator, dtype=torch.float64) for _ in range(3))
    scores = (q @ k.transpose(-1, -2)).tril()
    assert distance(normalised_scan(q, k, v, None)[0], scores / scores.sum(-1, keepdim=True) @ v) < 1e-12


@pytest.mark.parametrize("kind", ["linear", "yarn"])
def test_frequencies_are_those_of_transformers(kind: str) -> None:
    rotation = Rotation(kind, head_dim=32, theta=10000.0, factor=4.0, context=128)
    rope = {"rope_type": kind, "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 128}
    config = LlamaConfig(hidden_size=64, num_attention_heads=2, max_position_embeddings=512, rope_parameters=rope)
    theirs, factor = ROPE_INIT_FUNCTIONS[kind](config, "cpu")
    ours, own = frequencies(rotation)
    assert torch.allclose(torch.tensor(ours), theirs, rtol=1e-5, atol=0)
    assert own == pytest.approx(factor)


def test_ntk_stretches_the_slowest_pair_by_the_factor_and_leaves_the_fastest() -> None:
    plain, _ = frequencies(Rotation("standard", 32, 10000.0, 1.0, 128))
    stretched, _ = frequencies(Rotation("ntk", 32, 10000.0, 4.0, 128))
    assert stretched[0] == plain[0]
    assert plain[-1] / stretched[-1] == pytest.approx(4)


def test_alibi_slopes_are_the_papers() -> None:
    assert alibi_slopes(8) == [2.0**-each for each in range(1, 9)]
    assert alibi_slopes(3) == [2.0**-4, 2.0**-8, 2.0**-2]


def test_int8_is_half_a_level_off_at_most() -> None:
    x = torch.randn(5, 7, dtype=torch.float64)
    codes, scale = quantised(x)
    assert codes.dtype == torch.int8
    assert ((codes * scale - x).abs() <= scale / 2 + 1e-12).all()


PATTERNS = {
    "none": (Pattern(), "all"),
    "sliding": (Pattern("sliding", window=3), {4: [2, 3, 4], 9: [7, 8, 9]}),
    "block": (Pattern("block", block_size=4), {3: [0, 1, 2, 3], 4: [4], 9: [8, 9]}),
    "local_global": (Pattern("local_global", window=2, global_stride=4), {9: [0, 4, 8, 9], 3: [0, 2, 3]}),
    "dilated": (Pattern("dilated", dilation=3), {9: [0, 3, 6, 9], 4: [1, 4]}),
    "local_block": (Pattern("local_block", window=1, block_size=2, block_stride=5), {9: [0, 1, 5, 6, 9], 4: [0, 1, 4]}),
    "limit": (Pattern("dilated", dilation=3, limit=4), {9: [6, 9], 4: [1, 4]}),
}


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_sees_what_it_says_and_nothing_ahead(name: str) -> None:
    pattern, seen = PATTERNS[name]
    for query in range(20):
        keys = [key for key in range(20) if pattern.sees(query, key)]
        assert keys == (list(range(query + 1)) if seen == "all" else seen.get(query, keys))
        assert query in keys and max(keys) == query


@pytest.mark.parametrize("name", PATTERNS)
def test_what_is_dropped_is_never_seen_again_and_what_is_kept_may_be(name: str) -> None:
    pattern, _ = PATTERNS[name]
    for following in range(1, 20):
        for key in range(following):
            later = any(pattern.sees(query, key) for query in range(following, following + 40))
            assert pattern.keeps(following, key) == later
