"""One job on a pod: inputs out and checked, the command started, its log followed, outputs back and checked."""

import os
import shlex
import shutil
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from snakemake_executor_plugin_runpod.api import Wait
from snakemake_executor_plugin_runpod.beside import Beside, run_beside
from snakemake_executor_plugin_runpod.choose import Need
from snakemake_executor_plugin_runpod.errors import PodLost, RunPodError, Unreachable
from snakemake_executor_plugin_runpod.files import (
    adopt,
    differing,
    digests,
    expand,
    install,
    parse_digests,
    set_aside,
    stamp,
    strangers,
    tell,
)
from snakemake_executor_plugin_runpod.fleet import Fleet
from snakemake_executor_plugin_runpod.pod import KEEP, Pod, Pods
from snakemake_executor_plugin_runpod.ssh import Failed, OutOfTime, Remote, Say, TooMuch, Until
from snakemake_executor_plugin_runpod.text import PlainText, plain

STAGING = Path(".snakemake/runpod")
JOBS = "/tmp/jobs"
FETCHES = 3
TAIL = 4000
HASH_SECONDS = 3600.0
COPY_SECONDS = 600.0
# What is written into the project as it grows, or as text, is no larger.
LOG_BYTES = 256 * 2**20
TEXT_BYTES = 16 * 2**20
LOOK_BYTES = 2**20
GB = 1e9
# A machine whose disk is full cannot take back even a checkpoint.
FREE_BYTES = 1 * GB
# On the pod: the digests of the paths on standard input, each ended by a zero byte; a few of them to each of as many
# processes as it has cores. openssl is four times as fast as sha256sum, and not everywhere.
HASH = 'command -v openssl > /dev/null && openssl dgst -sha256 -r -- "$@" || sha256sum -- "$@"'
HASHES = f"""xargs -r -0 -n 2 -P "$(nproc)" sh -c '{HASH}' sh"""
# How long before a pod's time is over what a killed job goes on from is fetched for the last time: as long as it took
# the last time, half again, and what asking takes. Before it was measured: this.
UNMEASURED_SECONDS = 60.0
ASKING_SECONDS = 10.0


class JobFailed(Exception):
    """The command failed on the pod, or what it made did not arrive: the text says which, with the end of its log."""


@dataclass(frozen=True)
class Task:
    """Paths are relative to the working directory here and to the workspace there.

    `resume`: what a killed job goes on from. `log`: followed while the job runs. `environment` may hold secrets.
    `need`: what it asks of its pod. `beside`: how it runs where a pod cannot run it whole; None: it cannot.
    """

    name: str
    command: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    extras: tuple[str, ...]
    resume: tuple[str, ...]
    log: str | None
    environment: dict[str, str]
    need: Need
    beside: Beside | None = None


@dataclass(frozen=True)
class Pace:
    """Seconds between looks at a job, at most, and between copies of what it can go on from; GB that may come back;
    seconds for which a pod is kept on which a job has failed."""

    poll: float
    resume: float
    gigabytes: float
    keep: float


