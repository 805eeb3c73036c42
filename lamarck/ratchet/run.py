"""A night, from its approval to its end: propose, run, compare, keep or let go. After any end the same goes on."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lamarck.errors import LamarckError
from lamarck.files import read_regular, write_changed, write_text
from lamarck.gate.approval import Approver
from lamarck.gate.approve import answer_once
from lamarck.gate.check import asked_of_ratchet
from lamarck.gate.night import RatchetPlan
from lamarck.gate.planned import plan_text
from lamarck.gate.ratchet import Permit, admitted
from lamarck.ratchet import night as nights
from lamarck.ratchet.agents.branch import Branch
from lamarck.ratchet.agents.command import Command, redacted
from lamarck.ratchet.agents.mutation import Mutation
from lamarck.ratchet.agents.patches import Patches
from lamarck.ratchet.agents.proposal import Agent, AgentContext, AgentFailed, NoMoreIdeas
from lamarck.ratchet.agents.server import Server
from lamarck.ratchet.check import checked, digest_of
from lamarck.ratchet.file import BranchAgent, CommandAgent, MutationAgent, PatchesAgent, Ratchet, agent_of
from lamarck.ratchet.laboratory import laboratory_of
from lamarck.ratchet.ledger import read_ledger
from lamarck.ratchet.night import DecidedLine, Mend, NextExperiment, Night, Propose, Proposed, Ran, Stop
from lamarck.ratchet.night_files import NightFiles, machine, mark
from lamarck.ratchet.plan import Subject, check_same, make_plan, read_subject, working_on
from lamarck.ratchet.rows import intervals_tsv, near_misses, plain, results_tsv
from lamarck.ratchet.session import Session
from lamarck.ratchet.verdict import estimate, interval

MOST_FAILURES = 10  # of an agent in a row: then something else is wrong

# Shows a plan, and returns the short digest that a human typed.
Ask = Callable[[RatchetPlan], str]


@dataclass(frozen=True)
class Until:
    """When a session ends, be the night over or not: after so many proposals, or at a moment (time.time())."""

    proposals: int | None = None
    moment: float | None = None


def run_night(
    ratchet: Ratchet,
    files: NightFiles,
    approver: Callable[[], Approver],
    ask: Ask,
    key: Path | None,
    until: Until,
    say: Callable[[str], None],
) -> str:
    """Go on until the night is over, or the session. Returns why it ended.

    Errors: LamarckError where nobody approved, the subject is not as it was approved, or the disk is full; Ctrl-C ends
    it as cleanly as anything else.
    """
    subject = read_subject(ratchet, files)
    with working_on(ratchet, subject):
        plan = make_plan(ratchet, files, subject)
        check_same(files, plan)
        branch = f"{ratchet.file.branch_prefix}/{files.tag}"
        subject.repository.check_not_checked_out(branch)
        if not files.plan.exists() and subject.repository.branch(branch):
            raise LamarckError(f"there is a branch {branch} already: give another --tag")
        asked = asked_of_ratchet(plan, ratchet.path)
        note = f"ratchet {plan.ratchet}"
        answer_once(asked, plan.approval, plan.approval, lambda: ask(plan), approver, note, key)
        session = _begin(ratchet, files, subject, admitted(plan, ratchet.path), say)
        _align_branch(session)
        mark(files, over=False)
        say(_begins_with(session))
        why, over = _go_on(session, until)
        if over:
            mark(files, over=True)
        return why


def _begin(
    ratchet: Ratchet, files: NightFiles, subject: Subject, permit: Permit, say: Callable[[str], None]
) -> Session:
    file = ratchet.file
    agent = agent_with(ratchet, subject)
    laboratory = laboratory_of(file, files, subject)
    write_text(files.file, ratchet.content.decode("utf-8"))
    write_text(files.plan, plan_text(permit.plan))
    night = Night(file.rigor, file.simplicity, file.sign, file.seed, file.mends)
    session = Session(ratchet, files, subject, permit, laboratory, agent, say, [], night)
    for line in read_ledger(files.ledger):
        session.take_up(line)
    session.log = read_regular(files.log).decode("utf-8", errors="replace") if files.log.exists() else ""
    return session


def agent_with(ratchet: Ratchet, subject: Subject) -> Agent:
    """Errors: LamarckError where it lacks what it needs."""
    settings = agent_of(ratchet.file)
    match settings:
        case PatchesAgent():
            return Patches(settings)
        case MutationAgent():
            return Mutation(settings)
        case CommandAgent():
            return Command(settings, subject.repository.root)
        case BranchAgent():
            return Branch(settings, subject.repository, subject.base)
        case _:
            return Server(settings)


def _begins_with(session: Session) -> str:
    """The first word of a session: a run can take long, and until it is over nothing else is said."""
    done = sum(isinstance(line, Ran) for line in session.lines)
    if done:
        return f"{session.files.tag} goes on; runs that are done: {done}"
    return f"first the unmodified files, {session.ratchet.file.rigor.baseline_runs} times: the baseline of this machine"


def _align_branch(session: Session) -> None:
    """A kill may have come after the ledger's line and before the branch moved."""
    if session.night.commit:
        there = session.subject.repository.branch(session.branch)
        if there != session.night.commit:
            session.subject.repository.advance(session.branch, session.night.commit, there)


