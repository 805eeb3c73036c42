"""An agent that is a list: one change after the other."""

from lamarck.ratchet.agents.proposal import AgentContext, AgentFailed, NoMoreIdeas, Proposal
from lamarck.ratchet.file import PatchesAgent


class Patches:
    def __init__(self, settings: PatchesAgent) -> None:
        self._edits = settings.edits

    def propose(self, context: AgentContext) -> Proposal:
        """Errors: AgentFailed where the text to change does not stand in the file once; NoMoreIdeas."""
        if context.number > len(self._edits):
            raise NoMoreIdeas(f"all {len(self._edits)} changes of the list have been tried")
        edit = self._edits[context.number - 1]
        name = edit.file or next(iter(context.files))
        if name not in context.files:
            raise AgentFailed(f"{edit.description}: {name} is not a mutable file")
        text = context.files[name].decode("utf-8", errors="replace")
        if text.count(edit.find) != 1:
            raise AgentFailed(f"{edit.description}: what it changes stands {text.count(edit.find)} times in {name}")
        return Proposal({**context.files, name: text.replace(edit.find, edit.replace).encode()}, edit.description)