class Runner:
    """Runs tasks on a pod, and again on another one where it is lost. Thread-safe."""

    def __init__(self, fleet: Fleet, pace: Pace, say: Say, wait: Wait, placed: str | None = None) -> None:
        """`placed`: a command that is run here, with the paths that a job can go on from, when they came back."""
        self._fleet = fleet
        self._placed = placed
        self._pace = pace
        self._say = say
        self._wait = wait

    def run(self, task: Task) -> None:
        """Errors: JobFailed; RunPodError when no pod can do it; Cancelled."""
        with self._fleet.use(task.need) as pods:
            while True:
                pod = pods.get()
                try:
                    self.run_on(pods, pod, task)
                    return
                except PodLost as error:
                    pods.lost(pod, str(error))
                except JobFailed as error:
                    self._keep(pods, pod, error)
                    raise

    def _keep(self, pods: Pods, pod: Pod, error: JobFailed) -> None:
        """Where it is asked for, leave a person the time to look. Errors: Cancelled."""
        seconds = min(self._pace.keep, pods.deadline(pod) - time.time())
        if seconds > 0:
            self._say(f"{error}")
            self._say(f"pod {pod.info.id} is kept for {seconds / 60:.0f} minutes, Ctrl-C ends it: {pod.remote.login()}")
            self._wait(seconds)

    def run_on(self, pods: Pods, pod: Pod, task: Task) -> None:
        """Errors: JobFailed, PodLost, RunPodError, Cancelled."""
        try:
            if pod.whole or task.beside is None:
                self._run_whole(pods, pod, task)
            else:
                self._run_beside(pods, pod, task, task.beside)
        except Failed as error:
            raise JobFailed(f"pod {pod.info.id} did not do what it was told: {error}") from error
        except OutOfTime as error:
            raise _out_of_time(pods, task) from error

    def _run_whole(self, pods: Pods, pod: Pod, task: Task) -> None:
        for path in expand(task.resume):
            pod.there.pop(path, None)  # an earlier job there has changed or removed it
        self.send(pods, pod, [*task.inputs, *task.resume])
        pods.run(pod, _start(task))
        resumption = _Resumption(self, pods, pod, task)
        code = self._follow(pods, pod, task, resumption)
        there = resumption.bring()
        self._bring_texts(pods, pod, task)
        if code:
            raise JobFailed(f"exit code {code} on pod {pod.info.id}:\n{self._tail(pods, pod, task)}")
        if task.outputs:
            self._bring_back(pods, pod, task)
        for path in set(task.resume) - there:
            # The job is done, and what it made is here, as it said: now the way back is given up, and kept even so.
            set_aside(Path(path), STAGING / "done")

    def _run_beside(self, pods: Pods, pod: Pod, task: Task, beside: Beside) -> None:
        """The job itself here, what it asks for on the pod. Errors: as `run_on`."""
        tell(f"bash -c {shlex.quote(beside.check)}", [])
        server = replace(task, name=f"{task.name}-serves", command=beside.serves, outputs=(), extras=(), resume=())
        self.send(pods, pod, task.inputs)
        socket = f"{JOBS}/{server.name}/socket"
        environment = server.environment | {beside.variable: socket}
        pods.run(pod, _start(replace(server, environment=environment)))

        def alive() -> None:
            head, _, _ = pods.run(pod, _look(server.name, None, 0)).partition(b"\n")
            if time.time() > pods.deadline(pod) - ASKING_SECONDS:
                raise OutOfTime
            if head != b"runs":
                raise JobFailed(
                    f"what serves {task.name} on pod {pod.info.id} has ended:\n{self._tail(pods, pod, server)}"
                )

        def ready() -> bool:
            alive()
            return pods.run(pod, f"[ -S {socket} ] && echo yes || true") == b"yes\n"

        try:
            ended = run_beside(beside, pod.remote, socket, ready, alive, self._pace.poll, self._wait)
            if ended.code:
                alive()  # where the pod or what it serves is gone, that is the reason
        finally:
            # The pod may be lost, and then there is nothing to end.
            if pods.current is pod:
                try:
                    pod.remote.run(f"kill -- -$(cat {JOBS}/{server.name}/pid) 2> /dev/null || true")
                except (Unreachable, Failed):
                    self._say(f"what served {task.name} could not be stopped: it ends with its pod")
        if ended.code:
            raise JobFailed(f"exit code {ended.code} here:\n{ended.tail}")

    def send(self, pods: Pods, pod: Pod, paths: Iterable[str]) -> None:
        """Files that the pod does not have as they are now; their digests are compared where they arrived."""
        with pod.sending:
            missing = {path: stamp(path) for path in expand(paths) if pod.there.get(path) != stamp(path)}
            if not missing:
                return
            size = sum(bytes_ for bytes_, _ in missing.values())
            if size > 1e8:
                self._say(f"sending {len(missing)} files, {size / 1e9:.2f} GB")
            until = partial(pods.deadline, pod)
            say = partial(self._say_with, "out")
            pods.persist(pod, partial(send_checked, pod.remote, missing, say, until))
            pod.there.update(missing)

    def _follow(self, pods: Pods, pod: Pod, task: Task, resumption: "_Resumption") -> int:
        """Wait for the exit code; meanwhile the log grows here too, and what the job can go on from comes back."""
        log = Path(task.log) if task.log else None
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_bytes(b"")
        read = 0
        text = PlainText()
        started = time.monotonic()
        with ThreadPoolExecutor(1) as beside:
            while True:
                head, _, more = pods.run(pod, _look(task.name, task.log, read)).partition(b"\n")
                if log is not None and more and read < LOG_BYTES:
                    with log.open("ab") as file:
                        file.write(text.add(more))
                    read += len(more)
                if head == b"gone":
                    raise PodLost(
                        "the job's process is gone without an exit code: its container was started again, or it was "
                        "killed"
                    )
                if head != b"runs":
                    resumption.wait()
                    return _exit_code(head)
                if time.time() > pods.deadline(pod) - resumption.seconds:
                    resumption.wait()
                    resumption.bring()
                    raise _out_of_time(pods, task)
                # Beside the looks: what takes long to fetch holds back neither the log nor the end.
                resumption.begin(beside, self._pace.resume)
                # A job of seconds is looked at often, one of hours seldom.
                self._wait(min(self._pace.poll, 0.2 + (time.monotonic() - started) / 10))

    def _bring_back(self, pods: Pods, pod: Pod, task: Task) -> None:
        """Outputs into a directory of their own, compared with the digests taken on the pod, then all put in place."""
        staging = STAGING / task.name
        printed = pods.run(pod, f"cat {JOBS}/{task.name}/digests")
        wrong = self.stage(pods, pod, task.outputs, staging, parse_digests(printed.decode(errors="replace")))
        if wrong:
            raise JobFailed(
                f"{plain(wrong)} arrived {FETCHES} times with other bytes than on pod {pod.info.id}: run again"
            )
        for output in task.outputs:
            if not (staging / output).exists():
                raise JobFailed(f"pod {pod.info.id} has not made {output}")
        for output in task.outputs:
            install(staging / output, Path(output))
            pod.there.update({path: stamp(path) for path in expand([output])})
        shutil.rmtree(staging)

    def stage(
        self,
        pods: Pods,
        pod: Pod,
        paths: Iterable[str],
        staging: Path,
        expected: dict[str, str],
        root: str | None = None,
    ) -> str | None:
        """Fetch `paths` into `staging`: nothing of a pod goes anywhere else before it was looked at. Names that were
        not asked for, and what is no plain file, count as wrong. Returns the first path that is wrong, None: none is.

        Errors: as `Remote.fetch`, PodLost.
        """
        wanted = [os.path.normpath(path) for path in paths]
        wrong: list[str] = []
        for fetch in range(FETCHES):
            most = min(self._pace.gigabytes * GB, shutil.disk_usage(".").free - FREE_BYTES)
            say = partial(self._say_with, "back")
            until = partial(pods.deadline, pod)
            action = partial(pod.remote.fetch, wanted, staging, say, until, most, fetch > 0, root)
            pods.persist(pod, action)
            wrong = strangers(staging, wanted) or differing(staging, expected)
            if not wrong:
                return None
        return wrong[0]

    def _bring_texts(self, pods: Pods, pod: Pod, task: Task) -> None:
        """Small texts of the job, benchmarks and further logs: as plain text, in the place of none that is here."""
        for path in task.extras:
            if path == task.log:
                continue
            script = f"[ ! -f {shlex.quote(path)} ] || head -c {TEXT_BYTES} -- {shlex.quote(path)}"
            content = pods.run(pod, script)
            if content:
                staged = STAGING / f"{task.name}.text"
                staged.parent.mkdir(parents=True, exist_ok=True)
                staged.write_text(plain(content.decode(errors="replace")), encoding="utf-8")
                install(staged, Path(path))

    def placed(self, paths: list[str]) -> None:
        """Errors: RunPodError where the command refuses them."""
        if paths and self._placed:
            tell(self._placed, paths)

    def _say_with(self, direction: str, progress: str) -> None:
        self._say(f"{direction}: {progress}")

    def _tail(self, pods: Pods, pod: Pod, task: Task) -> str:
        return plain(pods.run(pod, f"tail -c {TAIL} {JOBS}/{task.name}/output").decode(errors="replace"))


