"""An examination in two rooms: the answer runs in one, and what decides about it is in the other. Light.

answer_room.py serves the one, examiner.py the other; between them goes plain data (plain_data.py), and the verdict is
what the examiner printed. So whatever an answer does to its own process, it can only change what it says.
"""

import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from lamarck.errors import LamarckError
from lamarck.judging.outer_room import INTERPRETER, WITH_TORCH
from lamarck.judging.sandbox import Job, Limits, Sandbox

HERE = Path(__file__).parent
MORE_SECONDS = 20  # the examiner's, beyond those of the answer's room: it must see that one end
KILLED_BY_LIMIT = (128 + 24, 128 + 25)  # SIGXCPU, SIGXFSZ


class ExaminationBroken(LamarckError):
    """The examiner came to no verdict, and not by the answer's doing: there is none, and no score either."""


@dataclass(frozen=True)
class Examined:
    held: tuple[str, ...]  # the groups of tests that held
    why: str  # what the examiner wrote about the first failure


def examine(
    sandbox: Sandbox,
    answer: str,
    examination: str,
    groups: Sequence[tuple[str, str]],
    limits: Limits,
    *,
    kind: Literal["module", "script"] = "module",
    imports: tuple[str, ...] = WITH_TORCH,
    tools: Mapping[str, str] = MappingProxyType({}),
    hash_seed: int | None = None,
) -> Examined:
    """Which `groups` (name, prefix of its functions) of an examination hold for an answer.

    `limits` are of the answer's room, `tools` are modules that the examination imports. With `hash_seed` the answer has
    an interpreter of its own, without `imports`. Errors: as `confer`.
    """
    arguments = ["/task/answer.py", kind]
    room = Job({"answer.py": answer, "room.py": source("answer_room.py")}, limits, imports=imports)
    if hash_seed is None:
        room = replace(room, script="room.py", arguments=arguments)
    else:
        command = [str(INTERPRETER), "-S", "-B", "/task/room.py", *arguments]
        room = replace(room, command=command, environment={"PYTHONHASHSEED": str(hash_seed)})
    examiner = Job(
        {"examination.py": examination, "examiner.py": source("examiner.py"), **tools},
        limits,
        script="examiner.py",
        arguments=(json.dumps(list(groups)),),
        imports=imports,
    )
    said, why = confer(sandbox, room, examiner)
    return Examined(tuple(said["held"]) if said else (), why)


def confer(sandbox: Sandbox, room: Job, examiner: Job) -> tuple[dict[str, Any] | None, str]:
    """What the examiner says in the end, one line of JSON, and what it complained of; None where it did not come to an
    end within its limits, as nothing but the words of the room could bring about.

    Errors: SandboxUnavailable where a room did not come to stand, ExaminationBroken where the examiner ended otherwise.
    """
    theirs, ours = socket.socketpair()
    plain_data = {"plain_data.py": source("plain_data.py")}
    longer = replace(examiner.limits, seconds=room.limits.seconds + MORE_SECONDS)
    with theirs, ours:
        run = sandbox.run_job(
            replace(examiner, files={**examiner.files, **plain_data}, limits=longer, channel=ours),
            replace(room, files={**room.files, **plain_data}, channel=theirs),
        )
    if run.stopped_by or run.exit_code in KILLED_BY_LIMIT:
        return None, run.stopped_by or "the examination took too long"
    try:
        said = json.loads(run.stdout.splitlines()[-1])
    except (ValueError, IndexError) as error:
        complaint = (run.stderr.strip().splitlines() or ["no word"])[-1]
        raise ExaminationBroken(f"the examiner came to no verdict ({complaint}): evaluate again") from error
    return said, run.stderr


def source(name: str) -> str:
    """One of the modules that also run in the rooms."""
    return (HERE / name).read_text(encoding="utf-8")
