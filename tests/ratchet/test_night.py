"""A night for real: kept on a branch, ended at any time, gone on with, and refused where its ground has moved."""

import _thread
import json
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from lamarck.commands import ratchet as commands
from lamarck.commands.ratchet import moment_of
from lamarck.errors import LamarckError
from lamarck.files import write_text
from lamarck.gate.approval import Approver
from lamarck.gate.night import read_ratchet_plan
from lamarck.gate.planned import plan_digest, plan_text
from lamarck.judging.sandbox import Sandbox
from lamarck.ratchet.agents.proposal import AgentContext, told
from lamarck.ratchet.branches import compare
from lamarck.ratchet.file import load_ratchet
from lamarck.ratchet.ledger import append, read_ledger
from lamarck.ratchet.night import DecidedLine, Proposed, Ran
from lamarck.ratchet.night_files import NightFiles, mark
from lamarck.ratchet.plan import make_plan, read_subject
from lamarck.ratchet.run import Until
from tests.ratchet.subjects import SCORED, edits, found, git, ratchet, results, run, subject

BETTER = ("guess higher", "GUESS = 1.0", "GUESS = 3.0")
WORSE = ("guess lower", "GUESS = 1.0", "GUESS = 0.5")
SIMPLER = ("no extra", "EXTRA = [1, 2, 3, 4, 5, 6, 7, 8, 9]\n", "")
NIGHT = NightFiles("toy", "night")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_better_is_kept_on_a_branch_with_its_evidence(project: Path, sandbox: Sandbox) -> None:
    made = subject(project, agent=edits(WORSE, BETTER, ("guess higher still", "GUESS = 3.0", "GUESS = 9.0")))
    said: list[str] = []
    assert run(made, said=said) == "the night's 1 confirmations are used, and its risk is spent"
    assert said[0] == "first the unmodified files, 2 times: the baseline of this machine"
    rows = found(made)
    assert [row.status for row in rows] == ["keep", "discard", "keep", "discard"][: len(rows)]
    assert git(project, "show", "autoresearch/night:train.py") == SCORED["train.py"].replace("= 1.0", "= 3.0").strip()
    message = git(project, "log", "-1", "--format=%B", "autoresearch/night")
    assert "experiment: guess higher" in message and "Pairs: 2" in message and "Difference: +2 (" in message
    # The checkout is as it was, on its branch; the tables are in no commit.
    assert git(project, "rev-parse", "--abbrev-ref", "HEAD") == "main"
    assert git(project, "status", "--porcelain") == ""
    assert (project / "train.py").read_text() == SCORED["train.py"]
    table = [line.split("\t") for line in results(made).splitlines()]
    assert table[0] == ["commit", "distance", "memory_gb", "status", "description"]
    assert [line[1] for line in table[1:]] == ["6.000000", "6.500000", "4.000000"]
    assert table[3][0] == git(project, "rev-parse", "autoresearch/night")[:7]
    plan = read_ratchet_plan(NIGHT.plan)
    assert set(plan.evaluator) == {"evaluate.py", "secret.json"} and set(plan.subject) == {"train.py"}


def test_equal_and_simpler_is_kept(project: Path, sandbox: Sandbox) -> None:
    files = SCORED | {"train.py": SCORED["train.py"].replace("[1, 2, 3]", "[1, 2, 3, 4, 5, 6, 7, 8, 9]")}
    simplicity = {"margin": 0.1, "allowance": 0.1}
    made = subject(project, files, agent=edits(SIMPLER), simplicity=simplicity)
    run(made)
    assert found(made)[-1].status == "keep"
    assert found(made)[-1].claim == "simpler"
    run(ratchet(project, agent=edits(SIMPLER)), tag="without")
    assert found(made, "without")[-1].status == "discard"