class _Resumption:
    """What a killed job can go on from, as it comes back: a copy is made on the pod, at once, and that is fetched."""

    def __init__(self, runner: Runner, pods: Pods, pod: Pod, task: Task) -> None:
        self._runner, self._pods, self._pod, self._task = runner, pods, pod, task
        self._taken = time.monotonic()
        self._running = False
        self._error: BaseException | None = None
        self._measured: float | None = None
        self._left = pods.deadline(pod) - time.time()

    @property
    def seconds(self) -> float:
        """Before the end, for the last time; of a pod with minutes to live no more than a share of them."""
        asking = min(ASKING_SECONDS, self._left / 10)
        if not self._task.resume:
            return asking
        return asking + (min(UNMEASURED_SECONDS, self._left / 4) if self._measured is None else 1.5 * self._measured)

    def begin(self, beside: ThreadPoolExecutor, every: float) -> None:
        """Where it is time, in a thread of `beside`. Errors: of the time before."""
        if self._error is not None:
            raise self._error
        if self._task.resume and not self._running and time.monotonic() - self._taken > every:
            self._running = True
            beside.submit(self._bring_beside)

    def wait(self) -> None:
        """Until none is on its way. Errors: its own."""
        while self._running:
            time.sleep(0.05)
        if self._error is not None:
            raise self._error

    def bring(self) -> set[str]:
        """The paths that are there; what is here of others stays: a pod's word deletes nothing.

        Errors: as `Runner.stage`; RunPodError where what came back is refused.
        """
        if not self._task.resume:
            return set()
        started = time.monotonic()
        try:
            return self._bring()
        finally:
            self._measured = time.monotonic() - started
            self._taken = time.monotonic()

    def _bring(self) -> set[str]:
        task, pods, pod = self._task, self._pods, self._pod
        copy = f"{JOBS}/{task.name}/copy"
        expected = parse_digests(pods.run(pod, _copy(task.resume, copy), COPY_SECONDS).decode(errors="replace"))
        there = {path for path in task.resume if any(_is_at_or_below(name, path) for name in expected)}
        if not there:
            return there
        staging = STAGING / f"{task.name}.resume"
        for path in set(task.resume) - there:
            shutil.rmtree(staging / path, ignore_errors=True)
        wrong = self._runner.stage(pods, pod, sorted(there), staging, expected, root=copy)
        if wrong is not None:
            raise JobFailed(
                f"{plain(wrong)}, from which {task.name} can go on, is not what pod {pod.info.id} said it was"
            )
        for path in sorted(there):
            adopt(staging / path, Path(path))
        self._runner.placed(sorted(there))
        return there

    def _bring_beside(self) -> None:
        try:
            self.bring()
        except TooMuch as error:
            self._error = error
        except Failed:
            pass  # the job was replacing it all the time: what came back before stays, and it is asked again
        except BaseException as error:
            self._error = error
        finally:
            self._running = False


