"""Numbers of the next candidates by CMA-ES (Hansen and Ostermeier 2001; the package cma, BSD-3): a normal distribution
over the space that moves to, and stretches towards, what scored best. Choices are handed down from who leads.

Nothing is kept between rounds: all earlier rounds are asked and told again, from the ledgers' results, so that a search
goes on anywhere.
"""

import random
import warnings
from collections.abc import Sequence
from typing import Any

from lamarck.errors import LamarckError
from lamarck.search.space import Choice, Integer, Number, Space, Value, Values
from lamarck.seeds import seed_for

START = 0.3  # first standard deviation, as a share of every range: pycma's advice for a space 0..1


def numeric(space: Space) -> list[str]:
    return [name for name, key in space.items() if not isinstance(key, Choice)]


def sample(
    space: Space, seed: int, count: int, told: Sequence[Sequence[float | None]], leading: Values | None
) -> list[Values]:
    """`count` candidates for the round after those of `told`, which holds, round by round, what `count` candidates were
    worth, in points; None for one that could not be raised. `leading`: whose choices are handed down.

    Errors: LamarckError without the package."""
    _, asked = _told(space, seed, count, told)
    rng = random.Random(seed_for(seed, "search", "choices", str(len(told))))
    return [_values(space, point, leading, rng) for point in asked]


def centre(space: Space, seed: int, count: int, told: Sequence[Sequence[float | None]], leading: Values) -> Values:
    """Where all looks together point to: the distribution's mean, with the choices of who leads. One that only led its
    last round owes more to luck. Errors: as `sample`."""
    strategy, _ = _told(space, seed, count, told)
    shares = dict(zip(numeric(space), strategy.result.xfavorite, strict=True))
    return {name: _at(key, shares[name]) if name in shares else leading[name] for name, key in space.items()}


def _told(space: Space, seed: int, count: int, told: Sequence[Sequence[float | None]]) -> tuple[Any, Any]:
    """CMA-ES after all of these rounds, and what it asks for next: points of 0..1."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # matplotlib is missing: nothing is drawn
            import cma  # type: ignore[import-untyped]
        import numpy as np
    except ImportError as error:
        raise LamarckError("proposer: cma needs a package of its own: pip install -r envs/search.txt") from error
    draws = np.random.default_rng(seed_for(seed, "search", "cma"))
    strategy = cma.CMAEvolutionStrategy(
        [0.5] * len(numeric(space)),
        START,
        {
            "bounds": [0, 1],
            "popsize": count,
            "seed": np.nan,  # numpy's own global draws stay as they are
            "randn": lambda *shape: draws.standard_normal(shape),
            "verbose": -9,
        },
    )
    asked = strategy.ask(number=count)
    for worths in told:
        worst = min((worth for worth in worths if worth is not None), default=0.0) - 1
        strategy.tell(asked, [-(worst if worth is None else worth) for worth in worths])
        asked = strategy.ask(number=count)
    return strategy, asked


def _values(space: Space, point: Sequence[float], leading: Values | None, rng: random.Random) -> Values:
    shares = dict(zip(numeric(space), point, strict=True))
    values: dict[str, Value] = {}
    for name, key in space.items():
        if name in shares:
            values[name] = _at(key, shares[name])
        elif leading is None:
            values[name] = key.draw(rng)
        else:
            kept = leading[name]
            values[name] = key.mutate(kept, rng) if rng.random() < 1 / len(space) else kept
    return values


def _at(key: Number | Integer | Choice, share: float) -> Value:
    assert not isinstance(key, Choice)  # it has no share
    return key.value_at(min(max(float(share), 0.0), 1.0))
