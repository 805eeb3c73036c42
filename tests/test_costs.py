"""The costs of test files, measured on files whose costs are known."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
BUSY = """
import time
def work(seconds):
    while time.process_time() < seconds:
        pass
"""
# Its input ends when whoever started it does.
ENDS_WITH_US = "import sys; print(flush=True); sys.stdin.read()"
# Each needs its processor seconds in another place; the last one waits, which costs nothing.
FILES = {
    "own": "def test_it(): work(time.process_time() + 0.4)",
    "child": "import subprocess, sys\ndef test_it(): subprocess.run([sys.executable, '-c', CODE], check=True)",
    "running": (
        "import subprocess, sys\n"
        "def test_it():\n"
        f"    child = subprocess.Popen([sys.executable, '-c', CODE + {ENDS_WITH_US!r}], stdin=-1, stdout=-1)\n"
        "    child.stdout.readline()\n"
    ),
    "waits": "def test_it(): time.sleep(0.5)",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    code = BUSY + "work(0.4)\n"
    for name, text in FILES.items():
        (tmp_path / f"test_{name}.py").write_text(f"{BUSY}CODE = {code!r}\n{text}\n")
    return tmp_path


@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_costs_what_it_and_its_children_take(folder: Path, workers: int) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "tests.costs", "-n", str(workers), "--dist", "loadfile", folder]
    # What is asked of these tests, such as where their files lie, is not asked of those within.
    own = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    done = subprocess.run(command, cwd=REPOSITORY, env=own, capture_output=True, text=True)
    found = re.findall(r"([\d.]+) processor seconds +[\d.]+ s  \S*test_(\w+)\.py", done.stdout)
    costs = {name: float(seconds) for seconds, name in found}
    assert list(costs)[-1] == "waits", done.stdout
    assert all(costs[name] >= 0.4 for name in ("own", "child", "running")) and costs["waits"] < 0.3


def test_the_longest_file_begins(folder: Path) -> None:
    """In an order that is neither the alphabet's nor its reverse."""
    (folder / "costs.json").write_text(json.dumps({f"test_{name}.py": cost for name, cost in COSTS.items()}))
    plugin = (REPOSITORY / "tests/costs.py").read_text()
    (folder / "costs.py").write_text(plugin)
    command = [sys.executable, "-m", "pytest", "-p", "costs", "--collect-only", "-q", "."]
    done = subprocess.run(command, cwd=folder, env={"PYTHONPATH": "."}, capture_output=True, text=True)
    assert re.findall(r"^test_(\w+)\.py", done.stdout, re.MULTILINE) == ["running", "child", "own", "waits"], done


COSTS = {"running": 30, "child": 20, "own": 10}
