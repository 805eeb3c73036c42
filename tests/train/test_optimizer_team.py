"""Two processes that share a batch update as one does. Nothing heavy is imported: each process imports this file."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from lamarck.config import StageMachine
from lamarck.config.optimizer import OptimizerSettings
from lamarck.train.launch import run_on
from lamarck.train.optimizer import build_optimizer
from lamarck.train.team import Team, alone

STEPS, ROWS = 5, 8
SETTINGS: dict[str, dict[str, Any]] = {
    "adamw": {"kind": "adamw"},
    "apollo": {"kind": "apollo", "rank": 8, "renew_every": 3},
    "mini": {"kind": "apollo-mini", "renew_every": 3},
    "stochastic": {"kind": "apollo", "rank": 8, "renew_every": 3, "sixteen_bit": "stochastic"},
}


def trained(name: str, team: Team) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    dtype = torch.bfloat16 if name == "stochastic" else torch.float32
    model = torch.nn.Sequential(torch.nn.Linear(16, 48), torch.nn.Tanh(), torch.nn.Linear(48, 12)).to(dtype)
    named = list(model.named_parameters())
    groups = {"matrices": [each for each in named if "weight" in each[0]]}
    groups |= {"scalars": [each for each in named if "bias" in each[0]]}
    settings = TypeAdapter(OptimizerSettings).validate_python(SETTINGS[name])
    optimizer = build_optimizer(groups, settings, 1e-2, 0.98, 0.1, 7)
    for step in range(STEPS):
        inputs = torch.randn(ROWS, 16, generator=torch.Generator().manual_seed(step)).to(dtype)
        optimizer.zero_grad()
        (model(inputs[team.rank :: team.size]).square().sum() / ROWS).backward()
        team.sum_gradients(list(model.parameters()))
        optimizer.step()
    return {weight: parameter.detach() for weight, parameter in model.named_parameters()}


def write(root: Path, team: Team) -> None:
    for name in SETTINGS:
        torch.save(trained(name, team), root / f"{name}.{team.rank}")


def test_two_processes_train_what_one_does(tmp_path: Path) -> None:
    run_on(StageMachine(count=2), partial(write, tmp_path))
    for name in SETTINGS:
        first, second = (torch.load(tmp_path / f"{name}.{rank}", weights_only=True) for rank in range(2))
        one = trained(name, alone(torch.device("cpu")))
        for weight, value in one.items():
            assert torch.equal(first[weight], second[weight]), (name, weight)
            # Gradients in 16 bits, summed in another order, are off by a share of 1/256, and so is an update.
            tolerance = 2e-2 if name == "stochastic" else 1e-5
            assert (first[weight].float() - value.float()).abs().max() < tolerance, (name, weight)
