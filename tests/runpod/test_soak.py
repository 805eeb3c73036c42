"""A slice of `make soak`: each run has one trouble; which ones, and when, is drawn anew from the day."""

import random
from datetime import UTC, datetime
from pathlib import Path

from tests.runpod.fake import FakeRunPod
from tests.runpod.soak import soak

RUNS = 5


def test_a_few_runs_of_the_soak(runpod: FakeRunPod, tmp_path: Path) -> None:
    seed = random.Random(datetime.now(UTC).date().isoformat()).randrange(10**6)
    assert [each for each in soak(tmp_path, RUNS, seed) if each.failed] == []
