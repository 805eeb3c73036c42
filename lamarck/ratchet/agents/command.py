"""An agent that is a program, such as a command-line agent: it edits files in a directory of its own.

The program needs its network, its keys and its home, so it is no room as the sandbox's: it runs as the user. But of the
subject's repository it sees only the copies in its directory, and what it starts ends with it: bubblewrap hides the
repository behind an empty directory and gives it process ids of its own. Of all that it wrote, only the bytes of the
mutable files are read back.
"""

import os
import re
import signal
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from lamarck.files import digest_bytes
from lamarck.ratchet.agents.proposal import AgentContext, AgentFailed, Proposal, told
from lamarck.ratchet.file import CommandAgent
from lamarck.visible import visible

SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSW", re.IGNORECASE)
FEWEST = 8  # characters of a value that is hidden: shorter ones stand everywhere
LARGEST = 2**20  # bytes of a mutable file that are read
MODE = 0o644  # of what it works with


class Command:
    """`hidden`: the repository, of which the program sees its environment, .venv, and nothing else."""

    def __init__(self, settings: CommandAgent, hidden: Path) -> None:
        self._settings = settings
        self._hidden = hidden.resolve()

    def propose(self, context: AgentContext) -> Proposal:
        """Errors: AgentFailed where it hangs, fails, or leaves something else in the place of a mutable file."""
        with tempfile.TemporaryDirectory(prefix="ratchet-") as directory:
            place = Path(directory).resolve()
            given = _lay_out(place, context)
            prompt = told(context)
            said = self._run(place, prompt)
            return _read_back(place, given, context, said)

    def _run(self, place: Path, prompt: str) -> str:
        prompt_file = place / "PROMPT.md"
        prompt_file.write_text(prompt, encoding="utf-8")
        words = [
            word.replace("{prompt_file}", str(prompt_file)).replace("{prompt}", prompt)
            for word in self._settings.command
        ]
        command = [*self._outer(place), *words]
        try:
            process = subprocess.Popen(
                command,
                cwd=place,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise AgentFailed(f"the agent did not start: {error.strerror}") from error
        try:
            out, _ = process.communicate(timeout=60 * self._settings.timeout_minutes)
        except subprocess.TimeoutExpired as error:
            raise AgentFailed(f"the agent took more than its {self._settings.timeout_minutes:g} minutes") from error
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        said = redacted(out.decode(errors="replace"))
        if process.returncode:
            last = said.strip().splitlines()
            raise AgentFailed(f"the agent failed: {visible(last[-1], 200) if last else process.returncode}")
        return said

    def _outer(self, place: Path) -> list[str]:
        hidden = str(self._hidden)
        words = ["bwrap", "--die-with-parent", "--unshare-pid", "--dev-bind", "/", "/", "--tmpfs", hidden]
        if (environment := self._hidden / ".venv").is_dir():
            words += ["--ro-bind", str(environment), str(environment)]
        return [*words, "--bind", str(place), str(place), "--proc", "/proc", "--chdir", str(place), "--"]


def redacted(text: str, environment: Mapping[str, str] | None = None) -> str:
    """`text` without the values of what in the environment is named like a secret."""
    for name, value in (os.environ if environment is None else environment).items():
        if SECRET.search(name) and len(value) >= FEWEST:
            text = text.replace(value, f"[{name}]")
    return text


def _lay_out(place: Path, context: AgentContext) -> dict[str, str]:
    """Write what the agent works with; the digest of every file that is not its to change."""
    given = {
        **context.fixed,
        "results.tsv": context.results.encode(),
        "run.log": context.log.encode(),
        "near-misses.diff": "\n".join(context.near_misses).encode(),
    }
    for name, content in {**given, **context.files, **context.failed}.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
        (place / name).chmod(MODE)
    return {name: digest_bytes(content) for name, content in given.items()}


def _read_back(place: Path, given: Mapping[str, str], context: AgentContext, said: str) -> Proposal:
    files = {name: _mutable(place, name) for name in context.files}
    last = [line for line in said.strip().splitlines() if line.strip()]
    description = visible(last[-1], 200) if last else "no description"
    return Proposal(files, description, tuple(_beside(place, given, set(context.files))))


def _mutable(place: Path, name: str) -> bytes:
    """Errors: AgentFailed for what is not a regular file of a size that a person reads."""
    path = place / name
    for parent in (path, *path.parents):
        if parent == place:
            break
        if parent.is_symlink():
            raise AgentFailed(f"the agent put a link in the place of {name}")
    try:
        found = os.lstat(path)
    except OSError as error:
        raise AgentFailed(f"the agent removed {name}") from error
    if not stat.S_ISREG(found.st_mode):
        raise AgentFailed(f"the agent put something that is not a file in the place of {name}")
    if found.st_size > LARGEST:
        raise AgentFailed(f"the agent made {name} larger than {LARGEST:,} bytes")
    return path.read_bytes()


def _beside(place: Path, given: Mapping[str, str], mutable: set[str]) -> list[str]:
    """What else it changed: named, and thrown away."""
    found = []
    for name, digest in given.items():
        path = place / name
        if path.is_symlink() or not path.is_file():
            found.append(f"took {name} away")
        elif digest_bytes(path.read_bytes()) != digest:
            found.append(f"edited {name}")
    kept = [path for name in (*given, *sorted(mutable)) if (path := place / name).is_file() and not path.is_symlink()]
    modes = [path for path in kept if stat.S_IMODE(path.stat().st_mode) != MODE]
    found += [f"changed the mode of {path.relative_to(place).as_posix()}" for path in modes]
    known = {*given, *mutable, "PROMPT.md"}
    for path in sorted(place.rglob("*")):
        name = path.relative_to(place).as_posix()
        new_file = name not in known and (path.is_symlink() or not path.is_dir())
        if new_file and "__pycache__" not in name and len(found) < 20:
            found.append(f"added {visible(name, 100)}")
    return found
