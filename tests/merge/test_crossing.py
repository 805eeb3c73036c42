"""Two adapters of one founder become one, as a crossing's settings say."""

from pathlib import Path

import pytest
import torch

from lamarck.config.crossing import AVERAGE, Crossing
from lamarck.errors import LamarckError
from lamarck.merge.adapters import merge_products
from lamarck.merge.crossing import check_crossing, cross
from tests.merge.test_adapters import added, make_adapter


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Of ranks 3 and 2."""
    return make_adapter(tmp_path / "one", 1, 3), make_adapter(tmp_path / "two", 2, 2)


def test_the_default_is_the_exact_sum_and_the_control_the_average(two: tuple[Path, Path], tmp_path: Path) -> None:
    counted: list[int] = []
    found = cross(two, tmp_path / "sum", Crossing(), 0, counted.append)
    assert (found.rank, found.residual, sum(counted)) == (5, None, 8)
    assert cross(two, tmp_path / "average", AVERAGE, 0).residual is None
    first, second, whole, average = (added(each) for each in (*two, tmp_path / "sum", tmp_path / "average"))
    for module in whole:
        assert torch.allclose(whole[module], first[module] + second[module], atol=1e-5)
        assert torch.allclose(average[module], whole[module] / 2, atol=1e-5)


def test_task_arithmetic_of_full_rank_is_the_sum_and_a_lower_one_says_what_it_lost(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    counted: list[int] = []
    full = cross(two, tmp_path / "full", Crossing(method="task_arithmetic"), 0, counted.append)
    assert full.rank == 5 and full.residual and full.residual.total < 1e-6 and sum(counted) == 8
    cut = cross(two, tmp_path / "cut", Crossing(method="task_arithmetic", rank=2), 0)
    assert cut.rank == 2 and cut.residual and 0.05 < cut.residual.total < 1
    first, second, low = (added(each) for each in (*two, tmp_path / "cut"))
    lost = sum(float((first[m] + second[m] - low[m]).square().sum()) for m in low)
    whole = sum(float((first[m] + second[m]).square().sum()) for m in low)
    assert (lost / whole) ** 0.5 == pytest.approx(cut.residual.total, rel=1e-4)


def test_parameters_reach_the_method(two: tuple[Path, Path], tmp_path: Path) -> None:
    """Those of each model and those of all; random methods hang on the seed alone."""
    sparse = Crossing(method="ties", rank=8, parameters={"density": 0.3, "normalize": False, "lambda": 0.5})
    cross(two, tmp_path / "sparse", sparse, 0)
    cross(two, tmp_path / "dense", Crossing(method="ties", rank=8), 0)
    sparse_norm, dense_norm = (
        sum(float(each.norm()) for each in added(tmp_path / name).values()) for name in ("sparse", "dense")
    )
    assert sparse_norm < 0.8 * dense_norm
    della = Crossing(method="della", parameters={"density": 0.5, "epsilon": 0.1})
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        cross(two, tmp_path / name, della, seed)
    once, again, other = ((tmp_path / name / "adapter_model.safetensors").read_bytes() for name in "abc")
    assert once == again != other


def test_whoever_is_told_of_a_module_may_end_it(two: tuple[Path, Path], tmp_path: Path) -> None:
    def stop(modules: int) -> None:
        raise LamarckError("spent")

    for crossing in (Crossing(), Crossing(method="ties")):
        with pytest.raises(LamarckError, match="spent"):
            cross(two, tmp_path / "child", crossing, 0, stop)
        assert not (tmp_path / "child").exists()


def test_methods_that_need_more_than_differences_cannot_cross(two: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(LamarckError, match="there is no crossing by 'slerp'"):
        check_crossing(Crossing(method="slerp"))
    with pytest.raises(LamarckError, match="slerp takes 1 model beside the base, not 2"):
        merge_products(two, tmp_path / "child", "slerp", 2, [{}, {}], {"t": 0.5})
    with pytest.raises(LamarckError, match="take `weight` out of parameters"):
        check_crossing(Crossing(method="ties", parameters={"weight": 1.0}))
    with pytest.raises(LamarckError, match="takes no 'density'"):
        check_crossing(Crossing(parameters={"density": 1.0}))
    check_crossing(Crossing(method="model_stock"))
