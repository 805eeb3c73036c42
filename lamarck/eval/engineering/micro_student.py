"""Carries a curriculum out on a micro student; runs in the sandbox, as a script, beside order.json.

A small GRU is trained from scratch on the stages of the order, in their order, once for each seed, and then asked fixed
problems of the test length. Prints the median of the accuracies. All is drawn from the seeds, on one thread.
"""

import json
import statistics
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

HIDDEN = 48
TEST_PROBLEMS, TEST_SEED = 1000, 7
MOST_GRADIENT = 1.0


def digit_sum(problems: Tensor) -> Tensor:
    """Digits 0 to 4: their sum modulo 5."""
    return problems.sum(1) % 5


def cups(problems: Tensor) -> Tensor:
    """A ball starts under cup 0; symbol 0 swaps cups 0 and 1, symbol 1 cups 1 and 2, symbol 2 cups 0 and 2."""
    return _run(problems, torch.tensor([[1, 0, 2], [0, 2, 1], [2, 1, 0]]), 0)


def register(problems: Tensor) -> Tensor:
    """A register modulo 5 starts at 1; symbol 0 adds 1, symbol 1 doubles, symbol 2 takes the negative."""
    values = torch.arange(5)
    return _run(problems, torch.stack(((values + 1) % 5, values * 2 % 5, -values % 5)), 1)


# Skill -> its function, how many symbols there are, how many answers.
SKILLS: dict[str, tuple[Callable[[Tensor], Tensor], int, int]] = {
    "digit_sum": (digit_sum, 5, 5),
    "cups": (cups, 3, 3),
    "register": (register, 3, 5),
}


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


def accuracy(order: dict, seed: int) -> float:
    solve, symbols, answers = SKILLS[order["skill"]]
    torch.manual_seed(seed)
    student = Student(symbols, answers)
    for stage in order["stages"]:
        _train(student, stage, lambda count, length: torch.randint(0, symbols, (count, length)), solve)
    draw = torch.Generator().manual_seed(TEST_SEED)
    problems = torch.randint(0, symbols, (TEST_PROBLEMS, order["test_length"]), generator=draw)
    with torch.no_grad():
        return (student(problems).argmax(-1) == solve(problems)).float().mean().item()


def _train(
    student: Student, stage: dict, draw: Callable[[int, int], Tensor], solve: Callable[[Tensor], Tensor]
) -> None:
    """A batch holds problems of one length; the batches of all lengths are mixed anew in each epoch."""
    optimizer = torch.optim.Adam(student.parameters(), lr=stage["learning_rate"])
    data = [draw(count, int(length)) for length, count in stage["counts"].items()]
    for batch in _batches(data, stage["batch_size"], stage["epochs"]):
        loss = nn.functional.cross_entropy(student(batch), solve(batch))
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


def _run(problems: Tensor, table: Tensor, start: int) -> Tensor:
    """Follow table[symbol, state] from `start` through each row."""
    state = torch.full((len(problems),), start)
    for symbols in problems.T:
        state = table[symbols, state]
    return state


if __name__ == "__main__":
    torch.set_num_threads(1)
    order = json.loads((Path(__file__).parent / "order.json").read_text(encoding="utf-8"))
    print(statistics.median(accuracy(order, seed) for seed in order["seeds"]))
