"""Stages and programs with their imports done already: a process that has imported the libraries, and forks for each.

The libraries take most of a command's time at the size of the tests, our own modules much of what is left. Those are
imported in a fork, which runs the commands of checkouts whose code is this one's, byte for byte, as if it had been
imported from there; what another checkout runs, it imports itself. A command runs as `python -m` or its script would.
sitecustomize.py hands the commands over. The forks share a hash seed: a test that other processes write the same bytes
starts a second process like this, with another.

    python -m tests.pipeline.warm SOCKET LIBRARY... [-- OWN...]
"""

import atexit
import gc
import importlib
import json
import os
import re
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

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
READ_AT_IMPORT = ("OMP_", "PYTHON")
READ_BY_TORCH = ("HF_", "TRANSFORMERS_", "TORCH")
REPOSITORY = Path(__file__).parents[2]
OWN = "lamarck"
# By stages, when they have read what they are to do.
IMPORTED_LATE = tuple(f"{OWN}.{name}" for name in ("curriculum.propose", "engine.hf", "eval.measure", "founder.tiny"))


def of_rules(pattern: str) -> list[str]:
    """The modules that a pattern finds in the rules."""
    rules = [path.read_text(encoding="utf-8") for path in sorted((REPOSITORY / "rules").glob("*.smk"))]
    return sorted(set(re.findall(pattern, "\n".join(rules), re.MULTILINE)))


def own_of_stages() -> list[str]:
    found = of_rules(rf"python -m ({OWN}[\w.]*)")
    packages = {name for name in found if (REPOSITORY / name.replace(".", "/")).is_dir()}
    return [*(f"{name}.__main__" if name in packages else name for name in found), *IMPORTED_LATE]


def own_of_programs() -> list[str]:
    return [*of_rules(rf"^from ({OWN}[\w.]*) import"), f"{OWN}.cli", f"{OWN}.commands.status", f"{OWN}.gate.approve"]


def start_warm(environment: dict[str, str], libraries: Sequence[str], own: Sequence[str] = ()) -> str:
    """Start a process that waits for commands in `environment` for as long as this one lives; its address. With `own`,
    modules of ours, a fork of it that has imported them, too, waits at the address with .own behind it."""
    place = str(Path(tempfile.mkdtemp(prefix="warm-")) / "socket")
    command = [sys.executable, __file__, place, *libraries, *(["--", *own] if own else [])]
    warm = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert warm.stdout is not None and warm.stdout.readline() == b"ready\n"
    return place


def main() -> None:
    started_in = dict(os.environ)
    place, *libraries = sys.argv[1:]
    own = libraries[libraries.index("--") + 1 :] if "--" in libraries else []
    _import(libraries[: libraries.index("--")] if own else libraries)
    _work_out()
    gc.freeze()
    listener = _listen(place)
    code: Code | None = None
    if own:
        beside = _listen(f"{place}.own")
        hears, says = os.pipe()
        if os.fork() == 0:
            listener, beside = beside, listener
            place += ".own"
            _import(own)
            code = Code()
            gc.freeze()
            os.write(says, b".")
        beside.close()
        os.close(says)
        assert code or os.read(hears, 1), "our own modules cannot be imported"
    made = {name: value for name, value in os.environ.items() if value != started_in.get(name)}
    waited = selectors.DefaultSelector()
    waited.register(listener, selectors.EVENT_READ)
    waited.register(sys.stdin.fileno(), selectors.EVENT_READ)
    if code is None:
        print("ready", flush=True)
    while True:
        for key, _ in waited.select():
            if key.fileobj is listener:
                connection = listener.accept()[0]
                command, files = _receive(connection)
                same = _read_at_import(command["environment"]) == _read_at_import(started_in)
                if not same or not (_is_of_path(command) or code is None or code.is_that_of(command["directory"])):
                    connection.sendall(b"n")
                    connection.close()
                elif process := os.fork():
                    connection.sendall(b"y")
                    waited.register(os.pidfd_open(process), selectors.EVENT_READ, (process, connection))
                else:
                    waited.close()
                    listener.close()
                    if code is not None and not _is_of_path(command):
                        _as_of(command["directory"])
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
                Path(place).unlink(missing_ok=True)
                with suppress(OSError):  # the last one of two
                    Path(place).parent.rmdir()
                os._exit(0)