def test_a_night_goes_on_from_wherever_it_was_killed(project: Path, sandbox: Sandbox) -> None:
    made = subject(project, agent=edits(WORSE, BETTER), rigor={"baseline_runs": 2, "risk": 0.6, "confirmations": 2,
                                                               "pairs": 3})  # fmt: skip
    run(made)
    whole = NIGHT.ledger.read_bytes()
    lines = read_ledger(NIGHT.ledger)
    told = [line.model_dump(exclude={"seconds", "memory_gb"}) for line in lines]
    # After the ledger said that it is kept, and before the branch moved; and with half a line.
    git(project, "update-ref", "-d", "refs/heads/autoresearch/night")
    mark(NIGHT, over=False)
    run(made)
    assert git(project, "rev-parse", "autoresearch/night")
    kept = [number for number, line in enumerate(lines) if isinstance(line, DecidedLine) and line.status == "keep"]
    for end in (1, len(lines) // 2, kept[0]):
        NIGHT.ledger.write_bytes(b"\n".join(whole.split(b"\n")[:end]) + b'\n{"kind": "ru')
        git(project, "update-ref", "-d", "refs/heads/autoresearch/night")
        run(made)
        again = [line.model_dump(exclude={"seconds", "memory_gb"}) for line in read_ledger(NIGHT.ledger)]
        without = {"commit"}  # it has the time in it
        assert [{k: v for k, v in line.items() if k not in without} for line in again] == [
            {k: v for k, v in line.items() if k not in without} for line in told
        ]


def test_a_session_ends_after_so_many_experiments_or_at_a_time_and_the_next_goes_on(
    project: Path, sandbox: Sandbox
) -> None:
    made = subject(project, agent=edits(WORSE, BETTER))
    assert run(made, until=Until(moment=0.0)) == "it is the time that it was to end"
    assert run(made, until=Until(proposals=1)) == "the 1 experiments asked for are done"
    assert [row.number for row in found(made)] == [0, 1]
    said: list[str] = []
    run(made, said=said)
    assert said[0] == "night goes on; runs that are done: 3"
    assert [row.number for row in found(made)] == [0, 1, 2]
    assert moment_of("23:59") > moment_of("00:00") - 86_400
    with pytest.raises(LamarckError, match="give a time of the day"):
        moment_of("late")


def test_ctrl_c_ends_a_session_cleanly_and_the_next_goes_on(
    project: Path, sandbox: Sandbox, capsys: pytest.CaptureFixture
) -> None:
    """In the middle of an experiment: what is not finished is run again."""
    slow = SCORED["train.py"].replace("# here", "import time\ntime.sleep(0 if GUESS == 1 else 30)")
    made = subject(project, SCORED | {"train.py": slow}, agent=edits(BETTER))

    def interrupt() -> None:
        while not any(isinstance(line, Proposed) for line in read_ledger(NIGHT.ledger)):
            time.sleep(0.05)
        time.sleep(0.5)
        _thread.interrupt_main()

    thread = threading.Thread(target=interrupt)
    thread.start()
    digest = plan_digest(make_plan(made, NIGHT, read_subject(made, NIGHT)))
    commands.run(made.path, "night", lambda: Approver(name="Tester"), digest, None, Until(), False)
    thread.join()
    assert "night ended: you ended it" in capsys.readouterr().out
    assert isinstance(read_ledger(NIGHT.ledger)[-1], Proposed)
    assert run(made, until=Until(moment=0.0)) == "it is the time that it was to end"


def test_the_ceiling_is_of_all_runs_together(
    project: Path, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """An experiment may take two seconds and takes more than half of one, however fast the machine is: one fits."""
    slow = SCORED["train.py"].replace("# here", "import time\ntime.sleep(0.6)")
    made = subject(project, SCORED | {"train.py": slow}, agent=edits(WORSE, BETTER), device_seconds=2.5)
    assert run(made) == "the 2.5 device-seconds approved for the night are spent"
    assert run(made) == "the 2.5 device-seconds approved for the night are spent"
    assert [line.kind for line in read_ledger(NIGHT.ledger)] == ["run"]
    commands.status("toy", None, as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert (said["experiments"], said["kept"], said["device_seconds_at_most"]) == (0, [], 2.5)
    assert said["device_seconds"] > 0.5 and said["risk_spent"] == 0
    commands.status("toy", None, as_json=False)
    assert "toy, night night: 0 of 100 experiments, approved" in capsys.readouterr().out


def test_nothing_runs_and_no_agent_is_asked_without_a_human(project: Path) -> None:
    made = subject(project, agent={"kind": "command", "command": ["touch", str(project / "asked")]})
    with pytest.raises(LamarckError, match="is not the digest of"):
        commands.run(made.path, "night", lambda: Approver(name="Tester"), "wrong", None, Until(), False)
    assert not (project / "asked").exists() and not NIGHT.ledger.exists()


def test_a_night_that_began_under_one_plan_does_not_go_on_under_another(project: Path, sandbox: Sandbox) -> None:
    """Its risk is of one plan: a night is not made kinder while it runs."""
    made = subject(project, agent=edits(WORSE))
    run(made)
    for changes in ({"rigor": {"risk": 0.9, "confirmations": 1, "pairs": 2}}, {"eval_command": "echo distance: 0"}):
        with pytest.raises(LamarckError, match="is not what it began with"):
            run(ratchet(project, agent=edits(WORSE), **changes))
    Path("secret.json").write_text('{"answer": 1}')
    with pytest.raises(LamarckError, match="evaluator"):
        run(ratchet(project, agent=edits(WORSE)))


def test_a_baseline_of_another_machine_is_none_of_this_one(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = subject(project, agent=edits(BETTER))
    write_text(NIGHT.plan, plan_text(make_plan(made, NIGHT, read_subject(made, NIGHT))))
    monkeypatch.setattr("lamarck.ratchet.plan.machine", lambda: "elsewhere")
    with pytest.raises(LamarckError, match="the machine of the night night is not what it began with"):
        run(made)
    assert read_ledger(NIGHT.ledger) == []


def test_the_ground_of_a_night_is_a_commit(project: Path) -> None:
    made = subject(project, agent=edits(BETTER))
    (project / "train.py").write_text("changed\n")
    with pytest.raises(LamarckError, match=r"train.py has changes that are in no commit"):
        run(made)
    git(project, "checkout", "train.py")
    (project / "train.py").unlink()
    (project / "train.py").symlink_to("evaluate.py")
    git(project, "commit", "--quiet", "--all", "--message", "a link")
    with pytest.raises(LamarckError, match=r"train.py is a link"):
        run(made)
    with pytest.raises(LamarckError, match=r"nothing.py is not in the commit"):
        run(ratchet(project, agent=edits(BETTER), mutable_files=["nothing.py"]))


def test_a_detached_head_is_a_commit_too(project: Path, sandbox: Sandbox) -> None:
    made = subject(project, agent=edits(BETTER))
    git(project, "checkout", "--quiet", "--detach")
    run(made)
    assert found(made)[-1].status == "keep"


def test_without_git_or_with_the_branch_checked_out_one_sentence_says_what_to_do(
    project: Path, sandbox: Sandbox
) -> None:
    (project / "train.py").write_text("")
    with pytest.raises(LamarckError, match="in no git repository with a commit"):
        run(ratchet(project, agent=edits(BETTER)))
    (project / "train.py").unlink()
    made = subject(project, agent=edits(BETTER))
    git(project, "branch", "autoresearch/night")
    with pytest.raises(LamarckError, match="there is a branch autoresearch/night already"):
        run(made)
    git(project, "checkout", "--quiet", "autoresearch/night")
    with pytest.raises(LamarckError, match="is checked out"):
        run(made)


def test_a_full_disk_is_one_sentence_and_the_ledger_stays_whole(project: Path) -> None:
    line = Ran(proposal=0, candidate=False, stage="baseline", pair=0, seed=1, metric=1.0)
    path = Path("ledger.jsonl")
    append(path, line)
    size = path.stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, hard))
    try:
        with pytest.raises(LamarckError, match=r"cannot write ledger.jsonl: File too large"):
            append(path, line)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.stat().st_size == size
    append(path, line)
    assert read_ledger(path) == [line, line]
    path.write_text('{"kind": "run"}\n')
    with pytest.raises(LamarckError, match="line 1 is not a line of a ledger"):
        read_ledger(path)


@contextmanager
def answering(*texts: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An OpenAI-compatible server, with these answers in their order; the last one over and over."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            text = texts[min(len(asked), len(texts)) - 1]
            body = json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_server_rewrites_the_file_and_mends_a_slip(project: Path, sandbox: Sandbox) -> None:
    slip = SCORED["train.py"].replace("GUESS = 1.0", "GUESS = 2.0 * unknown")
    mended = SCORED["train.py"].replace("GUESS = 1.0", "GUESS = 2.0")
    answers = ("no code at all", f"Guess, 2\n```python\n{slip}```\n", f"Guess 2; really\n```\n{mended}```")
    with answering(*answers) as (url, asked):
        agent = {"kind": "server", "url": url, "model": "any"}
        made = subject(project, agent=agent, experiments=2, rules=["Be brief"])
        run(made)
    none, kept = found(made)[1:]
    assert none.status == "discard" and "0 blocks of code" in none.why
    assert kept.status == "keep" and kept.description == "Guess 2; really"
    assert git(project, "show", "autoresearch/night:train.py") == mended.strip()
    told = [each["messages"][0]["content"] for each in asked]
    assert "Be brief" in told[0] and "GUESS = 1.0" in told[0] and "combine two near-misses" in told[0]
    assert "0 blocks of code" in told[1]  # it sees what became of its experiments
    assert "NameError" in told[2] and "mend it" in told[2] and "unknown" in told[2]


def test_typed_mutation_of_a_yaml_file(project: Path, sandbox: Sandbox) -> None:
    files = {
        "settings.yaml": "guess: {value: 1}\nkept: text\nname: first\n",
        "train.py": "import json, yaml\n"
        "json.dump(yaml.safe_load(open('settings.yaml'))['guess']['value'], open('model.json', 'w'))\n",
        "evaluate.py": SCORED["evaluate.py"],
    }
    space = {"guess.value": {"kind": "integer", "low": 0, "high": 9}, "name": {"kind": "choice", "of": ["first", "b"]}}
    made = subject(
        project,
        files,
        mutable_files=["settings.yaml"],
        immutable_files=["train.py", "evaluate.py"],
        agent={"kind": "mutation", "space": space},
        experiments=4,
    )
    run(made)
    rows = found(made)
    assert any(row.status == "keep" for row in rows[1:])
    kept = yaml.safe_load(git(project, "show", "autoresearch/night:settings.yaml"))
    assert kept["kept"] == "text" and kept["guess"]["value"] > 1
    assert all("->" in row.description for row in rows[1:])


def test_branches_of_two_machines_are_compared_and_tried_on_each_other(project: Path, sandbox: Sandbox) -> None:
    other = ("more extra", "EXTRA = [1, 2, 3]", "EXTRA = [1, 2, 3, 4]\nGUESS = GUESS + 1")
    rigor = {"baseline_runs": 2, "risk": 0.6, "confirmations": 2, "pairs": 3}
    first = subject(project, agent=edits(BETTER, other), rigor=rigor)
    run(first, "one")
    run(ratchet(project, agent=edits(BETTER), rigor=rigor), "two")
    kept = [(each.description, each.where) for each in compare(Path(), "autoresearch/one", "autoresearch/two")]
    assert kept == [("guess higher", "both"), ("more extra", "autoresearch/one")]
    commands.compare("autoresearch/one", "autoresearch/two", as_json=True)
    tried = ratchet(project, agent={"kind": "branch", "branch": "autoresearch/one"}, rigor=rigor)
    run(tried, "three")
    assert [row.status for row in found(tried, "three")] == ["keep", "keep", "keep"]
    assert "more extra (from " in found(tried, "three")[2].description
    with pytest.raises(LamarckError, match="there is no branch elsewhere here"):
        compare(Path(), "autoresearch/one", "elsewhere")


def test_what_was_kept_is_tried_at_a_larger_size(
    project: Path, sandbox: Sandbox, capsys: pytest.CaptureFixture
) -> None:
    larger = SCORED["train.py"].replace("# here", 'GUESS = GUESS * float(os.environ.get("SIZE", "1"))')
    promotion = {"environment": {"SIZE": "2"}, "budget": {"kind": "processor_seconds", "amount": 2}, "pairs": 5}
    made = subject(project, SCORED | {"train.py": larger}, agent=edits(BETTER), promotion=promotion)
    run(made)
    commands.promote("toy", "night", as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert shown["pairs"] == 5 and shown["difference"] == 4.0 and shown["holds"] is True  # 2 -> 6, of 7
    lines = [line for line in read_ledger(NIGHT.promotion) if isinstance(line, Ran)]
    assert len(lines) == 10 and len({line.seed for line in lines}) == 5
    commands.promote("toy", "night", as_json=True)  # it is told by its ledger
    commands.report("toy", "night", as_json=False)
    assert "distance by experiment: 6.0000 at 0, 4.0000 at 1" in capsys.readouterr().out.replace("\n", " ")
    assert len(read_ledger(NIGHT.promotion)) == 10


def test_a_file_that_cannot_be_meant_is_refused(project: Path) -> None:
    made = subject(project, agent=edits(BETTER))
    for changes, words in (
        ({"hand_over": None}, "hand_over names what is scored"),
        ({"budget": None}, "budget_minutes, or a typed budget, is missing"),
        ({"budget": {"kind": "steps", "amount": 10}}, "needs most_seconds"),
        ({"immutable_files": ["train.py"]}, "train.py is named twice"),
        ({"mutable_files": ["../train.py"]}, "leads out"),
        ({"metric_directoin": "minimize"}, "did you mean 'metric_direction'"),
    ):
        with pytest.raises(LamarckError, match=words):
            ratchet(project, **changes)
    ratchet(project)
    assert load_ratchet(made.path) == ratchet(project)
    with pytest.raises(LamarckError, match="names no agent"):
        run(load_ratchet(made.path))


def test_a_subject_that_fails_unchanged_ends_the_night_with_its_own_words(project: Path, sandbox: Sandbox) -> None:
    asked = {"kind": "command", "command": ["touch", str(project / "asked")]}
    made = subject(project, SCORED | {"train.py": "import nothing_of_this_name\n"}, agent=asked)
    assert "No module named 'nothing_of_this_name'" in run(made)
    assert not (project / "asked").exists()
    (project / "secret.json").unlink()
    with pytest.raises(LamarckError, match=r"secret.json is missing"):
        run(made, "other")


def test_what_a_subject_says_of_itself_is_promoted_nowhere(project: Path) -> None:
    values = {"trust": None, "hand_over": None, "evaluation_files": None}
    made = subject(project, agent=edits(BETTER), **values)
    files = NightFiles("toy", "night")
    write_text(files.plan, plan_text(make_plan(made, files, read_subject(made, files))))
    with pytest.raises(LamarckError, match="is promoted nowhere"):
        commands.promote("toy", "night", as_json=True)
    with pytest.raises(LamarckError, match="is never adopted"):
        commands.adopt("toy", "night", None)


def test_an_agent_s_prompt_fits_one_word_of_a_command_line() -> None:
    long = "x" * 10**6
    said = told(AgentContext(1, {}, {}, "m", "minimize", long, (), long, long, (long, long, long)))
    assert len(said.encode()) < 2**17


def test_a_closed_line_out_of_turn_is_not_a_night(project: Path) -> None:
    append(NIGHT.ledger, Proposed(number=2, commit="", description="", nodes=0))
    made = subject(project, agent=edits(BETTER))
    with pytest.raises(LamarckError, match="proposal 2 comes out of turn"):
        commands.replayed(made, NIGHT)
