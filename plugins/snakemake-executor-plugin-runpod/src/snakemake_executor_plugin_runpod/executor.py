"""The executor that Snakemake talks to: every job in a thread of its own, on the run's one pod."""

import atexit
import fcntl
import signal
import sys
import threading
import uuid
from collections.abc import AsyncGenerator
from concurrent.futures import Future
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface

from snakemake_executor_plugin_runpod.api import KEY_VARIABLE, client_from_environment
from snakemake_executor_plugin_runpod.errors import Cancelled, PodLost, RunPodError, Unreachable
from snakemake_executor_plugin_runpod.job import JobFailed, Pace, Runner, Task
from snakemake_executor_plugin_runpod.pod import Order, Pod, Pods
from snakemake_executor_plugin_runpod.settings import ExecutorSettings, ceiling, names, need, positive
from snakemake_executor_plugin_runpod.ssh import make_keys
from snakemake_executor_plugin_runpod.tag import make_tag

LOCK = Path(".snakemake/runpod.lock")
JOIN_SECONDS = 60.0


class Executor(RemoteExecutor):
    """Nothing is rented before the first job that is not local; see docs/runpod.md."""

    def __post_init__(self) -> None:
        self._settings: ExecutorSettings = self.workflow.executor_settings
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._pods: Pods | None = None
        self._runner: Runner | None = None
        self._lock_file: TextIO | None = None
        self.next_seconds_between_status_checks = 1

    def run_job(self, job: JobExecutorInterface) -> None:
        runner = self._runner or self._open()
        task = self._task(job)
        if (dollars := _params(job).get("max_dollars")) is not None:
            assert self._pods is not None
            self._pods.lower_ceiling(positive(dollars))
        done: Future[None] = Future()
        thread = threading.Thread(target=_carry_out, args=(runner, task, done), name=task.name, daemon=True)
        self._threads.append(thread)
        self.report_job_submission(SubmittedJobInfo(job, external_jobid=task.name, aux={"done": done}))
        thread.start()

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncGenerator[SubmittedJobInfo, None]:
        for info in active_jobs:
            done: Future[None] = (info.aux or {})["done"]
            if not done.done() or isinstance(error := done.exception(), Cancelled):
                yield info
                continue
            if error is None:
                self._say(f"{info.external_jobid} is done: {self._pods.cost_line() if self._pods else ''}")
                self.report_job_success(info)
            else:
                self.logger.error(f"runpod: {info.external_jobid}: {error}")
                self.report_job_error(info)

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        self._stopped.set()

    def shutdown(self) -> None:
        super().shutdown()
        self._close()

    def _open(self) -> Runner:
        """Check what can be checked for nothing, and claim the work. Errors: RunPodError, one sentence."""
        settings = self._settings
        order = Order(
            need=need(settings),
            ceiling=ceiling(settings),
            image=settings.image,
            disk=settings.disk,
            seconds=settings.hours * 3600,
            lease_seconds=settings.lease_minutes * 60,
            wait_seconds=settings.wait_minutes * 60,
            start_seconds=settings.start_minutes * 60,
            silent_seconds=settings.silent_minutes * 60,
            replacements=settings.replacements,
        )
        client = client_from_environment(self._wait)
        self._lock_file = _take_lock()
        self._keys = make_keys()
        pods = Pods(
            client,
            client_from_environment(),
            make_tag(settings.name, Path.cwd()),
            order,
            self._keys,
            self._prepare,
            self._say,
            self._wait,
        )
        self._runner = Runner(pods, Pace(settings.poll_seconds, settings.resume_seconds), self._say, self._wait)
        self._sources = tuple(path for path in self.dag.get_sources() if not path.startswith(".."))
        pods.claim()
        self._pods = pods
        self._end_in_every_case()
        threading.Thread(target=self._keep_lease, daemon=True).start()
        return self._runner

    def _task(self, job: JobExecutorInterface) -> Task:
        if KEY_VARIABLE in self.envvars():
            raise RunPodError(f"{KEY_VARIABLE} stays here: take it out of --envvars and `envvars:`")
        params = _params(job)
        logs = [str(path) for path in job.log]
        benchmark = [] if job.is_group() or not job.benchmark else [str(job.benchmark)]
        return Task(
            name=f"{job.name}-{uuid.uuid4().hex[:8]}",
            command=self.format_job_exec(job),
            inputs=(*self._sources, *map(str, job.input)),
            outputs=tuple(map(str, job.output)),
            extras=(*logs, *benchmark),
            resume=tuple(str(params[name]) for name in names(self._settings.resume) if name in params),
            log=logs[0] if logs else None,
            environment=dict(self.envvars()),
        )

    def _prepare(self, pod: Pod) -> None:
        """Sources onto a new pod, and the setup command, whose output is kept in .snakemake/runpod/setup.log."""
        assert self._runner is not None
        log = ".snakemake/runpod/setup.log"
        command = f"mkdir -p $(dirname {log}); ( {self._settings.setup} ) > {log} 2>&1"
        setup = Task(f"setup-{uuid.uuid4().hex[:8]}", command, self._sources, (), (), (), log, dict(self.envvars()))
        try:
            self._runner.run_on(pod, setup)
        except JobFailed as error:
            raise RunPodError(f"--runpod-setup failed: see {log}. {error}") from error

    def _keep_lease(self) -> None:
        while not self._stopped.wait(min(60.0, self._settings.lease_minutes * 60 / 4)):
            try:
                assert self._pods is not None
                self._pods.keep()
            except (Unreachable, PodLost, WorkflowError):
                continue

    def _wait(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise Cancelled

    def _say(self, text: str) -> None:
        self.logger.info(f"runpod: {text}")

    def _end_in_every_case(self) -> None:
        """Snakemake takes SIGTERM for a wish to finish the running jobs, which costs hours here: it ends the run."""
        atexit.register(self._close)

        def leave(number: int, frame: FrameType | None) -> None:
            sys.exit(128 + number)

        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, leave)

    def _close(self) -> None:
        self._stopped.set()
        pods, self._pods = self._pods, None
        if pods is None:
            return
        try:
            pods.close()
            if running := [thread for thread in self._threads if thread.is_alive()]:
                # One of them may have been about to rent a pod.
                for thread in running:
                    thread.join(JOIN_SECONDS)
                pods.close()
        except RunPodError as error:
            self.logger.error(f"runpod: {error}")
        finally:
            self._keys.remove()


def _params(job: JobExecutorInterface) -> dict[str, Any]:
    return {} if job.is_group() else dict(job.params.items())


def _carry_out(runner: Runner, task: Task, done: "Future[None]") -> None:
    try:
        runner.run(task)
        done.set_result(None)
    except BaseException as error:
        done.set_exception(error)


def _take_lock() -> TextIO:
    """One run of a directory at a time: the next one ends the pods that this one left."""
    LOCK.parent.mkdir(exist_ok=True)
    file = LOCK.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise RunPodError("another run of this directory is using RunPod already: wait for it, or stop it") from error
    return file
