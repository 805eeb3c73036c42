"""The next token: drawn from the same distribution whether the whole vocabulary is sorted or only what is needed."""

import pytest
import torch

from lamarck.engine.sampling import BLOCK, Continuation, _nucleus, own_luck, shared_luck

WIDE = 20_000


@pytest.mark.parametrize("top_p", [1e-9, 0.5, 0.95, 0.999])
def test_the_nucleus_is_that_of_the_whole_sorted_vocabulary(top_p: float) -> None:
    """Rows of narrow and of wide nuclei together: the wrong implementation ends at the tokens that it sorts first."""
    torch.manual_seed(0)
    logits = torch.randn(12, WIDE) * torch.linspace(0.1, 6, 12)[:, None]
    probabilities = torch.softmax(logits, -1)
    ordered, index = _nucleus(probabilities, torch.tensor(top_p))
    found = torch.zeros_like(probabilities).scatter(-1, index, ordered)
    all_ordered, all_index = probabilities.sort(-1, descending=True)
    all_ordered[:, 1:][(all_ordered.cumsum(-1) - all_ordered)[:, 1:] >= top_p] = 0
    expected = torch.zeros_like(probabilities).scatter(-1, all_index, all_ordered)
    assert (found > 0).sum(-1).tolist() == (expected > 0).sum(-1).tolist()
    assert torch.allclose(found.sort(-1).values, expected.sort(-1).values)


@pytest.mark.parametrize(("top_p", "kept"), [(1.0, 6), (0.95, 4)])
def test_draws_follow_the_distribution(top_p: float, kept: int) -> None:
    """Chi-squared tests of 4,000 draws each, of rows with luck of their own and of rows that share it."""
    shares = torch.tensor([0.45, 0.3, 0.125, 0.08, 0.04, 0.005])
    expected = shares[:kept] / shares[:kept].sum() * 4000
    rows, logits = torch.arange(4000), shares.log().repeat(4000, 1)
    requests = [Continuation([0], 1, temperature=1.0, top_p=top_p, seed=seed) for seed in range(4000)]
    shared = shared_luck(1.0, top_p, torch.Generator().manual_seed(1))
    for choose in (own_luck(requests, torch.device("cpu")), shared):
        counts = torch.bincount(choose(logits, rows, 1), minlength=6)
        assert not counts[kept:].any()
        assert float(((counts[:kept] - expected) ** 2 / expected).sum()) < 20.5  # p = 0.001 at five degrees of freedom


def test_draws_in_16_bits_follow_the_distribution() -> None:
    """A chi-squared test of 4,000 draws at the edges of blocks, all other tokens forbidden: the wrong implementation
    leaves out the tokens behind the last whole block."""
    places = torch.tensor([0, BLOCK - 1, BLOCK, 2 * BLOCK - 1, 2 * BLOCK, 2 * BLOCK + 50])
    logits = torch.full((1, 2 * BLOCK + 51), -torch.inf, dtype=torch.bfloat16)
    logits[0, places] = torch.tensor([0.45, 0.3, 0.125, 0.08, 0.04, 0.005]).log().bfloat16()
    heated = torch.softmax(logits.float() / 0.7, -1)[0] * 4000
    choose = shared_luck(0.7, 1.0, torch.Generator().manual_seed(3))
    counts = torch.bincount(choose(logits.expand(4000, -1), torch.arange(4000), 1), minlength=logits.shape[1])
    assert int(counts[places].sum()) == 4000
    assert float(((counts - heated)[places] ** 2 / heated[places]).sum()) < 20.5  # as above


def test_a_row_that_draws_from_all_leaves_the_others_as_they_are() -> None:
    torch.manual_seed(2)
    logits = torch.randn(3, 1000) * 3
    requests = [Continuation([0], 4, 1.0, top_p, seed) for seed, top_p in enumerate((0.9, 1.0, 0.5))]
    together = own_luck(requests, torch.device("cpu"))(logits, torch.arange(3), 2).tolist()
    alone = [
        int(own_luck([request], torch.device("cpu"))(logits[row : row + 1], torch.tensor([0]), 2))
        for row, request in enumerate(requests)
    ]
    assert together == alone
