"""The subject in git: its files as a commit has them, commits without a checkout, and the branch of what was kept.

Only plumbing is used, with an index of its own: no hook runs, and the user's checkout, index and HEAD stay as they are.
"""

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lamarck.errors import LamarckError
from lamarck.lineage.records import distrust
from lamarck.visible import visible

IDENTITY = {
    f"GIT_{who}_{field}": value
    for who in ("AUTHOR", "COMMITTER")
    for field, value in (("NAME", "lamarck ratchet"), ("EMAIL", "ratchet@localhost"))
}
LINK, FILES = "120000", ("100644", "100755")


@dataclass(frozen=True)
class Repository:
    """`prefix`: of the subject's directory in the repository, empty or with a slash at its end."""

    root: Path
    prefix: str

    def git(self, *arguments: str, given: bytes | None = None, index: str | None = None) -> bytes:
        """Errors: LamarckError with git's own words."""
        environment = os.environ | IDENTITY | ({"GIT_INDEX_FILE": index} if index else {})
        done = subprocess.run(
            ["git", "-C", str(self.root), *arguments], input=given, capture_output=True, env=environment
        )
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise LamarckError(f"git {arguments[0]} failed: {visible(said[-1], 300) if said else done.returncode}")
        return done.stdout

    @property
    def directory(self) -> Path:
        """git's own, of this checkout."""
        return Path(self.line("rev-parse", "--absolute-git-dir"))

    def line(self, *arguments: str) -> str:
        return self.git(*arguments).decode().strip()

    def files(self, commit: str, names: Sequence[str]) -> dict[str, bytes]:
        """The contents of a commit's regular files. Errors: LamarckError for a link, or what is not there."""
        return {name: self.git("cat-file", "blob", self._blob(commit, name)[1]) for name in names}

    def has(self, commit: str, name: str) -> bool:
        return bool(self.git("ls-tree", commit, "--", self.prefix + name))

    def _blob(self, commit: str, name: str) -> tuple[str, str]:
        """Mode and id."""
        listed = self.git("ls-tree", "-z", commit, "--", self.prefix + name).decode()
        if not listed:
            raise LamarckError(f"{self.prefix}{name} is not in the commit {commit[:7]}: `git add` and commit it")
        mode, _, rest = listed.partition(" ")
        if mode == LINK:
            raise LamarckError(f"{self.prefix}{name} is a link: a subject's file must be the file itself")
        if mode not in FILES:
            raise LamarckError(f"{self.prefix}{name} is not a file: name the files themselves")
        return mode, rest.split("\t")[0].split(" ")[1]

    def check_unchanged(self, names: Sequence[str]) -> None:
        """Errors: LamarckError where the checkout has changes of these files that no commit has."""
        paths = [self.prefix + name for name in names]
        changed = self.git("status", "--porcelain", "--", *paths).decode().rstrip()
        if changed:
            first = changed.splitlines()[0][3:]
            raise LamarckError(
                f"{first} has changes that are in no commit: commit them, or stash them; a ratchet starts from a commit"
            )

    def commit(self, parent: str, files: Mapping[str, bytes], message: str) -> str:
        """A commit of `parent` with these contents instead: on no branch yet. Its id."""
        with tempfile.TemporaryDirectory() as directory:
            index = str(Path(directory) / "index")
            self.git("read-tree", parent, index=index)
            for name, content in files.items():
                mode, _ = self._blob(parent, name)
                blob = self.git("hash-object", "-w", "--stdin", given=content).decode().strip()
                self.git("update-index", "--cacheinfo", f"{mode},{blob},{self.prefix}{name}", index=index)
            tree = self.git("write-tree", index=index).decode().strip()
        return self.git("commit-tree", tree, "-p", parent, given=message.encode()).decode().strip()

    def branch(self, name: str) -> str | None:
        """Its commit; None where there is none of that name."""
        found = self.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{name}").decode().strip()
        return found or None

    def advance(self, name: str, to: str, before: str | None) -> None:
        """Move a branch from where it was, or make it. Errors: LamarckError where it is elsewhere by now."""
        zero = "0" * len(to)
        self.git("update-ref", "-m", "lamarck ratchet", f"refs/heads/{name}", to, before or zero)

    def check_not_checked_out(self, name: str) -> None:
        """Errors: LamarckError where a checkout has the branch: moving it would change what that shows."""
        if f"branch refs/heads/{name}\n" in self.git("worktree", "list", "--porcelain").decode():
            raise LamarckError(
                f"the branch {name} is checked out, and a ratchet moves it: check out another, or give another --tag"
            )

    def diff(self, before: str, after: str) -> str:
        """What a commit changed, as a person reads it."""
        return self.git("diff", "--no-color", "--no-ext-diff", before, after).decode(errors="replace")


def repository_of(directory: Path) -> Repository:
    """Errors: LamarckError where there is no git, or no commit."""
    where = directory.resolve()
    try:
        command = ["git", "-C", str(where), "rev-parse", "--show-toplevel", "--verify", "HEAD"]
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        raise LamarckError("git is not installed, and a ratchet's memory is git: install it") from None
    if sentence := distrust(done.stderr):
        raise LamarckError(f"{directory}: {sentence}")
    if done.returncode:
        raise LamarckError(f"{directory} is in no git repository with a commit: `git init`, `git add .`, `git commit`")
    root = Path(done.stdout.splitlines()[0])
    inner = where.relative_to(root.resolve()).as_posix()
    return Repository(root, "" if inner == "." else f"{inner}/")
