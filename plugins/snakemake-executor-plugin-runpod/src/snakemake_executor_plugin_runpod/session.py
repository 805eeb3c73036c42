"""One run's use of RunPod: its claim, its pod with what every job needs on it, the lease, and the end."""

import fcntl
import threading
import uuid
from pathlib import Path
from typing import TextIO

from snakemake_executor_plugin_runpod.api import KEY_VARIABLE, client_from_environment
from snakemake_executor_plugin_runpod.choose import Need
from snakemake_executor_plugin_runpod.errors import Cancelled, RunPodError
from snakemake_executor_plugin_runpod.fleet import Fleet
from snakemake_executor_plugin_runpod.job import JobFailed, Pace, Runner, Task
from snakemake_executor_plugin_runpod.ledger import Ledger
from snakemake_executor_plugin_runpod.pod import Account, Order, Pod, Pods
from snakemake_executor_plugin_runpod.purse import Purse
from snakemake_executor_plugin_runpod.settings import ExecutorSettings, dollars, names
from snakemake_executor_plugin_runpod.ssh import Say, make_keys
from snakemake_executor_plugin_runpod.tag import make_tag
from snakemake_executor_plugin_runpod.text import plain
from snakemake_executor_plugin_runpod.watchdog import Watchdog

LOCK = Path(".snakemake/runpod.lock")
SETUP_LOG = ".snakemake/runpod/setup.log"
PREFLIGHT_LOG = ".snakemake/runpod/preflight.log"


class Session:
    """Nothing is rented before the first task. Whoever opens one closes it."""

    def __init__(
        self,
        settings: ExecutorSettings,
        sources: tuple[str, ...],
        environment: dict[str, str],
        precommand: str,
        need: Need,
        say: Say,
    ) -> None:
        """Checks what can be checked for nothing, and claims the work.

        `sources`: files of the working directory that every new pod gets. `environment`: of every command there, and
        no secret. `precommand`: before every job there. `need`: of the first task. Errors: RunPodError, one sentence.
        """
        if KEY_VARIABLE in environment:
            raise RunPodError(f"{KEY_VARIABLE} stays here: take it out of --envvars and `envvars:`")
        self._settings = settings
        self._sources = sources
        self._environment = environment
        self._precommand = precommand or "true"
        self._say = lambda text: say(plain(text))
        self._stopped = threading.Event()
        run = dollars(settings)
        client = client_from_environment(self._wait)
        self._lock_file = _take_lock()
        ledger = Ledger(Path(settings.ledger))
        self._keys = make_keys()
        self._watchdog = Watchdog()
        account = Account(
            client=client,
            ender=client_from_environment(),
            tag=make_tag(settings.name, Path.cwd()),
            keys=self._keys,
            purse=Purse(ledger, run),
            watchdog=self._watchdog,
            say=self._say,
            wait=self._wait,
        )
        self.pods = Fleet(account, _order(settings), self._prepare, settings.pods)
        pace = Pace(settings.poll_seconds, settings.resume_seconds, settings.disk, settings.keep_minutes * 60)
        self.runner = Runner(self.pods, pace, self._say, self._wait, settings.resume_placed)
        try:
            self.pods.claim(need, ledger)
        except BaseException:
            self._watchdog.close()
            self.forget()
            raise
        threading.Thread(target=self._keep_lease, daemon=True).start()

    def stop(self) -> None:
        """Every wait ends with Cancelled from here on."""
        self._stopped.set()

    def close(self) -> None:
        """Errors: RunPodError where it is not known whether every pod has ended, with what to do."""
        self.stop()
        self.pods.close()

    def forget(self) -> None:
        """After the last `close`: the key to the pod, and that this directory was in use."""
        self._keys.remove()
        self._lock_file.close()

    def end_watch(self) -> None:
        """After a `close` that ended well: until then somebody must look after the pods."""
        self._watchdog.close()

    def _prepare(self, pods: Pods, pod: Pod) -> None:
        """Sources onto a new pod; the setup command, and the preflight, before anything large is sent or fetched; and
        whether jobs run there whole. Errors: RunPodError, PodLost."""
        settings = self._settings
        self._command(pods, pod, "setup", settings.setup, SETUP_LOG)
        if settings.preflight:
            self._command(pods, pod, "preflight", f"{self._precommand} && {settings.preflight}", PREFLIGHT_LOG)
        if settings.whole:
            try:
                self._command(pods, pod, "whole", f"{self._precommand} && {settings.whole}", PREFLIGHT_LOG)
            except RunPodError as error:
                pod.whole = False
                self._say(f"jobs that can run here do, with the pod's GPUs: {error}")

    def _command(self, pods: Pods, pod: Pod, name: str, command: str, log: str) -> None:
        """Run a command of the settings, `--runpod-NAME`, on a new pod. Errors: RunPodError with its last words."""
        text = f"mkdir -p $(dirname {log}); ( {command} ) > {log} 2>&1"
        planned = (
            {} if pod.info.gpu is None else {"RUNPOD_GPU": pod.info.gpu.id, "RUNPOD_GPUS": str(pod.info.gpu.count)}
        )
        task = Task(
            name=f"{name}-{uuid.uuid4().hex[:8]}",
            command=text,
            inputs=self._sources,
            outputs=(),
            extras=(),
            resume=(),
            log=log,
            environment=self._environment | planned,
            need=pods.need,
        )
        try:
            self.runner.run_on(pods, pod, task)
        except JobFailed as error:
            said = Path(log).read_text(encoding="utf-8").strip().rpartition("\n")[2]
            raise RunPodError(
                f"--runpod-{name} failed on pod {pod.info.id}: {said or error} (all it said: {log})"
            ) from error

    def _keep_lease(self) -> None:
        while not self._stopped.wait(min(60.0, self._settings.lease_minutes * 60 / 4)):
            self.pods.keep()

    def _wait(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise Cancelled


def _order(settings: ExecutorSettings) -> Order:
    return Order(
        dollars_per_hour=settings.max_dollars_per_hour,
        data_centers=names(settings.data_centers),
        volume=settings.volume,
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
