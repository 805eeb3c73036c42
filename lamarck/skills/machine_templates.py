"""Problems of curriculum_design from templates: machines in words, and a curriculum that teaches them. Light."""

import random
from collections.abc import Callable
from typing import Any, NamedTuple

from lamarck.judging.trial import Machine

Act = tuple[str, list[int]]  # what a symbol does, in words and as the next state of each state


class SampledMachine(NamedTuple):
    task: str
    machine: Machine
    goal: int
    approach: str
    stages: list[dict[str, Any]]
    expected: float


def _cups(rng: random.Random, states: int) -> tuple[str, list[Act]]:
    acts: list[Act] = []
    for first in range(states):
        for second in range(first + 1, states):
            moved = {first: second, second: first}
            acts.append((f"swaps cups {first} and {second}", [moved.get(cup, cup) for cup in range(states)]))
    acts.append(("moves every cup one place up, and the last to the front", [(c + 1) % states for c in range(states)]))
    acts.append(("turns the whole row around", [states - 1 - cup for cup in range(states)]))
    thing = rng.choice(["coin", "ball", "pea", "key", "ring"])
    return f"A {thing} lies under cup {{start}} of cups 0 to {states - 1}, and the answer is its cup in the end.", acts


def _dial(rng: random.Random, states: int) -> tuple[str, list[Act]]:
    acts: list[Act] = [(f"adds {by}", [(n + by) % states for n in range(states)]) for by in range(1, states)]
    acts.append(("takes the negative", [-n % states for n in range(states)]))
    # Other factors would send two numbers to one.
    factors = [by for by in range(2, states - 1) if states in (3, 5)]
    acts += [(f"multiplies by {by}", [n * by % states for n in range(states)]) for by in factors]
    thing = rng.choice(["dial", "counter", "register", "wheel"])
    return f"A {thing} modulo {states} shows {{start}}, and the answer is the number it shows in the end.", acts


def _rooms(rng: random.Random, states: int) -> tuple[str, list[Act]]:
    acts: list[Act] = [
        ("sends it one room on", [(room + 1) % states for room in range(states)]),
        ("sends it one room back", [(room - 1) % states for room in range(states)]),
        ("sends it two rooms on", [(room + 2) % states for room in range(states)]),
    ]
    for first in range(states - 1):
        moved = {first: first + 1, first + 1: first}
        door = [moved.get(room, room) for room in range(states)]
        acts.append((f"lets it change between rooms {first} and {first + 1}, and stay if it is in neither", door))
    thing = rng.choice(["robot", "cat", "guard", "mouse"])
    return (
        f"A {thing} is in room {{start}} of rooms 0 to {states - 1} in a ring; the answer is its room in the end.",
        acts,
    )


WORLDS: tuple[Callable[[random.Random, int], tuple[str, list[Act]]], ...] = (_cups, _dial, _rooms)
# Ladders of lengths below the goal, each with the shares of the steps. Of eight that were tried, those with which each
# of 16 students learned to follow its machine for 12 to 15 symbols; in batches of 64 two did not.
LADDERS = (
    ((2, 3, 5, 8), (0.2, 0.2, 0.2, 0.2, 0.2)),
    ((1, 2, 3, 4, 6, 9), (0.05, 0.15, 0.2, 0.2, 0.15, 0.15, 0.1)),
)
REPLAY = 0.2
BATCH, EPOCHS = 128, 2
APPROACHES = (
    "Rows of {goal} alone leave a student of this size guessing, so it begins with rows of {first} and climbs in {n} "
    "stages; a fifth of each repeats the stage before.",
    "The student first learns what each symbol does, on rows of {first}, then carries that through longer rows up to "
    "{goal}, and keeps a part of the shorter ones so as not to forget them.",
    "Every row is a chain of small steps: {n} stages lengthen it from {first} to {goal} symbols at a constant learning "
    "rate of {rate}, and from the second on each mixes in shorter rows.",
    "Short before long: what is learned on rows of {first} is what rows of {goal} need again and again, and there are "
    "too few steps to find it out on long rows.",
)


def sample(rng: random.Random, goal: int, steps: int) -> SampledMachine:
    """A machine, and a curriculum within `steps` that makes a student follow it for `goal` symbols."""
    while True:
        states = rng.randint(3, 5)
        story, acts = rng.choice(WORLDS)(rng, states)
        chosen = rng.sample(acts, rng.randint(3, min(4, len(acts))))
        start = rng.randrange(states)
        moves = [move for _, move in chosen]
        if len({tuple(move) for move in moves}) == len(moves) and _reaches_all(moves, start):
            break
    said = "; ".join(f"symbol {number} {words}" for number, (words, _) in enumerate(chosen))
    stages = _stages(goal, steps, rng.choice(LADDERS), rng.choice((0.004, 0.005, 0.006)))
    first, rate = next(iter(stages[0]["counts"])), stages[0]["learning_rate"]
    approach = rng.choice(APPROACHES).format(goal=goal, first=first, n=len(stages), rate=rate)
    task = f"{story.format(start=start)} {said[0].upper()}{said[1:]}."
    return SampledMachine(task, Machine(moves, start), goal, approach, stages, rng.choice((0.7, 0.75, 0.8, 0.85, 0.9)))


def _stages(
    goal: int, steps: int, climb: tuple[tuple[int, ...], tuple[float, ...]], rate: float
) -> list[dict[str, Any]]:
    ladder, shares = climb
    lengths = [*(length for length in ladder if length < goal), goal]
    stages: list[dict[str, Any]] = []
    for place, length in enumerate(lengths):
        rows = int(steps * shares[place] * BATCH / EPOCHS)
        again = int(rows * REPLAY) if place else 0
        counts = {str(length): rows - again} | ({str(lengths[place - 1]): again} if again else {})
        name = f"rows of {length}" + (f", some of {lengths[place - 1]}" if again else "")
        stages.append({"name": name, "counts": counts, "epochs": EPOCHS, "learning_rate": rate, "batch_size": BATCH})
    return stages


def _reaches_all(moves: list[list[int]], start: int) -> bool:
    reached = {start}
    for _ in moves[0]:
        reached |= {move[state] for move in moves for state in reached}
    return len(reached) == len(moves[0])
