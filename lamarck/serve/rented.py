"""`lamarck serve gN --on runpod`: the same server on a rented pod, behind an ssh tunnel that ends at this machine.

The pod ends with the command: when that is stopped, when nobody has asked anything for a while, or when the money is
spent. A pod that is lost is replaced, and the tunnel with it.
"""

import os
import re
import shlex
import signal
import socket
import subprocess
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import Any

from snakemake_executor_plugin_runpod.choose import Need
from snakemake_executor_plugin_runpod.errors import Cancelled, RunPodError
from snakemake_executor_plugin_runpod.job import JobFailed, Task
from snakemake_executor_plugin_runpod.session import Session
from snakemake_executor_plugin_runpod.settings import ExecutorSettings, need
from snakemake_executor_plugin_runpod.ssh import Remote

from lamarck import strict_yaml
from lamarck.budget.machine import load_catalogue
from lamarck.budget.rent import kinds_no_worse
from lamarck.config import Config, load_config
from lamarck.errors import LamarckError
from lamarck.lineage.generation import Generation
from lamarck.lineage.records import distrust
from lamarck.models.shards import read_shards
from lamarck.serve import EngineKind
from lamarck.serve.model import servable
from lamarck.serve.run import chosen_engine
from lamarck.serve.vllm import vllm_config

TOKEN = "HF_TOKEN"
ANSWERS = re.compile(r"answers at http://127\.0\.0\.1:([0-9]+)/v1")
LOOK_SECONDS = 0.5
END_SECONDS = 60.0


@dataclass(frozen=True)
class Tunnel:
    """A port of a pod, at a port of this machine."""

    pod: str
    remote_port: int
    process: subprocess.Popen[bytes]

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()


def serve_on_pod(
    generation: Generation,
    engine: EngineKind | None,
    port: int,
    idle_minutes: float,
    max_dollars: float | None,
    profile: Path,
    config_path: Path,
) -> None:
    """Blocks until SIGINT or SIGTERM, or until the pod's server has ended.

    Errors: LamarckError where the generation may not be served, or RunPod does not give a pod within the ceiling.
    """
    config = load_config(config_path)
    model = servable(generation)
    port = _free(port)
    settings, precommand = read_profile(profile, max_dollars)
    sources = _tracked()
    log = Path("logs/serve") / f"{generation.name}.log"
    engine = chosen_engine(engine, config)
    serve = f"python -m lamarck serve {generation.name} --engine {engine} --port 0 --idle-minutes {idle_minutes:g}"
    serve += f" --configfile {shlex.quote(str(config_path))}"
    if engine == "vllm":
        # Left to the profile's setup, it would be made for every pod, or for none.
        python = shlex.quote(vllm_config(config).python)
        serve = f"{{ [ -x {python} ] || bash profiles/runpod/vllm.sh; }} && {serve}"
    task = Task(
        name=f"serve-{uuid.uuid4().hex[:8]}",
        command=f"mkdir -p {log.parent} && {precommand} && {{ {serve}; }} > {log} 2>&1",
        inputs=(*sources, *map(str, files_of(generation))),
        outputs=(),
        extras=(),
        resume=(),
        log=str(log),
        environment=_token(generation),
        need=pod_of(config, settings),
    )
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    print(f"{model.name} matches its record; renting a pod", flush=True)
    try:
        session = Session(
            settings, sources, {}, precommand, task.need, lambda text: print(f"runpod: {text}", flush=True)
        )
        try:
            _carry_on(session, task, log, port)
        finally:
            session.close()
            session.end_watch()
            session.forget()
    except KeyboardInterrupt:
        print("stopped")
    except JobFailed as error:
        raise LamarckError(f"the server on the pod ended: {log} says why") from error
    except RunPodError as error:
        raise LamarckError(str(error)) from error


def _carry_on(session: Session, task: Task, log: Path, port: int) -> None:
    """Run the server, and hold a tunnel to wherever it is. Errors: those of the task."""
    ended: list[BaseException | None] = []

    def run() -> None:
        try:
            session.runner.run(task)
            ended.append(None)
        except BaseException as error:
            ended.append(error)

    log.unlink(missing_ok=True)
    runner = Thread(target=run, daemon=True)
    runner.start()
    tunnel: Tunnel | None = None
    try:
        while not ended:
            tunnel = _renewed(session, tunnel, log, port)
            time.sleep(LOOK_SECONDS)
    finally:
        if tunnel:
            tunnel.close()
        session.stop()
        # It may have been about to rent a pod.
        runner.join(END_SECONDS)
    if ended[0] is not None and not isinstance(ended[0], Cancelled):
        raise ended[0]
    print(f"the server has ended: {session.pods.cost_line()}")


