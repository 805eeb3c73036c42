"""What two machines kept: the same changes on both are universal as far as two machines can tell, the others bound."""

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lamarck.errors import LamarckError
from lamarck.ratchet.subject import Repository, repository_of

FIELD = re.compile(r"^(Machine|Difference): (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Kept:
    """A kept commit. `where`: "both", or the branch that alone has it."""

    commit: str
    description: str
    machine: str
    difference: str
    where: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def compare(directory: Path, first: str, second: str) -> list[Kept]:
    """Commits of two branches since they parted, oldest first; of one change on both, the first branch's commit.

    Two commits are the same change where git's patch id says so. Errors: LamarckError where a branch is not here.
    """
    repository = repository_of(directory)
    for branch in (first, second):
        _commit_of(repository, branch)
    base = repository.line("merge-base", first, second)
    own, other = (_patches(repository, base, branch) for branch in (first, second))
    found = [_kept(repository, commit, "both" if patch in other else first) for patch, commit in own.items()]
    return found + [_kept(repository, commit, second) for patch, commit in other.items() if patch not in own]


def _commit_of(repository: Repository, branch: str) -> str:
    try:
        return repository.line("rev-parse", "--verify", f"{branch}^{{commit}}")
    except LamarckError as error:
        raise LamarckError(f"there is no branch {branch} here: `git fetch` it") from error


def _patches(repository: Repository, base: str, branch: str) -> dict[str, str]:
    """Patch id -> commit, oldest first."""
    found = {}
    for commit in repository.line("rev-list", "--reverse", "--no-merges", f"{base}..{branch}").split():
        said = repository.git("patch-id", "--stable", given=repository.git("diff-tree", "-p", commit)).decode().split()
        if said:
            found[said[0]] = commit
    return found


def _kept(repository: Repository, commit: str, where: str) -> Kept:
    message = repository.line("log", "-1", "--format=%B", commit)
    fields = dict(FIELD.findall(message))
    subject = message.splitlines()[0].removeprefix("experiment: ") if message else ""
    return Kept(commit, subject, fields.get("Machine", ""), fields.get("Difference", ""), where)
