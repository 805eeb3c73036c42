"""What an agent handed in: an experiment, or refused, with why."""

from collections.abc import Mapping

from lamarck.files import digest_value, write_text
from lamarck.ratchet.agents.command import redacted
from lamarck.ratchet.agents.proposal import Proposal
from lamarck.ratchet.complexity import added, says_the_same
from lamarck.ratchet.night import Proposed
from lamarck.ratchet.plan import digests_of
from lamarck.ratchet.rows import plain
from lamarck.ratchet.session import Session

PASSAGE = 48  # bytes of evaluation data that no mutable file comes to hold by chance


def checked(session: Session, number: int, proposal: Proposal, mends: int) -> Proposed:
    """What an agent handed in, as the ledger has it: refused where it is no experiment."""
    subject, file = session.subject, session.ratchet.file
    before = subject.repository.files(session.incumbent, list(file.mutable_files))
    files = {name: proposal.files[name] for name in file.mutable_files}
    description = plain(redacted(proposal.description)) or "no description"
    caught = tuple(plain(each) for each in proposal.caught)
    digest = digest_of(files)
    refused = _refusal(session, before, files, digest, number)
    failure, more = "", 0
    try:
        more = added(before, files)
    except ValueError as error:
        failure = str(error)
    commit = ""
    if not refused:
        commit = subject.repository.commit(session.incumbent, files, f"experiment: {description}\n")
        diff = subject.repository.diff(session.incumbent, commit)
        write_text(session.files.diff(number), f"# {number}: {description}\n{diff}")
    return Proposed(
        number=number,
        commit=commit,
        description=description,
        nodes=more,
        digest=digest,
        refused=refused,
        failure=failure,
        caught=caught,
        mends=mends,
    )


def _refusal(
    session: Session, before: Mapping[str, bytes], files: Mapping[str, bytes], digest: str, number: int
) -> str:
    most = session.ratchet.file.mutable_kilobytes * 1000
    if large := next((name for name, content in files.items() if len(content) > most), None):
        return f"{large} is larger than the {most:,} bytes of mutable_kilobytes"
    if all(says_the_same(name, before[name], content) for name, content in files.items()):
        return "it changes nothing but layout and comments"
    if all(says_the_same(name, before[name], content, without_seeds=True) for name, content in files.items()):
        return "it changes a seed alone: that is luck"
    if session.known.get(digest, number) != number:
        return f"the same files were tried as experiment {session.known[digest]}"
    for name, content in session.subject.evaluation.items():
        if holds_passage(content, b"\n".join(files.values()), b"\n".join(session.subject.mutable.values())):
            return f"it holds a passage of {name}, which is evaluation data"
    return ""


def holds_passage(data: bytes, text: bytes, known: bytes) -> bool:
    """Whether `text` has a passage of `data` that `known` has not. Any passage of twice PASSAGE bytes is found."""
    windows = {data[start : start + PASSAGE] for start in range(0, len(data) - PASSAGE + 1, PASSAGE)}
    return any(
        text[start : start + PASSAGE] in windows and text[start : start + PASSAGE] not in known
        for start in range(len(text) - PASSAGE + 1)
    )


def digest_of(files: Mapping[str, bytes]) -> str:
    return digest_value(digests_of(files))