def _renewed(session: Session, tunnel: Tunnel | None, log: Path, port: int) -> Tunnel | None:
    """The tunnel to the server that the log speaks of: opened when it is ready, again where it broke."""
    found = ANSWERS.findall(log.read_text(encoding="utf-8", errors="replace")) if log.exists() else []
    pod = session.pods.current
    if not found or pod is None:
        return tunnel
    remote_port = int(found[-1])
    if tunnel and tunnel.process.poll() is None:
        if (tunnel.pod, tunnel.remote_port) == (pod.info.id, remote_port):
            return tunnel
        tunnel.close()
    command = tunnel_command(pod.remote, port, remote_port)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    while process.poll() is None and not _open(port):
        time.sleep(LOOK_SECONDS)
    if tunnel is None and process.returncode is None:
        print(f"answers at http://127.0.0.1:{port}/v1; the tunnel: {shlex.join(command)}", flush=True)
        print("Ctrl-C ends the server and its pod", flush=True)
    return Tunnel(pod.info.id, remote_port, process)


def tunnel_command(remote: Remote, port: int, remote_port: int) -> list[str]:
    """`ssh -L` from this machine alone, over a connection of its own: it is to break when that does."""
    forward = f"127.0.0.1:{port}:127.0.0.1:{remote_port}"
    own = ["-o", "ControlPath=none", "-o", "ExitOnForwardFailure=yes"]
    # The first value that ssh is given for an option holds.
    return [remote.shell[0], *own, *remote.shell[1:], "-N", "-L", forward, remote.target]


def read_profile(profile: Path, max_dollars: float | None) -> tuple[ExecutorSettings, str]:
    """The executor's settings in a Snakemake profile, and the command before every job.

    Errors: LamarckError for a file that is not a profile, or a setting that does not exist.
    """
    values = strict_yaml.load(profile)
    if not isinstance(values, dict):
        raise LamarckError(f"{profile} is not a profile: it must be a mapping of settings")
    given: dict[str, Any] = {
        key.removeprefix("runpod-").replace("-", "_"): value
        for key, value in values.items()
        if key.startswith("runpod-")
    }
    unknown = given.keys() - {each.name for each in fields(ExecutorSettings)}
    if unknown:
        raise LamarckError(f"{profile}: there is no setting runpod-{min(unknown).replace('_', '-')}")
    given.pop("whole", None)  # nothing that the model writes is run
    if max_dollars is not None:
        given["max_dollars"] = max_dollars
    return ExecutorSettings(**given), values.get("precommand", "true")


def pod_of(config: Config, settings: ExecutorSettings) -> Need:
    """The machine that evaluations are planned on, or one no worse: the same model is asked in the same way. One
    that is planned `here` says nothing of it, and the profile does."""
    machine = config.machines.eval
    return need(settings, ", ".join(kinds_no_worse(load_catalogue(), machine.gpu)), machine.count)


def _token(generation: Generation) -> dict[str, str]:
    """Of the hub, where the founder comes from there and only some may read it."""
    on_hub = read_shards(generation.weights) is not None
    return {TOKEN: os.environ[TOKEN]} if on_hub and TOKEN in os.environ else {}


def files_of(generation: Generation) -> list[Path]:
    """What a server checks before it serves `generation`: founder, every child down to it, plan and approval."""
    children = generation.line[1:]
    answered = [generation.plan, generation.approval] if children else []
    return [generation.weights, *answered, *(child.change for child in reversed(children))]


def _tracked() -> tuple[str, ...]:
    """The project itself. Errors: LamarckError where it is not a git repository."""
    done = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True)
    if done.returncode:
        why = distrust(done.stderr) or "this is not a git repository"
        raise LamarckError(f"the pod gets the files that git knows, and {why}")
    return tuple(name for name in done.stdout.split("\0") if name and Path(name).is_file())


def _free(port: int) -> int:
    """`port`, or any for 0. Errors: LamarckError where it is taken: said before anything is rented."""
    try:
        with socket.create_server(("127.0.0.1", port)) as listener:
            return int(listener.getsockname()[1])
    except OSError as error:
        raise LamarckError(f"cannot listen on 127.0.0.1:{port} ({error.strerror}): give another --port") from error


def _open(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
        return True
    return False


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # once is enough: what follows ends the pod
    raise KeyboardInterrupt
