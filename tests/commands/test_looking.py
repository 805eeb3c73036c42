"""Looking at a lineage changes nothing; and of what may not be read, or not be written, there is one sentence."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from lamarck.cli import app
from lamarck.config import load_config
from lamarck.lineage.freshness import survey
from tests.report.page.conftest import lineage, made  # noqa: F401  two generations with control arms
from tests.report.page.synthetic import SUITE

ROOT = Path(__file__).parents[2]
CONFIG = Path("config/default.yaml")
LOOKS = (
    ("status",),
    ("status", "--json"),
    ("verify",),
    ("verify", "--json"),
    ("compare", "g2", "g0"),
    ("report", "--md"),
    ("report", "--json"),
)


def look(*words: str) -> None:
    app(list(words), standalone_mode=False)


def times() -> dict[str, tuple[int, int]]:
    """Path -> modification and change time, of all but what Snakemake keeps for itself."""
    found = (path for path in Path().rglob("*") if ".snakemake" not in path.parts)
    return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_ctime_ns) for path in found}


def test_no_file_and_no_time_changes(lineage: Path) -> None:  # noqa: F811
    before = times()
    for words in LOOKS:
        look(*words)
        assert times() == before, words
    look("report", "--out", "results/page.html")  # this one is asked for
    after = times()
    assert {path for path in after if after[path] != before.get(path)} == {"results", "results/page.html"}
    # What Snakemake could be told by: a time that is set is seen here.
    os.utime("results/g1/eval.json", (1, 1))
    assert times() != after


def test_file_times_decide_nothing(lineage: Path) -> None:  # noqa: F811
    """Of no file; the wrong one is a clock: every other file is of tomorrow, inputs and outputs alike."""
    config = load_config(CONFIG)
    before = [(each.name, each.state) for each in survey(config)]
    files = sorted(path for path in Path().rglob("*") if path.is_file())
    for number, path in enumerate(files):
        moment = time.time() + (86400 if number % 2 else -86400)
        os.utime(path, (moment, moment))
    assert [(each.name, each.state) for each in survey(load_config(CONFIG))] == before
    assert {state for _, state in before} >= {"whole", "outdated"}


# Whoever runs this may be root, whom no file's mode stops: the commands, as somebody whom it does.
AS_ANYBODY = """
import ctypes, os, sys
for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP: gone with the next program
os.execv(sys.executable, [sys.executable, "-c", *sys.argv[1:]])
"""
LOOK = """
import contextlib, io, json, os, sys
from lamarck.cli import main

closed, looks = json.loads(sys.argv[1])
found = {}
for name in closed:
    mode = os.stat(name).st_mode
    os.chmod(name, mode & 0o7500 if name == "." else 0)  # the whole checkout is closed to writing, else to reading
    if os.access(name, os.W_OK):
        sys.exit("no mode stops anybody here")
    found[name] = {}
    for words in looks:
        sys.argv = ["lamarck", *words]
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
            try:
                main()
            except SystemExit as end:
                found[name][" ".join(words)] = (end.code, out.getvalue())
            except BaseException as error:
                found[name][" ".join(words)] = (None, repr(error))
    os.chmod(name, mode)
print(json.dumps(found))
"""


def look_where_closed(closed: Sequence[str], looks: Sequence[str]) -> dict[str, dict[str, tuple[int | None, str]]]:
    """File or folder -> command -> exit code (None: a traceback) and output, while that is closed to whoever asks."""
    done = subprocess.run(
        [sys.executable, "-c", AS_ANYBODY, LOOK, json.dumps([closed, [words.split() for words in looks]])],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    if "no mode stops" in done.stderr:
        pytest.skip("whoever runs this is stopped by no file's mode, and may not change that")
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, tuple[int | None, str]]] = json.loads(done.stdout)
    return found


def test_what_is_closed_is_one_sentence(lineage: Path) -> None:  # noqa: F811
    """Files and folders that are a colleague's alone: nothing ends in a traceback, and `verify` names each.

    The wrong implementation: one that lists a folder with `Path.rglob`, which passes over what it may not read, so the
    suite would count as another one.
    """
    closed = [
        *(f"{SUITE}/items", "results/g0/weights/source.json", "results/g1/curriculum.jsonl"),
        *("results/g1/plan.json", "results/g1/adapter", "results/g2/samples.jsonl"),
    ]
    found = look_where_closed(closed, ["status", "verify"])
    for name in closed:
        code, said = found[name]["status"]
        assert code == 0 or (code == 1 and said.startswith(f"error: {name}") and "is closed to you" in said), said
        code, said = found[name]["verify"]
        assert code == 1 and said.count("\n") == 1 and f": {name}" in said and "cannot be read" in said, said
    (code, said), *_ = look_where_closed(["results/g2"], ["report --md"])["results/g2"].values()
    assert code == 1 and said.startswith("error: results/g2/") and "is closed to you" in said
    (code, said), *_ = look_where_closed(["approvals/g1.ok"], ["status"])["approvals/g1.ok"].values()
    assert code == 0 and "refused: approvals/g1.ok cannot be read" in " ".join(said.split())


def test_a_checkout_that_may_only_be_read(lineage: Path) -> None:  # noqa: F811
    """Whoever looks is not stopped; whoever would write, as Snakemake always does, is told so."""
    for name in ("Snakefile", "rules", "profiles", "envs"):
        Path(name).symlink_to(ROOT / name)
    Path("results").chmod(0o555)
    found = look_where_closed(["."], ["status", "verify", "report --md", "report"])["."]
    assert [code for code, _ in found.values()] == [0, 0, 0, 1]
    assert found["report"][1] == "error: cannot write results/report.html: Permission denied; nothing was changed\n"
    Path().chmod(0o555)
    snakemake = [sys.executable, "-c", AS_ANYBODY, "from snakemake.cli import main; main()", "--dry-run"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(snakemake, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    Path().chmod(0o755)
    assert done.returncode == 1 and "Traceback" not in done.stdout
    assert "cannot be written, and Snakemake always writes there: run in a checkout of your own" in done.stdout
