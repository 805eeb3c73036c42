"""The cheapest GPU that fits, within the ceiling."""

import pytest
from snakemake_executor_plugin_runpod.api import client_from_environment
from snakemake_executor_plugin_runpod.choose import Ceiling, Need, candidates
from snakemake_executor_plugin_runpod.errors import RunPodError
from snakemake_executor_plugin_runpod.settings import ExecutorSettings, dollars, need

from tests.runpod.fake import FakeRunPod


def choice(runpod: FakeRunPod, need: Need, limit: Ceiling) -> list[tuple[str, float, bool]]:
    gpus = client_from_environment().gpus(need.count, need.cloud)
    return [(each.id.split()[1], each.price, each.free) for each in candidates(gpus, need, limit)]


def test_the_cheapest_comes_first(runpod: FakeRunPod) -> None:
    runpod.free.remove("NVIDIA A100 80GB PCIe")
    assert choice(runpod, Need(24, 1, "SECURE", ()), Ceiling(20, None)) == [
        ("GeForce", 0.69, True),
        ("A100", 1.64, False),
        ("H100", 2.69, True),
        ("B200", 5.99, True),
    ], "AMD's is the cheapest of them, and runs nothing of NVIDIA's"
    assert choice(runpod, Need(80, 2, "SECURE", ()), Ceiling(20, 4)) == [("A100", 3.28, False)]
    assert choice(runpod, Need(80, 1, "SECURE", ("NVIDIA H100 80GB HBM3",)), Ceiling(20, None)) == [
        ("H100", 2.69, True)
    ]
    # A price of nothing means that the kind is not for sale there.
    assert choice(runpod, Need(80, 1, "COMMUNITY", ()), Ceiling(20, None)) == [("A100", 1.19, False)]


@pytest.mark.parametrize(
    ("need", "limit", "sentence"),
    [
        (Need(24, 1, "SECURE", ()), Ceiling(0.5, None), r"ceiling of \$0.50 is below one hour of the cheapest pod"),
        (Need(24, 1, "SECURE", ()), Ceiling(9, 0.5), r"ceiling of \$0.50 is below one hour"),
        (Need(80, 8, "SECURE", ()), Ceiling(9, None), r"\(8 x NVIDIA A100 80GB PCIe, \$13.12\)"),
        (Need(500, 1, "SECURE", ()), Ceiling(9, None), "no GPU has 500 GB"),
        (Need(24, 99, "SECURE", ()), Ceiling(9, None), "with 99 to a pod"),
        (Need(24, 1, "SECURE", ("NVIDIA X",)), Ceiling(9, None), "no GPU among NVIDIA X"),
    ],
)
def test_what_cannot_be_rented(runpod: FakeRunPod, need: Need, limit: Ceiling, sentence: str) -> None:
    with pytest.raises(RunPodError, match=sentence):
        choice(runpod, need, limit)


@pytest.mark.parametrize("most", [None, 0.0, -1.0, float("nan"), float("inf")])
def test_no_ceiling_no_pod(most: float | None) -> None:
    with pytest.raises(RunPodError, match=r"without a ceiling|not a positive number"):
        dollars(ExecutorSettings(max_dollars=most))


def test_a_driver_that_is_too_old_is_not_free(runpod: FakeRunPod) -> None:
    client = client_from_environment()
    runpod.cuda = "12.8"
    assert any(gpu.availability == "HIGH" for gpu in client.gpus(1, "SECURE", "12.8"))
    assert not any(gpu.availability == "HIGH" for gpu in client.gpus(1, "SECURE", "13.0"))


def test_a_job_that_was_planned_for_a_kind_gets_that_or_none() -> None:
    planned = "NVIDIA H200, NVIDIA B200"
    wide = ExecutorSettings(gpu_memory=80, gpu_count=1)
    assert need(wide, planned, 4) == Need(0, 4, "SECURE", ("NVIDIA H200", "NVIDIA B200"))
    narrow = ExecutorSettings(gpus="NVIDIA A100 80GB PCIe, NVIDIA B200")
    assert need(narrow, planned, 1).ids == ("NVIDIA B200",)
    with pytest.raises(RunPodError, match="planned for NVIDIA H200 or better, and --runpod-gpus allows NVIDIA A100"):
        need(ExecutorSettings(gpus="NVIDIA A100 80GB PCIe"), planned, 1)
