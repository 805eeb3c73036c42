"""APOLLO's rule against the paper's equations, written out number by number in float64, and against cases by hand."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from lamarck.config.optimizer import AdamWSettings, ApolloMiniSettings, ApolloSettings
from lamarck.train.apollo import adam_direction, compact, draw_projection, factors, limited, update_norm
from lamarck.train.optimizer import Apollo, build_optimizer

SEED, RATE, BETA2, DECAY = 5, 0.01, 0.98, 0.1
SHAPES = {"wide": (4, 7), "tall": (7, 4), "square": (5, 5)}
Gradients = list[list[list[float]]]


def gradients(shape: tuple[int, int], steps: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    # Of growing size, so that the limiter has something to do.
    return [(1 + step) * torch.randn(shape, generator=generator, dtype=torch.float64) for step in range(steps)]


def optimizer_of(weight: torch.nn.Parameter, settings: Any, kind: type[Apollo] | None = None) -> Apollo:
    if kind is None:
        optimizer = build_optimizer({"matrices": [("w", weight)]}, settings, RATE, BETA2, DECAY, SEED)
        assert isinstance(optimizer, Apollo)
        return optimizer
    group = {"params": [("w", weight)], "name": "matrices", "rate_share": 1.0, "weight_decay": DECAY}
    return kind([group], settings, RATE, BETA2, SEED)


def trained(optimizer: Apollo, weight: torch.nn.Parameter, given: list[torch.Tensor]) -> torch.Tensor:
    for gradient in given:
        weight.grad = gradient.clone()
        optimizer.step()
    return weight.detach()


def by_the_paper(
    start: list[list[float]],
    given: Gradients,
    projections: Gradients,
    scaling: str,
    alpha: float,
    limit: float | None,
    beta1: float = 0.9,
    eps: float = 1e-8,
    wrong: str = "",
) -> list[list[float]]:
    """Algorithm 1 for a wide matrix, with loops alone. `wrong` names a mistake to make on purpose."""
    weight = [row[:] for row in start]
    rows, columns, rank = len(start), len(start[0]), len(projections[0])
    first = [[0.0] * columns for _ in range(rank)]
    second = [[0.0] * columns for _ in range(rank)]
    last = 0.0
    for step, (gradient, projection) in enumerate(zip(given, projections, strict=True), start=1):
        if wrong == "moments forgotten at a renewal" and step > 1 and projection != projections[step - 2]:
            first = [[0.0] * columns for _ in range(rank)]
            second = [[0.0] * columns for _ in range(rank)]
        small = [
            [sum(projection[k][i] * gradient[i][j] for i in range(rows)) for j in range(columns)] for k in range(rank)
        ]
        adapted = [[0.0] * columns for _ in range(rank)]
        for k in range(rank):
            for j in range(columns):
                first[k][j] = beta1 * first[k][j] + (1 - beta1) * small[k][j]
                second[k][j] = BETA2 * second[k][j] + (1 - BETA2) * small[k][j] ** 2
                corrected = 1.0 if wrong == "no bias correction" else 1 - BETA2**step
                adapted[k][j] = first[k][j] / (1 - beta1**step) / ((second[k][j] / corrected) ** 0.5 + eps)
        if scaling == "channel":
            scale = [norm([adapted[k][j] for k in range(rank)]) / norm([s[j] for s in small]) for j in range(columns)]
        else:
            scale = [norm(flat(adapted)) / norm(flat(small))] * columns
        update = [[alpha * gradient[i][j] * scale[j] for j in range(columns)] for i in range(rows)]
        size = norm(flat(update))
        unlimited = size
        if limit and last and size > limit * last:
            update = [[value * limit * last / size for value in row] for row in update]
            size = limit * last
        last = unlimited if wrong == "limited against the norm before limiting" else size
        for i in range(rows):
            for j in range(columns):
                weight[i][j] -= RATE * update[i][j] + RATE * DECAY * weight[i][j]
    return weight


def flat(matrix: list[list[float]]) -> list[float]:
    return [value for row in matrix for value in row]


def norm(values: list[float]) -> float:
    return float(sum(value * value for value in values) ** 0.5)


CASES: dict[str, tuple[Any, str, Callable[[int, int], float], float | None]] = {
    "channels": (
        ApolloSettings(kind="apollo", rank=2, renew_every=3, growth_limit=None),
        "channel",
        lambda m, r: 1.0,
        None,
    ),
    "limited": (ApolloSettings(kind="apollo", rank=2, renew_every=3), "channel", lambda m, r: 1.0, 1.01),
    "tensor": (
        ApolloSettings(kind="apollo", rank=3, renew_every=4, scaling="tensor", gradient_scale="sqrt(m/r)"),
        "tensor",
        lambda m, r: (m / r) ** 0.5,
        1.01,
    ),
    "mini": (ApolloMiniSettings(kind="apollo-mini", renew_every=3), "tensor", lambda m, r: 128**0.5, 1.01),
}


def both(case: str, shape: tuple[int, int], wrong: str = "") -> tuple[torch.Tensor, torch.Tensor]:
    """What the optimizer and the paper's equations make of the same weight after eight steps."""
    settings, scaling, alpha, limit = CASES[case]
    start = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    given = gradients(shape, 8)
    weight = torch.nn.Parameter(start.clone())
    found = trained(optimizer_of(weight, settings), weight, given)
    tall = shape[0] > shape[1]
    turned = [gradient.T.tolist() if tall else gradient.tolist() for gradient in given]
    m = min(shape)
    projections = [
        draw_projection(m, settings.rank, SEED, step // settings.renew_every).double().tolist() for step in range(8)
    ]
    first = start.T.tolist() if tall else start.tolist()
    expected = by_the_paper(first, turned, projections, scaling, alpha(m, settings.rank), limit, wrong=wrong)
    reference = torch.tensor(expected, dtype=torch.float64)
    return found, reference.T if tall else reference


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("case", CASES)
def test_it_is_what_the_paper_writes(case: str, shape: str) -> None:
    found, expected = both(case, SHAPES[shape])
    assert (found - expected).abs().max() < 1e-12


@pytest.mark.parametrize(
    "wrong",
    ["moments forgotten at a renewal", "no bias correction", "limited against the norm before limiting"],
)
def test_an_optimizer_that_is_wrong_would_be_seen(wrong: str) -> None:
    found, expected = both("limited", SHAPES["wide"], wrong)
    assert (found - expected).abs().max() > 1e-4


def test_one_step_by_hand() -> None:
    """P = (1 0): R = (3 4), Adam's first direction is (1 1), so the columns are divided by 3 and by 4."""
    gradient, projection = torch.tensor([[3.0, 4.0], [4.0, 3.0]]), torch.tensor([[1.0, 0.0]])
    small = compact(gradient, projection)
    assert small.tolist() == [[3.0, 4.0]]
    direction = adam_direction(small, torch.zeros(1, 2), torch.zeros(1, 2), 1, 0.9, 0.99, 0.0)
    assert torch.allclose(direction, torch.ones(1, 2))
    channels = factors(direction, small, 0, "channel")
    assert torch.allclose(gradient * channels, torch.tensor([[1.0, 1.0], [4 / 3, 3 / 4]]))
    whole = factors(direction, small, 0, "tensor")
    assert whole.item() == pytest.approx(2**0.5 / 5)
    assert update_norm(gradient, whole).item() == pytest.approx(2)  # |G| = sqrt(50)


def test_a_tall_matrix_is_scaled_by_rows() -> None:
    gradient, projection = torch.tensor([[3.0, 4.0], [1.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0, 1.0]])
    small = compact(gradient, projection)
    assert small.tolist() == [[7.0], [1.0], [2.0]]
    assert factors(torch.ones(3, 1), small, 1, "channel").flatten().tolist() == pytest.approx([1 / 7, 1, 0.5])


def test_a_channel_without_a_gradient_stays() -> None:
    weight = torch.nn.Parameter(torch.ones(3, 5, dtype=torch.float64))
    given = gradients((3, 5), 3)
    given[1][:, 2] = 0  # its moments are not zero any more
    settings = ApolloSettings(kind="apollo", rank=2, growth_limit=None)
    optimizer = optimizer_of(weight, settings)
    trained(optimizer, weight, given[:1])
    before = weight.detach().clone()
    after = trained(optimizer, weight, given[1:2])
    assert torch.allclose(after[:, 2], before[:, 2] * (1 - RATE * DECAY))
    assert torch.isfinite(after).all() and not torch.allclose(after[:, 1], before[:, 1] * (1 - RATE * DECAY))


@pytest.mark.parametrize("shape", [(4, 7), (7, 4)])
def test_at_full_rank_with_p_the_identity_it_is_channel_scaled_adam(shape: tuple[int, int]) -> None:
    class Identity(Apollo):
        def _projection(self, gradient: torch.Tensor, rank: int, period: int) -> torch.Tensor:
            return torch.eye(rank, dtype=gradient.dtype)

    given = gradients(shape, 6)
    weight = torch.nn.Parameter(torch.ones(shape, dtype=torch.float64))
    settings = ApolloSettings(kind="apollo", rank=4, growth_limit=None)
    found = trained(optimizer_of(weight, settings, Identity), weight, given)

    side = 0 if shape[0] < shape[1] else 1
    expected = torch.ones(shape, dtype=torch.float64)
    first, second = torch.zeros(shape, dtype=torch.float64), torch.zeros(shape, dtype=torch.float64)
    for step, gradient in enumerate(given, start=1):
        first = 0.9 * first + 0.1 * gradient
        second = BETA2 * second + (1 - BETA2) * gradient**2
        adam = first / (1 - 0.9**step) / ((second / (1 - BETA2**step)).sqrt() + 1e-8)
        scale = adam.norm(dim=side, keepdim=True) / gradient.norm(dim=side, keepdim=True)
        expected = expected - RATE * gradient * scale - RATE * DECAY * expected
    assert (found - expected).abs().max() < 1e-14


@pytest.mark.parametrize("rank", [8, 16, 64])
def test_compact_factors_are_smaller_by_the_root_of_r_over_m(rank: int) -> None:
    """Each is |R|'s error off, a share of 1 / sqrt(2 r); so is the median of 512 of them by 1 / sqrt(2 r 512)."""
    m, n = 128, 512
    ratios = []
    moments = {size: (torch.zeros(size, n), torch.zeros(size, n)) for size in (m, rank)}
    generator = torch.Generator().manual_seed(3)
    projection = draw_projection(m, rank, 0, 0)
    for step in range(1, 6):
        gradient = torch.randn(m, n, generator=generator)
        small = compact(gradient, projection)
        whole = factors(adam_direction(gradient, *moments[m], step, 0.9, 0.999, 0.0), gradient, 0, "channel")
        compacted = factors(adam_direction(small, *moments[rank], step, 0.9, 0.999, 0.0), small, 0, "channel")
        ratios.append((compacted / whole).median().item())
    # One projection for all columns: its own size is the same error for each, 1 / sqrt(2 r m).
    tolerance = 4 / (2 * rank * m) ** 0.5 + 1 / rank
    for ratio in ratios:
        assert ratio / (rank / m) ** 0.5 == pytest.approx(1, abs=tolerance)
    # With numbers of N(0, 1), as some have it, the compact gradient is sqrt(r) longer: that would be seen.
    assert abs(ratios[-1] / rank**0.5 / (rank / m) ** 0.5 - 1) > tolerance


def test_what_the_limiter_answers() -> None:
    def answer(size: float, previous: float) -> float:
        return limited(torch.tensor(size), torch.tensor(previous), 1.01).item()

    assert answer(5.0, 0.0) == 1  # the first, or after an update of zeros
    assert answer(0.0, 5.0) == 1
    assert answer(5.05, 5.0) == 1
    assert answer(10.0, 5.0) == pytest.approx(0.505)
    assert answer(1.0, 5.0) == 1  # it may shrink as it likes


def test_what_the_limiter_lets_through_is_what_the_next_is_measured_by() -> None:
    weight = torch.nn.Parameter(torch.zeros(2, 3, dtype=torch.float64))
    settings = ApolloSettings(kind="apollo", rank=2, scaling="tensor")
    group = {"params": [("w", weight)], "name": "matrices", "rate_share": 1.0, "weight_decay": 0.0}
    optimizer = Apollo([group], settings, 1.0, 0.0, SEED)
    steps = []
    for size in (1.0, -1.0, 100.0, 100.0):  # the second nearly takes the first back: a small update
        before = weight.detach().clone()
        trained(optimizer, weight, [size * torch.ones(2, 3, dtype=torch.float64)])
        steps.append(float((weight.detach() - before).norm()))
    assert steps[1] < 0.1 * steps[0]
    assert steps[2] == pytest.approx(1.01 * steps[1])
    assert steps[3] == pytest.approx(1.01 * steps[2])


def test_the_projection_is_as_long_as_it_should_be_and_its_seed_decides_it() -> None:
    drawn = draw_projection(400, 50, 1, 0)
    assert drawn.var().item() == pytest.approx(1 / 50, rel=0.05)
    assert torch.equal(drawn, draw_projection(400, 50, 1, 0))
    assert not torch.equal(drawn, draw_projection(400, 50, 1, 1))
    assert not torch.equal(drawn, draw_projection(400, 50, 2, 0))


def test_adamw_settings_project_nothing() -> None:
    assert AdamWSettings().projected_rank("matrices", (8, 8)) is None
    settings = ApolloSettings(kind="apollo", rank=256)
    assert settings.projected_rank("matrices", (64, 8)) == 8
    assert settings.projected_rank("embedding", (64, 8)) is None
    assert settings.projected_rank("matrices", (8,)) is None
