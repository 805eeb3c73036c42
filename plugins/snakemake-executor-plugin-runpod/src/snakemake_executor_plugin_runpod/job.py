"""One job on a pod: inputs out and checked, the command started, its log followed, outputs back and checked."""

import os
import shlex
import shutil
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from snakemake_executor_plugin_runpod.api import Wait
from snakemake_executor_plugin_runpod.errors import PodLost, RunPodError
from snakemake_executor_plugin_runpod.files import differing, digests, expand, install, parse_digests, stamp, tell
from snakemake_executor_plugin_runpod.pod import KEEP, Pod, Pods
from snakemake_executor_plugin_runpod.ssh import Failed, Remote, Say

STAGING = Path(".snakemake/runpod")
JOBS = "/tmp/jobs"
FETCHES = 3
TAIL = 4000
HASH_SECONDS = 3600.0
# On the pod: the digests of the paths on standard input, each ended by a zero byte; a few of them to each of as many
# processes as it has cores. openssl is four times as fast as sha256sum, and not everywhere.
HASH = 'command -v openssl > /dev/null && openssl dgst -sha256 -r -- "$@" || sha256sum -- "$@"'
HASHES = f"""xargs -r -0 -n 2 -P "$(nproc)" sh -c '{HASH}' sh"""
# Before a pod's time is over: enough to bring back what a killed job goes on from.
LAST_MINUTE_SECONDS = 60.0


class JobFailed(Exception):
    """The command failed on the pod, or what it made did not arrive: the text says which, with the end of its log."""


@dataclass(frozen=True)
class Task:
    """Paths are relative to the working directory here and to the workspace there.

    `resume`: what a killed job goes on from. `log`: followed while the job runs. `environment` may hold secrets.
    """

    name: str
    command: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    extras: tuple[str, ...]
    resume: tuple[str, ...]
    log: str | None
    environment: dict[str, str]


@dataclass(frozen=True)
class Pace:
    """Seconds between looks at a job, at most, and between copies of what it can go on from."""

    poll: float
    resume: float


class Runner:
    """Runs tasks on the pod, and again on another one where it is lost. Thread-safe."""

    def __init__(self, pods: Pods, pace: Pace, say: Say, wait: Wait, placed: str | None = None) -> None:
        """`placed`: a command that is run here, with the paths that a job can go on from, when they came back."""
        self._pods = pods
        self._placed = placed
        self._pace = pace
        self._say = say
        self._wait = wait

    def run(self, task: Task) -> None:
        """Errors: JobFailed; RunPodError when no pod can do it; Cancelled."""
        while True:
            pod = self._pods.get()
            try:
                self.run_on(pod, task)
                return
            except PodLost as error:
                self._pods.lost(pod, str(error))

    def run_on(self, pod: Pod, task: Task) -> None:
        """Errors: JobFailed, PodLost, RunPodError, Cancelled."""
        try:
            self.send(pod, [*task.inputs, *task.resume])
            self._pods.run(pod, _start(task))
            code = self._follow(pod, task)
            self._mirror(pod, task.resume)
            self._fetch(pod, task.extras, Path())
            if code:
                raise JobFailed(f"exit code {code} on pod {pod.info.id}:\n{self._tail(pod, task)}")
            if task.outputs:
                self._bring_back(pod, task)
        except Failed as error:
            raise JobFailed(f"pod {pod.info.id} did not do what it was told: {error}") from error

    def send(self, pod: Pod, paths: Iterable[str]) -> None:
        """Files that the pod does not have as they are now; their digests are compared where they arrived."""
        with pod.sending:
            missing = {path: stamp(path) for path in expand(paths) if pod.there.get(path) != stamp(path)}
            if not missing:
                return
            size = sum(bytes_ for bytes_, _ in missing.values())
            if size > 1e8:
                self._say(f"sending {len(missing)} files, {size / 1e9:.2f} GB")
            self._pods.persist(pod, partial(send_checked, pod.remote, missing, partial(self._say_with, "out")))
            pod.there.update(missing)

    def _follow(self, pod: Pod, task: Task) -> int:
        """Wait for the exit code; meanwhile the log grows here too, and what the job can go on from comes back."""
        log = Path(task.log) if task.log else None
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_bytes(b"")
        read = 0
        started = copied = time.monotonic()
        while True:
            head, _, more = self._pods.run(pod, _look(task, read)).partition(b"\n")
            if log is not None and more:
                with log.open("ab") as file:
                    file.write(more)
                read += len(more)
            if head == b"gone":
                raise PodLost(
                    "the job's process is gone without an exit code: its container was started again, or it was killed"
                )
            if head != b"runs":
                return int(head)
            last_minute = time.time() > self._pods.deadline(pod) - LAST_MINUTE_SECONDS
            if last_minute or time.monotonic() - copied > self._pace.resume:
                self._mirror(pod, task.resume)
                copied = time.monotonic()
            if last_minute:
                raise RunPodError(
                    f"the pod's time is over ({self._pods.cost_line()}) and {task.name} is not done. What it can go on "
                    "from came back: run again to go on, with a higher ceiling or more --runpod-hours if need be"
                )
            # A job of seconds is looked at often, one of hours seldom.
            self._wait(min(self._pace.poll, 0.2 + (time.monotonic() - started) / 10))

    def _bring_back(self, pod: Pod, task: Task) -> None:
        """Outputs into a directory of their own, compared with the digests taken on the pod, then all put in place."""
        staging = STAGING / task.name
        printed = self._pods.run(pod, f"cat {JOBS}/{task.name}/digests")
        expected = parse_digests(printed.decode())
        wrong: list[str] = []
        for fetch in range(FETCHES):
            self._fetch(pod, task.outputs, staging, exact=fetch > 0)
            wrong = differing(staging, expected)
            if not wrong:
                break
        if wrong:
            raise JobFailed(f"{wrong[0]} arrived {FETCHES} times with other bytes than on pod {pod.info.id}: run again")
        for output in task.outputs:
            install(staging / output, Path(output))
            pod.there.update({path: stamp(path) for path in expand([output])})
        shutil.rmtree(staging)

    def _fetch(self, pod: Pod, paths: Iterable[str], target: Path, exact: bool = False) -> None:
        wanted = list(paths)
        if wanted:
            self._pods.persist(pod, partial(pod.remote.fetch, wanted, target, partial(self._say_with, "back"), exact))

    def _mirror(self, pod: Pod, paths: Iterable[str]) -> None:
        """Bring back what is there; remove here what the job has removed there."""
        there = []
        for path in paths:
            self._fetch(pod, [path], Path())
            if self._pods.run(pod, f"test -e {shlex.quote(path)} && echo there || true"):
                there.append(path)
            else:
                shutil.rmtree(path) if os.path.isdir(path) else Path(path).unlink(missing_ok=True)
        if there and self._placed:
            tell(self._placed, there)

    def _say_with(self, direction: str, progress: str) -> None:
        self._say(f"{direction}: {progress}")

    def _tail(self, pod: Pod, task: Task) -> str:
        return self._pods.run(pod, f"tail -c {TAIL} {JOBS}/{task.name}/output").decode(errors="replace")