def _listen(place: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    listener.listen()
    return listener


def _import(libraries: Sequence[str]) -> None:
    for name in libraries:
        module, _, attribute = name.partition(":")
        imported = importlib.import_module(module)
        if attribute:
            getattr(imported, attribute)


def _work_out() -> None:
    """What libraries that are imported work out once a process, when they are first asked for it."""
    if "transformers.conversion_mapping" in sys.modules:
        sys.modules["transformers.conversion_mapping"].get_checkpoint_conversion_mapping("llama")
    if "pydantic" in sys.modules:
        sys.modules["pydantic"].create_model("First", field=(int, ...))  # asks all packages for plugins
    if "snakemake.cli" in sys.modules:
        sys.modules["snakemake.cli"].get_argument_parser()  # looks for plugins wherever packages lie


def _files(folder: str) -> Iterator[os.DirEntry[str]]:
    """All below it, but what Python compiled."""
    for entry in os.scandir(folder):
        if not entry.is_dir():
            yield entry
        elif entry.name != "__pycache__":
            yield from _files(entry.path)


class Code:
    """Our package's files, as they were when it was imported here."""

    def __init__(self) -> None:
        self._files = {os.path.relpath(each.path, REPOSITORY): _content(each) for each in _files(str(REPOSITORY / OWN))}
        self._imported = {os.path.relpath(module.__file__, REPOSITORY) for module in _own()}

    def is_that_of(self, checkout: str) -> bool:
        """Whether all of it is there, and no other; but for what is not imported here, as of a file that git does not
        know."""
        found = set()
        try:
            for each in _files(os.path.join(checkout, OWN)):
                path = os.path.relpath(each.path, checkout)
                kept, status = self._files.get(path), each.stat()
                if kept is None:
                    return False
                if (status.st_size, status.st_mtime_ns) != kept[:2] and _content(each)[2] != kept[2]:
                    return False
                found.add(path)
        except OSError:
            return False
        return self._imported <= found


def _content(file: os.DirEntry[str]) -> tuple[int, int, bytes]:
    """Its size and time, by which a copy is known, and its bytes."""
    status = file.stat()
    return status.st_size, status.st_mtime_ns, Path(file.path).read_bytes()


def _own() -> list[Any]:
    """Our modules that are imported."""
    return [module for name, module in sys.modules.items() if name.partition(".")[0] == OWN]


def _is_of_path(command: dict) -> bool:
    """Whether it takes our modules from where the environment says, and not from where it is run."""
    return os.path.basename(command["arguments"][0]) == OWN


def _as_of(checkout: str) -> None:
    """Our modules, as if they had been imported from there."""
    ours = str(REPOSITORY / OWN) + os.sep

    def moved(place: str) -> str:
        return checkout + place.removeprefix(str(REPOSITORY)) if f"{place}{os.sep}".startswith(ours) else place

    for module in _own():
        spec = module.__spec__
        spec.origin, spec.cached, spec.loader.path = map(moved, (spec.origin, spec.cached, spec.loader.path))
        module.__file__, module.__cached__ = spec.origin, spec.cached
        if hasattr(module, "__path__"):
            module.__path__ = spec.submodule_search_locations = [moved(place) for place in module.__path__]
        for name, value in list(vars(module).items()):
            if isinstance(value, Path):
                setattr(module, name, Path(moved(str(value))))


def _read_at_import(environment: dict[str, str]) -> dict[str, str]:
    read = READ_AT_IMPORT + (READ_BY_TORCH if "torch" in sys.modules else ())
    return {name: value for name, value in environment.items() if name.startswith(read)}


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
    warnings.filterwarnings("ignore", ".* found in sys.modules after import of package", RuntimeWarning)
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
