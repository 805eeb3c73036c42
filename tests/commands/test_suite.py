"""`lamarck suite` and `lamarck eval`, as typed."""

import json
import subprocess
import sys
from pathlib import Path

SUITES = (
    *("small-exam-v1", "small-exam-v2", "small-v1", "small-v2", "tiny-exam-v1", "tiny-exam-v2"),
    *("tiny-v1", "tiny-v2", "tiny-v3", "v1r2", "v2"),
)
ROOT = Path(__file__).parents[2]
LAMARCK = Path(sys.executable).with_name("lamarck")


def lamarck(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([LAMARCK, *words], cwd=ROOT, capture_output=True, text=True)


def test_verify() -> None:
    done = lamarck("suite", "verify", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout).keys() == {f"config/suites/{name}" for name in SUITES}
    assert lamarck("suite", "verify", "tiny-v1").stdout.startswith("config/suites/tiny-v1: as it was frozen, digest ")


def test_a_suite_that_is_not_there_is_named() -> None:
    done = lamarck("suite", "verify", "tiny-v0")
    assert done.returncode == 1
    assert done.stderr == f"error: there is no suite 'tiny-v0'; config/suites has {', '.join(SUITES)}\n"


def test_a_dry_run_says_what_it_would_ask_and_cost() -> None:
    done = lamarck("eval", "--suite", "v2", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "gsm8k" in done.stdout
    assert "--tokens-per-second" in done.stdout
    half = json.loads(lamarck("eval", "--suite", "v2", "--dry-run", "--json", "--tokens-per-second", "500").stdout)
    whole = json.loads(lamarck("eval", "--suite", "v2", "--dry-run", "--json", "--tokens-per-second", "1000").stdout)
    assert half["at_most"]["hours"] == 2 * whole["at_most"]["hours"] > 0


def test_what_is_missing_is_asked_for() -> None:
    assert "--dry-run" in lamarck("eval", "--suite", "v2").stderr
    done = lamarck("eval", "--suite", "v2", "--model", "no-such-model", "--output", "out", "--student", "config")
    assert (done.returncode, done.stderr) == (1, "error: no-such-model does not exist\n")
