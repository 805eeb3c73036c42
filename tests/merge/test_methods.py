"""What must hold of the methods by themselves: identities, moments, ranks, order of work, sums without rounding."""

import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from lamarck.merge.blocks import BLOCK, gram
from lamarck.merge.document import Filtered
from lamarck.merge.draws import draw_for
from lamarck.merge.methods import METHODS
from lamarck.merge.methods.base import Inputs
from lamarck.merge.parameters import Level, evaluate, lookup
from lamarck.merge.sparsify import keep_by_rank_at_random, keep_largest, keep_ranks

BASE = torch.linspace(-1, 1, 60).view(6, 10)
FIRST = BASE + 0.1 * torch.sin(torch.arange(1.0, 61)).view(6, 10)
SECOND = BASE + 0.1 * torch.cos(torch.arange(60.0)).view(6, 10)
ON_BASE = [name for name, method in METHODS.items() if method.base == "required"]
SPARSE = [name for name, method in METHODS.items() if "density" in method.parameters]


def merged(
    method: str,
    tensors: list[Tensor],
    own: Mapping[str, Any] | None = None,
    shared: Mapping[str, Any] | None = None,
    base: Tensor | None = BASE,
    seed: int = 0,
    weights: tuple[float, ...] = (),
) -> Tensor:
    """By `method`; `own` holds for every model, `weights` are those of each."""
    chosen = METHODS[method]
    given = {"weight": 1.0, "t": 0.5, **(own or {}), **(shared or {})}
    values = {name: given.get(name, declared.default) for name, declared in chosen.parameters.items()}
    each = {name: values[name] for name in values if chosen.parameters[name].per_model}
    inputs = Inputs(
        load=[tensor.clone for tensor in tensors],
        own=[each | {"weight": weight} for weight in weights] or [each] * len(tensors),
        shared={name: values[name] for name in values if not chosen.parameters[name].per_model},
        draws=[draw_for(seed, "document", "tensor", i) for i in range(len(tensors))],
        load_base=base.clone if base is not None and chosen.base != "unused" else None,
    )
    return chosen.merge(inputs)


def count_of(method: str) -> int:
    return METHODS[method].most or max(2, METHODS[method].fewest)


def test_slerp_at_its_ends_is_one_of_both() -> None:
    assert torch.allclose(merged("slerp", [FIRST], shared={"t": 0.0}), BASE, atol=1e-6)
    assert torch.allclose(merged("slerp", [FIRST], shared={"t": 1.0}), FIRST, atol=1e-6)
    assert not torch.allclose(merged("slerp", [FIRST], shared={"t": 0.5}), FIRST, atol=1e-3)