def send_checked(remote: Remote, paths: Iterable[str], say: Say, until: Until) -> None:
    """Files to a pod, hashed here while they travel and there when they have arrived.

    Errors: Unreachable, OutOfTime; Failed where they do not fit there; PodLost where they arrived damaged.
    """
    listed = list(paths)
    with ThreadPoolExecutor(1) as beside:
        hashed = beside.submit(digests, listed)
        remote.send(listed, say, until)
    expected = hashed.result()
    names = "\n".join(expected)
    try:
        printed = remote.run(f"tr '\\n' '\\0' <<'END' | {HASHES}\n{names}\nEND", HASH_SECONDS)
    except Failed as error:
        raise PodLost(f"files did not arrive: {error}") from error
    if wrong := sorted(expected.items() ^ parse_digests(printed.decode(errors="replace")).items()):
        raise PodLost(f"files arrived damaged: {plain(wrong[0][0])} is not what was sent")


def _out_of_time(pods: Pods, task: Task) -> RunPodError:
    return RunPodError(
        f"the pod's time is over ({pods.cost_line()}) and {task.name} is not done. What it can go on from came back: "
        "run again to go on, with a higher ceiling or more --runpod-hours if need be"
    )


def _exit_code(said: bytes) -> int:
    """Errors: JobFailed for what is not a number."""
    if not said.isdigit() or len(said) > 3:
        raise JobFailed(f"the pod says {plain(said[:80].decode(errors='replace'))!r} where an exit code belongs")
    return int(said)


def _is_at_or_below(name: str, path: str) -> bool:
    path = os.path.normpath(path)
    return name == path or name.startswith(f"{path}/")


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


def _look(name: str, log: str | None, read: int) -> str:
    """Prints `runs`, `gone` or the exit code on a line, then what the log has beyond `read` bytes."""
    more = f"tail -c +{read + 1} {shlex.quote(log)} | head -c {LOOK_BYTES}" if log else "true"
    return f"""
{KEEP}
job={JOBS}/{name}
if [ -e $job/exit ]; then cat $job/exit
elif kill -0 $(cat $job/pid) 2> /dev/null; then echo runs
elif [ -e $job/exit ]; then cat $job/exit
else echo gone
fi
{f"[ ! -e {shlex.quote(log)} ] ||" if log else ""} {more}
true
"""


def _copy(paths: Iterable[str], copy: str) -> str:
    """A copy of what is there of `paths`, and the digests of its files. The job may be replacing one in this moment:
    then it is copied again."""
    each = "\n".join(
        f"if [ -e {path} ]; then cp -a --parents -- {path} {copy}.new 2> /dev/null || whole=; fi"
        for path in map(shlex.quote, paths)
    )
    return f"""
for try in 1 2 3 4 5; do
whole=yes
rm -rf {copy}.new && mkdir -p {copy}.new
{each}
[ -z "$whole" ] || break
done
[ -n "$whole" ] || exit 1
rm -rf {copy} && mv {copy}.new {copy} && cd {copy} && find . -type f ! -path '*/.partial-transfer/*' -print0 | {HASHES}
"""
