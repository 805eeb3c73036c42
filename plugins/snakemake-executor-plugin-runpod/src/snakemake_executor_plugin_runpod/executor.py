"""The executor that Snakemake talks to: every job in a thread of its own, on the run's one pod."""

import atexit
import re
import signal
import sys
import threading
import uuid
from collections.abc import AsyncGenerator
from concurrent.futures import Future
from dataclasses import replace
from types import FrameType
from typing import Any

from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface

from snakemake_executor_plugin_runpod.beside import Beside
from snakemake_executor_plugin_runpod.choose import Need
from snakemake_executor_plugin_runpod.errors import Cancelled, RunPodError
from snakemake_executor_plugin_runpod.files import tell
from snakemake_executor_plugin_runpod.job import Runner, Task
from snakemake_executor_plugin_runpod.session import Session
from snakemake_executor_plugin_runpod.settings import ExecutorSettings, names, need, positive
from snakemake_executor_plugin_runpod.text import plain

JOIN_SECONDS = 60.0
KEYS_VARIABLE = "RUNPOD_RESUME_KEYS"
SOCKET_VARIABLE = "RUNPOD_SOCKET"
# Of the variables that are handed to jobs, those that are given away with care: a job's `params.secrets` names what it
# needs, and no other job, nor a pod's setup, has them.
SECRET = re.compile("TOKEN|KEY|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)


class Executor(RemoteExecutor):
    """Nothing is rented before the first job that is not local; see docs/runpod.md."""

    def __post_init__(self) -> None:
        self._settings: ExecutorSettings = self.workflow.executor_settings
        self._threads: list[threading.Thread] = []
        self._session: Session | None = None
        self.next_seconds_between_status_checks = 1

    def run_job(self, job: JobExecutorInterface) -> None:
        params = _params(job)
        count = params.get("gpu_count")
        asked = need(self._settings, str(params.get("gpus") or ""), int(count) if count else None)
        if self._settings.pods > 1:
            asked = replace(asked, apart=str(params.get("apart") or job.name))
        session = self._session or self._open(asked)
        task = self._task(job, asked)
        if (dollars := params.get("max_dollars")) is not None:
            session.pods.work_for(asked, str(params.get("account", job.name)), positive(dollars))
        done: Future[None] = Future()
        thread = threading.Thread(target=_carry_out, args=(session.runner, task, done), name=task.name, daemon=True)
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
                self._say(f"{info.external_jobid} is done: {self._session.pods.cost_line() if self._session else ''}")
                self.report_job_success(info)
            else:
                self.logger.error(f"runpod: {info.external_jobid}: {plain(str(error))}")
                self.report_job_error(info)

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        if self._session is not None:
            self._session.stop()

    def shutdown(self) -> None:
        super().shutdown()
        self._close()

    def _open(self, first: Need) -> Session:
        """`first`: what the first job asks for. Errors: RunPodError, one sentence; nothing is rented yet."""
        self._sources = tuple(path for path in self.dag.get_sources() if not path.startswith(".."))
        self._session = Session(self._settings, self._sources, self._handed(()), self._precommand(), first, self._say)
        self._end_in_every_case()
        return self._session

    def _task(self, job: JobExecutorInterface, asked: Need) -> Task:
        params = _params(job)
        logs = [str(path) for path in job.log]
        benchmark = [] if job.is_group() or not job.benchmark else [str(job.benchmark)]
        resume = tuple(str(params[name]) for name in names(self._settings.resume) if name in params)
        command = self.format_job_exec(job)
        serves = params.get("serves")
        return Task(
            name=f"{job.name}-{uuid.uuid4().hex[:8]}",
            command=command,
            inputs=(*self._sources, *map(str, job.input)),
            outputs=tuple(map(str, job.output)),
            extras=(*logs, *benchmark),
            resume=resume,
            log=logs[0] if logs else None,
            environment=self._handed(names(str(params.get("secrets", "")))) | self._keys(resume),
            need=asked,
            beside=self._beside(str(serves), command) if serves else None,
        )

    def _handed(self, secrets: tuple[str, ...]) -> dict[str, str]:
        """What goes to a pod of the variables that jobs are handed: every plain one, and of the secrets these."""
        return {name: value for name, value in self.envvars().items() if name in secrets or not SECRET.search(name)}

    def _beside(self, serves: str, command: str) -> Beside:
        check = self._settings.whole or "true"
        return Beside(self._after_precommand(serves), self._here(command), SOCKET_VARIABLE, check)

    def _precommand(self) -> str:
        return str(self.workflow.spawned_job_args_factory.precommand(executor_common_settings=self.common_settings))

    def _after_precommand(self, command: str) -> str:
        before = self._precommand()
        return f"{before} && {command}" if before else command

    def _here(self, command: str) -> str:
        """A job's command for this machine, where the environment is that of the running Snakemake."""
        before = self._precommand()
        return command.replace(f"{before} && ", "", 1) if before else command

    def _keys(self, resume: tuple[str, ...]) -> dict[str, str]:
        command = self._settings.resume_keys
        return {KEYS_VARIABLE: tell(command, resume).strip()} if resume and command else {}

    def _say(self, text: str) -> None:
        self.logger.info(f"runpod: {text}")  # plain: the session sees to that

    def _end_in_every_case(self) -> None:
        """Snakemake takes SIGTERM for a wish to finish the running jobs, which costs hours here: it ends the run."""
        atexit.register(self._close)

        def leave(number: int, frame: FrameType | None) -> None:
            sys.exit(128 + number)

        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, leave)

    def _close(self) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        try:
            session.close()
            if running := [thread for thread in self._threads if thread.is_alive()]:
                # One of them may have been about to rent a pod.
                for thread in running:
                    thread.join(JOIN_SECONDS)
                session.close()
            session.end_watch()
        except RunPodError as error:
            self.logger.error(f"runpod: {error}")
        finally:
            session.forget()


def _params(job: JobExecutorInterface) -> dict[str, Any]:
    return {} if job.is_group() else dict(job.params.items())


def _carry_out(runner: Runner, task: Task, done: "Future[None]") -> None:
    try:
        runner.run(task)
        done.set_result(None)
    except BaseException as error:
        done.set_exception(error)