@pytest.mark.parametrize("how", [{}, {"nuslerp_flatten": False}, {"nuslerp_flatten": False, "nuslerp_row_wise": True}])
@pytest.mark.parametrize("base", [None, BASE])
def test_nuslerp_with_all_weight_on_one_is_that_one(how: dict[str, bool], base: Tensor | None) -> None:
    first = merged("nuslerp", [FIRST, SECOND], shared=how, base=base, weights=(2.0, 0.0))
    second = merged("nuslerp", [FIRST, SECOND], shared=how, base=base, weights=(0.0, 0.5))
    assert torch.allclose(first, FIRST, atol=1e-6) and torch.allclose(second, SECOND, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_models_equal_to_the_base_give_the_base(method: str) -> None:
    equal = [BASE.clone() for _ in range(count_of(method))]
    assert torch.allclose(merged(method, equal, {"density": 0.5, "epsilon": 0.1}), BASE, atol=1e-6)


@pytest.mark.parametrize("method", [name for name, each in METHODS.items() if each.fewest == 1 and name != "slerp"])
def test_one_model_at_density_1_is_that_model(method: str) -> None:
    assert torch.allclose(merged(method, [FIRST]), FIRST, atol=1e-6)


def test_equal_models_are_their_own_model_stock() -> None:
    assert torch.allclose(merged("model_stock", [FIRST, FIRST]), FIRST, atol=1e-6)
    opposite = BASE - (FIRST - BASE)
    assert torch.allclose(merged("model_stock", [FIRST, opposite]), BASE, atol=1e-6)  # its denominator is 0


@pytest.mark.parametrize("method", [name for name in ON_BASE if "lambda" in METHODS[name].parameters])
def test_lambda_0_is_the_base(method: str) -> None:
    assert torch.equal(merged(method, [FIRST, SECOND], {"density": 0.6}, {"lambda": 0.0}), BASE)


@pytest.mark.parametrize("method", SPARSE)
def test_density_1_drops_nothing(method: str) -> None:
    plain = {"normalize": False, "rescale": False}
    consensus = METHODS["ties"] if method.endswith("ties") or method == "della" else METHODS["task_arithmetic"]
    whole = merged(consensus.name, [FIRST, SECOND], shared=plain)
    assert torch.equal(merged(method, [FIRST, SECOND], {"density": 1.0}, plain), whole)
    assert not torch.equal(merged(method, [FIRST, SECOND], {"density": 0.5, "epsilon": 0.1}, plain), whole)


@pytest.mark.parametrize(("method", "density"), [("dare_linear", 0.2), ("dare_linear", 0.7), ("dare_ties", 0.7)])
def test_dare_keeps_each_element_as_often_as_density_says(method: str, density: float) -> None:
    # 1,000 draws of 60 elements: the mean is FIRST's own difference times density, within five standard errors.
    draws = torch.stack([dropped(method, {"density": density}, seed) for seed in range(1000)])
    kept = (draws != 0).float().mean(dim=0)[FIRST != BASE]
    assert float((kept - density).abs().max()) < 5 * math.sqrt(density * (1 - density) / 1000)
    assert abs(float(kept.mean()) - density) < 5 * math.sqrt(density * (1 - density) / 60000)
    spread = float((draws != 0).float().sum(dim=(1, 2)).var())
    assert 0.7 < spread / (density * (1 - density) * 60) < 1.4  # elements are drawn one by one, not all together


@pytest.mark.parametrize("method", ["della_linear", "della"])
def test_della_keeps_the_larger_elements_more_often(method: str) -> None:
    density, epsilon = 0.4, 0.3
    draws = torch.stack([dropped(method, {"density": density, "epsilon": epsilon}, seed) for seed in range(1000)])
    kept = (draws != 0).float().mean(dim=0)
    ranks = (FIRST - BASE).abs().argsort(dim=1).argsort(dim=1)
    expected = density - epsilon + 2 * epsilon * ranks / 9
    error = (expected * (1 - expected) / 1000).sqrt() * 5
    assert bool(((kept - expected).abs() < error).all())
    backwards = density - epsilon + 2 * epsilon * (9 - ranks) / 9  # MagPrune the wrong way round is found out
    assert not bool(((kept - backwards).abs() < error).all())


def dropped(method: str, own: Mapping[str, float], seed: int) -> Tensor:
    """What the method moves the base by, given one model."""
    return merged(method, [FIRST], own, {"rescale": False}, seed=seed) - BASE


def test_the_draws_of_a_tensor_do_not_depend_on_the_order_of_work() -> None:
    names = [("a", 0), ("a", 1), ("b", 0)]
    forwards = {name: draw_for(7, "document", *name)(5).tolist() for name in names}
    backwards = {name: draw_for(7, "document", *name)(5).tolist() for name in reversed(names)}
    assert forwards == backwards
    assert len({tuple(values) for values in forwards.values()}) == len(names)
    assert draw_for(8, "document", "a", 0)(5).tolist() != forwards["a", 0]
    draw = draw_for(7, "document", "a", 0)
    assert [*draw(2).tolist(), *draw(3).tolist()] == forwards["a", 0]  # in parts as at once


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
def test_ranks_are_those_of_a_sort_over_many_blocks(kind: torch.dtype) -> None:
    # 16-bit floats have few values: most elements at the edge are equal there, and the earlier one ranks lower.
    count = BLOCK * 2 + 77
    values = torch.randn(count, generator=torch.Generator().manual_seed(0)).to(kind)
    order = values.abs().float().argsort(stable=True)
    for low, high in ((0, count // 3), (count // 2, count), (count // 5, count // 5 * 4), (9, 9)):
        expected = torch.zeros_like(values)
        expected[order[low:high]] = values[order[low:high]]
        kept = values.clone()
        keep_ranks(kept, low, high)
        assert int((kept != expected).sum()) == 0


def test_at_least_one_element_stays_unless_none_is_asked_for() -> None:
    for density, count in ((0.001, 1), (0.0, 0), (0.35, 21)):
        delta = (FIRST - BASE).contiguous() + 0.001
        keep_largest(delta, density)
        assert int((delta != 0).sum()) == count


def test_a_row_of_one_element_stays_with_its_density() -> None:
    delta = torch.ones(10_000, 1)
    keep_by_rank_at_random(delta, 0.3, 0.2, draw_for(0, "d", "t", 0))
    assert abs(float(delta.mean()) - 0.3) < 0.025


def test_inner_products_are_those_of_exact_arithmetic_to_float32s_rounding() -> None:
    """Summed in float32 from end to end, the last one would be wrong in its fourth digit."""
    generator = torch.Generator().manual_seed(1)
    vectors = [torch.randn(BLOCK + 4097, generator=generator).add_(5) for _ in range(2)]
    for (i, j), found in gram(vectors).items():
        pairs = zip(vectors[i].double().tolist(), vectors[j].double().tolist(), strict=True)
        assert found == pytest.approx(math.fsum(x * y for x, y in pairs), rel=1e-7)
    assert gram([vectors[0], -vectors[0]])[0, 1] == -gram([vectors[0], vectors[1]])[0, 0]


def test_gradients_are_piecewise_linear_and_the_first_filter_that_matches_counts() -> None:
    assert [evaluate((0.0, 1.0, 0.0), "x", position) for position in (0, 0.25, 0.5, 1)] == [0, 0.5, 1, 0]
    assert evaluate((True, False), "x", 0.9) is True
    filters = (Filtered(filter="mlp", value=(0.0, 1.0)), Filtered(filter="m", value=0.2))
    assert evaluate(filters, "layers.0.mlp.up_proj", 0.5) == 0.5
    assert evaluate(filters, "norm", 0.5) == 0.2
    assert evaluate(filters, "q_proj", 0.5) is None
    levels = [Level({"t": filters}, 0.5), Level({"t": 0.9}, 0.5)]
    assert lookup("t", "q_proj", levels) == 0.9
