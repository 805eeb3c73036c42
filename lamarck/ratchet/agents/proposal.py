"""What an agent is told and what it hands in: the bytes of the mutable files, and nothing else of what it did."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from lamarck.errors import LamarckError

MOST_CHARACTERS = 12_000  # of any one part of what an agent is told
MOVES = """\
When ideas run out, do not stop; try one of these:
- combine two near-misses: changes that were almost better
- the opposite of what has been working
- a sweep of one number over a range that nobody tried
- take something away: equal and simpler is kept
- a change of structure instead of one more number
- read the file again, line by line, and question every line"""


@dataclass(frozen=True)
class AgentContext:
    """`results`: results.tsv as it is; `near_misses`: diffs that were almost better, best first."""

    number: int
    files: Mapping[str, bytes]  # mutable, of the incumbent
    fixed: Mapping[str, bytes]  # immutable: to be read
    metric: str
    direction: str
    program: str
    rules: tuple[str, ...]
    results: str
    log: str
    near_misses: tuple[str, ...]
    failure: str = ""  # of its own last candidate, where it is to be mended
    failed: Mapping[str, bytes] = field(default_factory=dict)  # that candidate's files


@dataclass(frozen=True)
class Proposal:
    """`caught`: what the agent did beside changing the mutable files; none of that goes any further."""

    files: Mapping[str, bytes]
    description: str
    caught: tuple[str, ...] = ()


def _end(text: str) -> str:
    """Its end: all parts together have to fit one word of a command line, 128 KiB on Linux."""
    return text if len(text) <= MOST_CHARACTERS else f"...{text[-MOST_CHARACTERS:]}"


class Agent(Protocol):
    def propose(self, context: AgentContext) -> Proposal: ...


class AgentFailed(LamarckError):
    """The agent handed in nothing; the message says why. The night goes on with the next proposal."""


class NoMoreIdeas(LamarckError):
    """The agent's list is at its end."""


def told(context: AgentContext) -> str:
    """What an agent that reads is told, in words."""
    results, program, log = (_end(each) for each in (context.results, context.program, context.log))
    better = "lower" if context.direction == "minimize" else "higher"
    names = ", ".join(context.files)
    parts = [
        f"You improve {names}. The one number that counts is {context.metric}: {better} is better. You may edit "
        f"{names} and nothing else: whatever else you change is thrown away. Make one change, an experiment, and say "
        "what it is in one short line. It is kept only if it is better on fresh seeds, beside the present version; "
        "equal and simpler is kept, too. Never ask whether to go on.",
    ]
    if program:
        parts.append(program)
    if context.rules:
        parts.append("Rules:\n" + "\n".join(f"- {rule}" for rule in context.rules))
    parts.append(f"All experiments so far (results.tsv):\n{results}")
    if context.near_misses:
        parts.append("Near-misses, as diffs:\n" + "\n".join(map(_end, context.near_misses)))
    parts.append(MOVES)
    if context.failure:
        parts.append(
            f"Your last candidate crashed: {context.failure}\nThe end of its log:\n{log}\n"
            "It is in the file now: mend it, or put the file back."
        )
    elif log:
        parts.append(f"The end of the last experiment's log:\n{log}")
    return "\n\n".join(parts) + "\n"
