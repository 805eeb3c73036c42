"""Carries a curriculum out on a micro student; runs in the sandbox, as a script, beside order.json.

A small GRU is trained from scratch on the stages of the order, in their order, once for each seed, and then asked fixed
problems of the test length. Prints the medians of the accuracies, before and after. All is drawn from the seeds, on one
thread.
"""

import json
import statistics
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

HIDDEN = 48
TEST_PROBLEMS, TEST_SEED = 1000, 7
MOST_GRADIENT = 1.0


class Machine(NamedTuple):
    moves: Tensor  # (symbols, states): the next state
    start: int


def solve(problems: Tensor, machine: Machine) -> Tensor:
    """The state in which the machine ends, for each row of symbols."""
    state = torch.full((len(problems),), machine.start)
    for symbols in problems.T:
        state = machine.moves[symbols, state]
    return state


class Student(nn.Module):
    """Reads the symbols one by one and answers from its last state."""

    def __init__(self, symbols: int, answers: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(symbols, HIDDEN)
        self.cell = nn.GRU(HIDDEN, HIDDEN, batch_first=True)
        self.head = nn.Linear(HIDDEN, answers)

    def forward(self, problems: Tensor) -> Tensor:
        states, _ = self.cell(self.embed(problems))
        return self.head(states[:, -1])


def trained(order: dict, machine: Machine, test: Tensor, seed: int) -> tuple[float, float]:
    """Accuracy on the test problems, before and after the stages."""
    symbols, answers = machine.moves.shape
    torch.manual_seed(seed)
    student = Student(symbols, answers)
    before = accuracy(student, machine, test)
    for stage in order["stages"]:
        data = [torch.randint(0, symbols, (count, int(length))) for length, count in stage["counts"].items()]
        if order["hold_out"]:
            data = [_without(part, test) for part in data]
        _train(student, stage, data, machine)
    return before, accuracy(student, machine, test)


def accuracy(student: Student, machine: Machine, test: Tensor) -> float:
    with torch.no_grad():
        return (student(test).argmax(-1) == solve(test, machine)).float().mean().item()


def guess(machine: Machine, test: Tensor) -> float:
    """The accuracy of the best answer that looks at the last symbol alone."""
    seen = torch.zeros(machine.moves.shape)
    seen.index_put_((test[:, -1], solve(test, machine)), torch.ones(len(test)), accumulate=True)
    return (seen.max(1).values.sum() / len(test)).item()


def _without(problems: Tensor, test: Tensor) -> Tensor:
    """The problems that are not in the test."""
    if problems.shape[1] != test.shape[1]:
        return problems
    asked = {tuple(row) for row in test.tolist()}
    return problems[torch.tensor([tuple(row) not in asked for row in problems.tolist()])]


def _train(student: Student, stage: dict, data: list[Tensor], machine: Machine) -> None:
    """A batch holds problems of one length; the batches of all lengths are mixed anew in each epoch."""
    optimizer = torch.optim.Adam(student.parameters(), lr=stage["learning_rate"])
    for batch in _batches(data, stage["batch_size"], stage["epochs"]):
        loss = nn.functional.cross_entropy(student(batch), solve(batch, machine))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), MOST_GRADIENT)
        optimizer.step()


def _batches(data: list[Tensor], size: int, epochs: float) -> list[Tensor]:
    """As many batches as the epochs say, the last epoch cut short where they are no whole number."""
    chosen: list[Tensor] = []
    wanted = -(-sum(len(part) for part in data) * epochs // size)
    while len(chosen) < wanted:
        epoch = [part[rows] for part in data for rows in torch.randperm(len(part)).split(size)]
        chosen += [epoch[i] for i in torch.randperm(len(epoch)).tolist()]
    return chosen[: int(wanted)]


if __name__ == "__main__":
    torch.set_num_threads(1)
    order = json.loads((Path(__file__).parent / "order.json").read_text(encoding="utf-8"))
    machine = Machine(torch.tensor(order["moves"]), order["start"])
    draw = torch.Generator().manual_seed(TEST_SEED)
    test = torch.randint(0, len(machine.moves), (TEST_PROBLEMS, order["test_length"]), generator=draw)
    before, after = zip(*(trained(order, machine, test, seed) for seed in order["seeds"]), strict=True)
    result = {"untrained": statistics.median(before), "trained": statistics.median(after)}
    print(json.dumps(result | {"guess": guess(machine, test)}))
