"""What a night works on, and the plan of it that a human is asked about."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lamarck.campaign.ledger import processor
from lamarck.errors import LamarckError
from lamarck.files import digest_bytes, digest_value, read_regular
from lamarck.gate.night import RatchetPlan, read_ratchet_plan
from lamarck.gate.planned import differing_fields
from lamarck.gate.search import SearchPlan
from lamarck.lineage.digest import suite_digest
from lamarck.ratchet.file import Ratchet, RatchetFile, agent_of
from lamarck.ratchet.night_files import NightFiles, machine
from lamarck.ratchet.subject import Repository, repository_of

PROGRAM = "program.md"


@dataclass(frozen=True)
class Subject:
    """What a night works on, read once. `base`: the commit it starts from."""

    repository: Repository
    base: str
    mutable: Mapping[str, bytes]
    immutable: Mapping[str, bytes]
    data: Mapping[str, bytes]
    evaluation: Mapping[str, bytes]
    program: str

    @property
    def fixed(self) -> dict[str, bytes]:
        """What a run sees beside the candidate's files."""
        return {**self.immutable, **self.data}


def read_subject(ratchet: Ratchet, files: NightFiles) -> Subject:
    """Errors: LamarckError where git, a commit or a file is missing, is a link, or has changes that no commit has."""
    file = ratchet.file
    repository = repository_of(ratchet.directory)
    known = files.plan.exists()
    base = read_ratchet_plan(files.plan).base if known else repository.line("rev-parse", "HEAD")
    programs = [file.program] if file.program else []
    if not known:
        repository.check_unchanged([*file.mutable_files, *file.immutable_files, *programs])
    if not programs and repository.has(base, PROGRAM):
        programs = [PROGRAM]
    named = repository.files(base, [*file.mutable_files, *file.immutable_files, *programs])
    return Subject(
        repository,
        base,
        {name: named[name] for name in file.mutable_files},
        {name: named[name] for name in file.immutable_files},
        _data(ratchet, file.data_files),
        _data(ratchet, file.evaluation_files),
        "\n".join(named[name].decode("utf-8", errors="replace") for name in programs),
    )


def _data(ratchet: Ratchet, names: tuple[str, ...]) -> dict[str, bytes]:
    """Errors: LamarckError where one is missing: what makes it is the subject's own affair."""
    missing = [name for name in names if not (ratchet.directory / name).exists()]
    if missing:
        raise LamarckError(
            f"{ratchet.directory / missing[0]} is missing: the head of {ratchet.path} says what makes it"
        )
    return {name: read_regular(ratchet.directory / name) for name in names}


def make_plan(ratchet: Ratchet, files: NightFiles, subject: Subject) -> RatchetPlan:
    """Errors: LamarckError where no agent is named."""
    file = ratchet.file
    agent = agent_of(file)
    said = agent.model_dump(mode="json")
    how = said.get("command") or said.get("url") or said.get("branch") or ""
    called = " ".join(how) if isinstance(how, list) else how
    return RatchetPlan(
        ratchet=file.name,
        night=files.tag,
        machine=f"{machine()}, {processor()}, {file.cores} cores",
        config=str(ratchet.path),
        base=subject.base,
        file=file.digest(),
        subject=digests_of(subject.mutable),
        evaluator=_evaluator(file, subject),
        data=digests_of(subject.data),
        run_command=file.run_command,
        eval_command=file.eval_command,
        trust=file.trust,
        agent=f"{agent.kind} {called}".strip(),
        experiments=file.experiments,
        device_seconds=file.ceiling,
        raised=_raised(ratchet, files, subject) if file.chain else None,
    )


def _evaluator(file: RatchetFile, subject: Subject) -> dict[str, str]:
    if not file.chain:
        return digests_of({**subject.immutable, **subject.evaluation})
    from lamarck.ratchet.chain import base_of

    suite = base_of(file).suite
    return {suite: suite_digest(Path(suite))}


def _raised(ratchet: Ratchet, files: NightFiles, subject: Subject) -> SearchPlan | None:
    from lamarck.ratchet.chain import raised_by

    (content,) = subject.mutable.values()
    return raised_by(ratchet.file, files.tag, content, ratchet.content)


def digests_of(contents: Mapping[str, bytes]) -> dict[str, str]:
    return {name: digest_bytes(content) for name, content in contents.items()}


def place_of(ratchet: Ratchet, subject: Subject) -> str:
    """Which files these are, whoever names them."""
    root = subject.repository.root.resolve()
    return digest_value([f"{root}/{subject.repository.prefix}{name}" for name in ratchet.file.mutable_files])[:32]


def check_same(files: NightFiles, plan: RatchetPlan) -> None:
    """Errors: LamarckError where the night began under another plan: its risk and its ledger are of that one."""
    if not files.plan.exists():
        return
    before = read_ratchet_plan(files.plan)
    if differing := differing_fields(before, plan):
        raise LamarckError(
            f"the {', '.join(differing)} of the night {files.tag} is not what it began with: restore it, or start "
            "another night with --tag"
        )
