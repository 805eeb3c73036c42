"""A campaign that is killed, whatever it was writing, goes on to the same end, and asks nobody twice."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lamarck.campaign import run as running
from lamarck.campaign.members import Campaign, load_campaign
from lamarck.campaign.run import raise_campaign
from lamarck.files import read_json, write_json
from lamarck.gate.campaign import CampaignPlan
from lamarck.gate.planned import plan_digest
from lamarck.lineage.generation import TRAINING_RECORD, parse_generation
from tests.gate.project import ME
from tests.report.page.conftest import made  # noqa: F401  a lineage whose records are as real ones
from tests.search.test_rounds import project  # noqa: F401  a directory with the configuration

FILE = Path("small.yaml")
LEDGER = Path("results/campaigns/small/ledger.jsonl")
ARMS = [
    {"name": "first", "why": "", "scored": "g1"},
    {"name": "more", "why": "", "config": {"recipe": {"steps": 301}}, "scored": "g1"},
]


@pytest.fixture
def campaign(made: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Campaign]:  # noqa: F811
    """Reads a campaign of two members, whose stages only leave what they would have made."""
    values = {"description": "", "configfile": "config/default.yaml", "config": {"control": False}, "seeds": [1]}
    FILE.write_text(yaml.safe_dump(values | {"arms": ARMS}))
    training, scores = (read_json(made / "results/g1" / name) for name in (f"adapter/{TRAINING_RECORD}", "eval.json"))

    def make(
        campaign: Campaign,
        targets: Iterable[str],
        *arguments: object,
        after_step: Callable[[], None] = lambda: None,
        **options: object,
    ) -> bool:
        for target in map(Path, targets):
            child = parse_generation(target.parent.relative_to("results").as_posix())
            if target.name == "eval.json" and not target.exists():  # else a plan
                write_json(child.change / TRAINING_RECORD, training)
                write_json(target, scores | {"score": 50.0 + len(child.lineage)})
            after_step()
        return True

    monkeypatch.setattr(running, "_snakemake", make)
    monkeypatch.setattr(running, "is_whole_line", lambda *arguments: True)
    return lambda: load_campaign(FILE)


def go_on(campaign: Campaign) -> None:
    def ask(campaign: Campaign, plan: CampaignPlan) -> str:
        assert not campaign.steps[0].approval.exists(), "whoever has answered is asked again"
        return plan_digest(plan)

    raise_campaign(campaign, lambda: ME, ask, None, 1)


def killed(work: Callable[[], object], known: set[tuple[str, str]]) -> bool:
    """Do the work in a process that is killed at the first moment not yet `known`: right before, and right after, a
    file takes its place. The moment is added; False: it came to its end."""
    reader, writer = os.pipe()
    worker = os.fork()
    if not worker:
        replace = os.replace

        def end(moment: str, path: object) -> None:
            if (moment, str(path)) not in known:
                os.write(writer, json.dumps([moment, str(path)]).encode())
                os.kill(os.getpid(), signal.SIGKILL)

        def observed(source: Any, target: Any) -> None:
            end("before", target)
            replace(source, target)
            end("after", target)

        os.replace = observed  # type: ignore[assignment]
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writer)
    with open(reader) as pipe:
        said = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    if said:
        known.add(tuple(json.loads(said)))
        assert status == -signal.SIGKILL
        return True
    assert status == 0
    return False


def left() -> tuple[dict[str, str], list[dict[str, Any]]]:
    """All that a campaign left but the answer, which has a date, and its ledger, of which what is measured counts."""
    files = {
        str(path): path.read_text()
        for folder in ("results", "approvals")
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and path != LEDGER and path.suffix != ".ok"
    }
    rows = [json.loads(line) for line in LEDGER.read_text().splitlines()]
    return files, [{name: row[name] for name in ("arm", "seed", "member", "score", "scores")} for row in rows]


def test_killed_at_any_file_it_goes_on_to_the_same(campaign: Callable[[], Campaign]) -> None:
    go_on(campaign())
    whole = left()
    assert len(whole[1]) == 2
    for folder in ("results", "approvals"):
        shutil.rmtree(folder)
    moments: set[tuple[str, str]] = set()
    while killed(lambda: go_on(campaign()), moments):
        assert len(moments) < 100
    assert left() == whole
    assert {path for _, path in moments} >= {*whole[0], str(LEDGER), "approvals/campaigns/small.all.ok"}
