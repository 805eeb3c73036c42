"""An agent that is another machine's branch: what was kept there is tried here, commit by commit."""

import subprocess
import tempfile
from pathlib import Path

from lamarck.errors import LamarckError
from lamarck.ratchet.agents.proposal import AgentContext, AgentFailed, NoMoreIdeas, Proposal
from lamarck.ratchet.file import BranchAgent
from lamarck.ratchet.subject import Repository


class Branch:
    """`base`: the commit that the night starts from. Errors: LamarckError, on construction, without such a branch."""

    def __init__(self, settings: BranchAgent, repository: Repository, base: str) -> None:
        self._repository = repository
        try:
            # Its commits that are not here, oldest first.
            said = repository.line("rev-list", "--reverse", "--no-merges", f"{base}..{settings.branch}")
        except LamarckError as error:
            raise LamarckError(f"there is no branch {settings.branch} here: `git fetch` it") from error
        self._commits = said.split()

    def propose(self, context: AgentContext) -> Proposal:
        """Errors: AgentFailed where the change does not fit the files as they are here; NoMoreIdeas."""
        if context.number > len(self._commits):
            raise NoMoreIdeas(f"all {len(self._commits)} commits of the branch have been tried")
        commit = self._commits[context.number - 1]
        subject = self._repository.line("log", "-1", "--format=%s", commit)
        files = {name: self._merged(name, content, commit) for name, content in context.files.items()}
        return Proposal(files, f"{subject} (from {commit[:7]})")

    def _merged(self, name: str, content: bytes, commit: str) -> bytes:
        """The file here with the commit's change in it, by a merge of three: before and after there, and here."""
        before, after = (self._repository.files(each, [name])[name] for each in (f"{commit}^", commit))
        with tempfile.TemporaryDirectory() as directory:
            paths = [Path(directory) / each for each in ("here", "before", "after")]
            for path, text in zip(paths, (content, before, after), strict=True):
                path.write_bytes(text)
            done = subprocess.run(["git", "merge-file", "-p", *map(str, paths)], capture_output=True)
        if done.returncode:
            raise AgentFailed(f"the change of {commit[:7]} does not fit {name} as it is here")
        return done.stdout