def send_checked(remote: Remote, paths: Iterable[str], say: Say) -> None:
    """Files to a pod, hashed here while they travel and there when they have arrived.

    Errors: Unreachable; Failed where they do not fit there; PodLost where they arrived damaged.
    """
    listed = list(paths)
    with ThreadPoolExecutor(1) as beside:
        hashed = beside.submit(digests, listed)
        remote.send(listed, say)
    expected = hashed.result()
    names = "\n".join(expected)
    try:
        printed = remote.run(f"tr '\\n' '\\0' <<'END' | {HASHES}\n{names}\nEND", HASH_SECONDS)
    except Failed as error:
        raise PodLost(f"files did not arrive: {error}") from error
    if wrong := sorted(expected.items() ^ parse_digests(printed.decode()).items()):
        raise PodLost(f"files arrived damaged: {wrong[0][0]} is not what was sent")


def _start(task: Task) -> str:
    """Start the command in the background, once however often this is asked. Its exit code is the last thing written,
    after the digests of what it made: a file that changes later is not what the job made."""
    exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in task.environment.items())
    outputs = " ".join(shlex.quote(path) for path in task.outputs)
    digests = f"find {outputs} -type f -print0 | {HASHES} > $1/digests"
    return f"""
job={JOBS}/{task.name}
mkdir -p $job
[ -e $job/pid ] && exit 0
cat > $job/job.sh <<'END-OF-JOB'
( {task.command}
)
code=$?
if [ $code = 0 ]; then
  {digests if outputs else "true"} || code=1
fi
echo $code > $1/exit.new
mv $1/exit.new $1/exit
END-OF-JOB
{exports}
setsid nohup bash $job/job.sh $job > $job/output 2>&1 < /dev/null &
echo $! > $job/pid
"""


def _look(task: Task, read: int) -> str:
    """Prints `runs`, `gone` or the exit code on a line, then what the log has beyond `read` bytes."""
    log = f"[ -e {shlex.quote(task.log)} ] && tail -c +{read + 1} {shlex.quote(task.log)}" if task.log else ""
    return f"""
{KEEP}
job={JOBS}/{task.name}
if [ -e $job/exit ]; then cat $job/exit
elif kill -0 $(cat $job/pid) 2> /dev/null; then echo runs
elif [ -e $job/exit ]; then cat $job/exit
else echo gone
fi
{log}
true
"""
