"""Which kinds may stand in for the one that was planned."""

from pathlib import Path

import pytest

from lamarck.budget.machine import load_catalogue
from lamarck.budget.rent import kinds_no_worse
from lamarck.config import HERE, load_config
from lamarck.errors import LamarckError


def test_only_kinds_on_which_hours_and_dollars_are_as_planned_or_less() -> None:
    catalogue = load_catalogue()
    h100, h200 = "NVIDIA H100 80GB HBM3", "NVIDIA H200"
    assert kinds_no_worse(catalogue, "H100 SXM") == (h100, h200, "NVIDIA B200", "NVIDIA B300 SXM6 AC")
    assert kinds_no_worse(catalogue, "B300") == ("NVIDIA B300 SXM6 AC",)
    assert "NVIDIA A100-SXM4-80GB" not in kinds_no_worse(catalogue, "H100 PCIe"), "it has the memory, and is slower"
    assert kinds_no_worse(catalogue, HERE) == ()
    with pytest.raises(LamarckError, match="has no GPU called 'H1000'"):
        kinds_no_worse(catalogue, "H1000")


def test_the_profile_lets_the_original_be_rented() -> None:
    """One command advances it: its dearest hour is below the profile's ceiling."""
    machines = load_config(Path("config/70b.yaml")).machines
    catalogue = load_catalogue()
    hours = [gpu.dollars * each.count for each in (machines.train, machines.eval) if (gpu := catalogue.gpu(each.gpu))]
    profile = Path("profiles/runpod/config.yaml").read_text()
    (most,) = [line.split()[1] for line in profile.splitlines() if line.startswith("runpod-max-dollars-per-hour:")]
    assert max(hours) < float(most)
