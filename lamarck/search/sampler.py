"""Numbers of the next candidates by CMA-ES (Hansen and Ostermeier 2001; the package cma, BSD-3): a normal distribution
over the space that moves to, and stretches towards, what scored best. Choices are handed down from who leads.

Nothing is kept between rounds: all earlier rounds are asked and told again, from the ledgers' results, so that a search
goes on anywhere.
"""

import random
import warnings
from collections.abc import Mapping, Sequence

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
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # matplotlib is missing: nothing is drawn
            import cma  # type: ignore[import-untyped]
        import numpy as np
    except ImportError as error:
        raise LamarckError("proposer: cma needs a package of its own: pip install -r envs/search.txt") from error
    names = numeric(space)
    draws = np.random.default_rng(seed_for(seed, "search", "cma"))
    strategy = cma.CMAEvolutionStrategy(
        [0.5] * len(names),
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
    for round_worths in told:
        finite = [worth for worth in round_worths if worth is not None]
        worst = min(finite, default=0.0) - 1
        strategy.tell(asked, [-(worst if worth is None else worth) for worth in round_worths])
        asked = strategy.ask(number=count)
    rng = random.Random(seed_for(seed, "search", "choices", str(len(told))))
    return [_values(space, dict(zip(names, point, strict=True)), leading, rng) for point in asked]


def _values(space: Space, shares: Mapping[str, float], leading: Values | None, rng: random.Random) -> Values:
    values: dict[str, Value] = {}
    for name, key in space.items():
        if isinstance(key, Number | Integer):
            values[name] = key.value_at(min(max(float(shares[name]), 0.0), 1.0))
        elif leading is None:
            values[name] = key.draw(rng)
        else:
            kept = leading[name]
            values[name] = key.mutate(kept, rng) if rng.random() < 1 / len(space) else kept
    return values
