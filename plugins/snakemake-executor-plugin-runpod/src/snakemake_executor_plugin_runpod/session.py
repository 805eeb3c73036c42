"""One run's use of RunPod: its claim, its pod with what every job needs on it, the lease, and the end."""

import fcntl
import threading
import uuid
from pathlib import Path
from typing import TextIO

from snakemake_executor_plugin_runpod.api import KEY_VARIABLE, client_from_environment
from snakemake_executor_plugin_runpod.errors import Cancelled, RunPodError, Unreachable, WrongHostKey
from snakemake_executor_plugin_runpod.job import JobFailed, Pace, Runner, Task
from snakemake_executor_plugin_runpod.pod import Order, Pod, Pods
from snakemake_executor_plugin_runpod.settings import ExecutorSettings, ceiling, need
from snakemake_executor_plugin_runpod.ssh import Failed, Say, make_keys
from snakemake_executor_plugin_runpod.tag import make_tag

LOCK = Path(".snakemake/runpod.lock")
SETUP_LOG = ".snakemake/runpod/setup.log"


class Session:
    """Nothing is rented before the first task. Whoever opens one closes it."""

    def __init__(
        self, settings: ExecutorSettings, sources: tuple[str, ...], environment: dict[str, str], say: Say
    ) -> None:
        """Checks what can be checked for nothing, and claims the work.

        `sources`: files of the working directory that every new pod gets. `environment`: of every command there; it may
        hold secrets. Errors: RunPodError, one sentence.
        """
        if KEY_VARIABLE in environment:
            raise RunPodError(f"{KEY_VARIABLE} stays here: take it out of --envvars and `envvars:`")
        self._settings = settings
        self._sources = sources
        self._environment = environment
        self._stopped = threading.Event()
        order = _order(settings)
        client = client_from_environment(self._wait)
        self._lock_file = _take_lock()
        self._keys = make_keys()
        tag = make_tag(settings.name, Path.cwd())
        ender = client_from_environment()
        self.pods = Pods(client, ender, tag, order, self._keys, self._prepare, say, self._wait)
        self.runner = Runner(
            self.pods, Pace(settings.poll_seconds, settings.resume_seconds), say, self._wait, settings.resume_placed
        )
        try:
            self.pods.claim()
        except BaseException:
            self.forget()
            raise
        threading.Thread(target=self._keep_lease, daemon=True).start()

    def stop(self) -> None:
        """Every wait ends with Cancelled from here on."""
        self._stopped.set()

    def close(self) -> None:
        """Errors: RunPodError where it is not known whether the pod has ended, with what to do."""
        self.stop()
        self.pods.close()

    def forget(self) -> None:
        """After the last `close`: the key to the pod, and that this directory was in use."""
        self._keys.remove()
        self._lock_file.close()

    def _prepare(self, pod: Pod) -> None:
        """Sources onto a new pod, and the setup command, whose output is kept in SETUP_LOG."""
        command = f"mkdir -p $(dirname {SETUP_LOG}); ( {self._settings.setup} ) > {SETUP_LOG} 2>&1"
        name = f"setup-{uuid.uuid4().hex[:8]}"
        setup = Task(name, command, self._sources, (), (), (), SETUP_LOG, self._environment)
        try:
            self.runner.run_on(pod, setup)
        except JobFailed as error:
            raise RunPodError(f"--runpod-setup failed: see {SETUP_LOG}. {error}") from error

    def _keep_lease(self) -> None:
        while not self._stopped.wait(min(60.0, self._settings.lease_minutes * 60 / 4)):
            try:
                self.pods.keep()
            except (Unreachable, Failed, WrongHostKey, RunPodError):
                continue  # a job's own calls find out what that means

    def _wait(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise Cancelled


def _order(settings: ExecutorSettings) -> Order:
    return Order(
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


def _take_lock() -> TextIO:
    """One run of a directory at a time: the next one ends the pods that this one left."""
    LOCK.parent.mkdir(exist_ok=True)
    file = LOCK.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise RunPodError("another run of this directory is using RunPod already: wait for it, or stop it") from error
    return file
