"""What the tests of a file ask for one by one, worked out side by side as cores come free: a few ahead of the test that
asks. What is further ahead may be another worker's."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

import pytest

Key = TypeVar("Key")
Result = TypeVar("Result")
CORES = os.cpu_count() or 1
# Enough that no core waits while the test that asks waits for a long one.
AHEAD = 4 * CORES


class Ahead(Generic[Key, Result]):
    """Key -> what `work` makes of it. `keys` are in the order in which the tests ask."""

    def __init__(self, keys: Sequence[Key], work: Callable[[Key], Result]) -> None:
        self._keys, self._work = list(keys), work
        self._begun: dict[Key, Future[Result]] = {}
        self._pool = ThreadPoolExecutor(CORES)

    def __getitem__(self, key: Key) -> Result:
        place = self._keys.index(key)
        for each in self._keys[place : place + AHEAD]:
            if each not in self._begun:
                self._begun[each] = self._pool.submit(self._work, each)
        return self._begun[key].result()

    def __enter__(self) -> "Ahead[Key, Result]":
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(cancel_futures=True)


def asked(request: pytest.FixtureRequest, *names: str) -> list[Any]:
    """The parameters of the run's tests that have these and no others, in the order in which they run."""
    calls = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    return [tuple(each[name] for name in names) for each in calls if each.keys() == set(names)]
