"""Stages and programs with their imports done already: a process that has imported the libraries, and forks for each.

The libraries take most of a command's time at the size of the tests. The project's own code is not among what is
imported here: each command imports it from its checkout, after the fork, and runs as `python -m` or its script would.
sitecustomize.py hands over the commands. The forks share a hash seed: a test that other processes write the same bytes
starts a second process like this, with another.

    python -m tests.pipeline.warm SOCKET LIBRARY...
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

# module, or module:attribute where the code behind it is imported only when it is asked for.
OF_STAGES = (
    *("datasets", "peft", "pydantic:BaseModel", "pydantic:TypeAdapter", "rensa", "rich.console", "rich.table"),
    *("sacrebleu", "safetensors.torch", "scipy.stats"),
    *("lm_eval.api.model", "lm_eval.evaluator", "transformers:AutoModelForCausalLM", "transformers:DynamicCache"),
    *("transformers:LlamaForCausalLM", "transformers:PreTrainedTokenizerFast"),
)
# Snakemake's, and those of `lamarck` and of what rules import.
OF_PROGRAMS = (
    *("jinja2", "pydantic:BaseModel", "pydantic:TypeAdapter", "rich.console", "rich.table", "typer.main"),
    *("smart_open", "snakemake.cli", "snakemake.report.html_reporter", "yte"),
)
OF_DVC = ("dvc.cli.parser", "dvc.repo", "networkx", "ruamel.yaml")
# They read these when they are imported: a command with other values runs on its own.
READ_AT_IMPORT = ("HF_", "TRANSFORMERS_", "TORCH", "OMP_", "PYTHON")


def start_warm(environment: dict[str, str], libraries: Sequence[str]) -> str:
    """Start a process that waits for commands in `environment` for as long as this one lives; its address."""
    place = str(Path(tempfile.mkdtemp(prefix="warm-")) / "socket")
    warm = subprocess.Popen(
        [sys.executable, __file__, place, *libraries], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert warm.stdout is not None and warm.stdout.readline() == b"ready\n"
    return place


def main() -> None:
    started_in = dict(os.environ)
    _import(sys.argv[2:])
    made = {name: value for name, value in os.environ.items() if value != started_in.get(name)}
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen()
    waited = selectors.DefaultSelector()
    waited.register(listener, selectors.EVENT_READ)
    waited.register(sys.stdin.fileno(), selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in waited.select():
            if key.fileobj is listener:
                connection = listener.accept()[0]
                command, files = _receive(connection)
                if _read_at_import(command["environment"]) != _read_at_import(started_in):
                    connection.sendall(b"n")
                    connection.close()
                elif process := os.fork():
                    connection.sendall(b"y")
                    waited.register(os.pidfd_open(process), selectors.EVENT_READ, (process, connection))
                else:
                    waited.close()
                    listener.close()
                    return _run(command, command["environment"] | made, files, connection)
                for file in files:
                    os.close(file)
            elif key.data:
                process, connection = key.data
                waited.unregister(key.fileobj)
                os.close(key.fd)
                status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
                with suppress(BrokenPipeError):  # whoever asked has ended, and this with it
                    connection.sendall(bytes([status if status >= 0 else 128 - status]))
                connection.close()
            else:
                # Whoever started us has ended.
                Path(sys.argv[1]).unlink(missing_ok=True)
                Path(sys.argv[1]).parent.rmdir()
                os._exit(0)


def _import(libraries: Sequence[str]) -> None:
    for name in libraries:
        module, _, attribute = name.partition(":")
        imported = importlib.import_module(module)
        if attribute:
            getattr(imported, attribute)


def _read_at_import(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(READ_AT_IMPORT)}


def _receive(connection: socket.socket) -> tuple[dict, list[int]]:
    head, files, _, _ = socket.recv_fds(connection, 4, 3)
    length = int.from_bytes(head, "big")
    message = b""
    while len(message) < length:
        message += connection.recv(length - len(message))
    return json.loads(message), files


def _run(command: dict, environment: dict[str, str], files: list[int], connection: socket.socket) -> None:
    """In the fork, with what the imports added to the command's environment. It ends with the command that was handed
    over, however that ends, and with it all that it has started."""
    os.setpgid(0, 0)
    threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    # The streams of this process knew whether they could be sought in: the command's are others.
    sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))  # noqa: SIM115
    os.chdir(command["directory"])
    os.environ.clear()
    os.environ.update(environment)
    code = _code_of(command)
    # As Python ends, but for the libraries: to take them apart touches all the memory that the forks share.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _code_of(command: dict) -> int:
    """Run the command; its exit code. A KeyboardInterrupt ends this process, as it would end that one."""
    program, *arguments = command["arguments"]
    try:
        if program == "-m":
            module, *_ = sys.argv = arguments
            sys.path[0] = command["directory"]
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        else:
            sys.argv = [program, *arguments]
            sys.path[0] = str(Path(program).parent)
            runpy.run_path(program, run_name="__main__")
    except SystemExit as error:
        if isinstance(error.code, int | None):
            return error.code or 0
        print(error.code, file=sys.stderr)
        return 1
    except Exception:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        return 1
    return 0


def _end_with(connection: socket.socket) -> None:
    connection.recv(1)
    os.killpg(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