def _go_on(session: Session, until: Until) -> tuple[str, bool]:
    """Returns why it ended, and whether the night is over."""
    started = session.night.number
    while True:
        _write_tables(session)
        action = session.night.next()
        match action:
            case Stop(why=why):
                return why, True
            case Propose(number=number) if number > session.ratchet.file.experiments:
                return f"all {session.ratchet.file.experiments} experiments of the night are done", True
            case Propose() | Mend() | NextExperiment() if until.moment is not None and time.time() >= until.moment:
                return "it is the time that it was to end", False
            case Propose(number=number):
                if until.proposals is not None and number > started + until.proposals:
                    return f"the {until.proposals} experiments asked for are done", False
                if session.failures >= MOST_FAILURES:
                    return f"the agent failed {session.failures} times in a row", False
                try:
                    session.add(_propose(session, number))
                except NoMoreIdeas as error:
                    return str(error), True
            case Mend(failure=failure):
                session.add(_mend(session, failure))
            case NextExperiment():
                if not session.permit.fits(session.ratchet.file.spending.limit):
                    ceiling = session.permit.plan.device_seconds
                    return f"the {ceiling:g} device-seconds approved for the night are spent", True
                session.add(_run(session, action))
            case DecidedLine():
                _close(session, action)


def _propose(session: Session, number: int) -> Proposed:
    """Errors: NoMoreIdeas."""
    try:
        proposal = session.agent.propose(_context(session, number))
    except NoMoreIdeas:
        raise
    except AgentFailed as error:
        session.failures += 1
        return Proposed(number=number, commit="", description=plain(redacted(str(error))), nodes=0, refused=str(error))
    session.failures = 0
    return checked(session, number, proposal, 0)


def _mend(session: Session, failure: str) -> Proposed:
    assert session.night.open  # that is what crashed
    before = session.night.open.proposed
    mends = before.mends + 1
    context = _context(session, before.number, failure, before.commit)
    try:
        proposal = session.agent.propose(context)
    except (AgentFailed, NoMoreIdeas) as error:
        return before.model_copy(update={"failure": f"{failure} (not mended: {error})", "mends": session.night.mends})
    if digest_of(proposal.files) == before.digest:
        return before.model_copy(update={"failure": failure, "mends": session.night.mends})
    return checked(session, before.number, proposal, mends)


def _context(session: Session, number: int, failure: str = "", failed: str = "") -> AgentContext:
    file, subject = session.ratchet.file, session.subject
    names = list(file.mutable_files)
    found = session.rows()
    missed = [session.files.diff(row.number) for row in near_misses(file, found)]
    return AgentContext(
        number=number,
        files=subject.repository.files(session.incumbent, names),
        fixed=subject.immutable,
        metric=file.metric,
        direction=file.metric_direction,
        program=subject.program,
        rules=file.rules,
        results=results_tsv(file, found),
        log=session.log,
        near_misses=tuple(path.read_text(encoding="utf-8") for path in missed if path.exists()),
        failure=failure,
        failed=subject.repository.files(failed, names) if failed else {},
    )


def _run(session: Session, action: NextExperiment) -> Ran:
    night, subject = session.night, session.subject
    proposal = night.open.proposed if night.open else None
    commit = proposal.commit if action.candidate and proposal else session.incumbent
    mutable = subject.repository.files(commit, list(session.ratchet.file.mutable_files))
    with session.permit.experiment():
        outcome = session.laboratory.experiment(mutable, action.seed, session.ratchet.file.spending, {})
    session.log = redacted(outcome.log)
    write_text(session.files.log, session.log)
    who = f"experiment {proposal.number}" if action.candidate and proposal else "the incumbent"
    shown = outcome.failure or f"{session.ratchet.file.metric} {outcome.metric:.6f}"
    session.say(f"{who}, {action.stage} {action.pair + 1}: {shown} ({outcome.seconds:.1f} s)")
    return Ran(
        proposal=proposal.number if proposal else nights.BASELINE,
        candidate=action.candidate,
        stage=action.stage,
        pair=action.pair,
        seed=action.seed,
        metric=outcome.metric,
        memory_gb=round(outcome.memory_gb, 3),
        seconds=round(outcome.seconds, 3),
        failure=outcome.failure,
        caught=tuple(map(plain, outcome.caught)),
    )


def _close(session: Session, closed: DecidedLine) -> None:
    """Write down what became of a proposal; where it is kept the branch moves, after the ledger."""
    assert session.night.open
    current = session.night.open
    before = session.incumbent
    if closed.status == "keep":
        files = session.subject.repository.files(current.proposed.commit, list(session.ratchet.file.mutable_files))
        message = _message(session, closed, current.proposed.description, current.differences)
        commit = session.subject.repository.commit(before, files, message)
        closed = closed.model_copy(update={"commit": commit})
    session.add(closed)
    if closed.status == "keep":
        there = session.subject.repository.branch(session.branch)
        session.subject.repository.advance(session.branch, closed.commit, there)
    session.say(f"experiment {closed.number}: {closed.status}: {current.proposed.description}: {closed.why}")


def _message(session: Session, closed: DecidedLine, description: str, differences: list[float]) -> str:
    """A kept commit says what was measured, and where: branches of two machines are compared by it."""
    file = session.ratchet.file
    low, high = interval(differences, file.rigor)
    bounds = " to ".join("?" if bound is None else f"{bound:+.6g}" for bound in (low, high))
    return (
        f"experiment: {description}\n\n"
        f"{closed.why}.\n\n"
        f"Ratchet: {file.name}\nNight: {session.files.tag}\nMachine: {machine()}\nMetric: {file.metric}\n"
        f"Trust: {file.trust}\nClaim: {closed.claim}\nPairs: {len(differences)}\n"
        f"Difference: {estimate(differences):+.6g} ({bounds}); more is better\n"
    )


def _write_tables(session: Session) -> None:
    found = session.rows()
    file = session.ratchet.file
    write_changed(session.files.results, results_tsv(file, found))
    write_changed(session.files.intervals, intervals_tsv(file, found))
