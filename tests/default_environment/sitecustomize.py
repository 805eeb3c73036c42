"""For the processes of a test's project: as in the default environment, which is without bitsandbytes, and with the
imports of stages and programs done already where tests/pipeline/warm.py waits for them.
"""

import os
import sys

# Commands of `lamarck` that look and answer. The others wait for signals, or import torch.
LOOKING = {"approve", "compare", "curriculum", "plan", "report", "review", "skills", "status", "verify"}
LOOKING |= {"campaign report", "campaign status", "search report"}

# peft imports it wherever it finds it, for seconds.
sys.modules["bitsandbytes"] = None  # type: ignore[assignment]


def hand_over(address: str) -> None:
    """Let the process that waits at `address` run this command, and end as it ends. Return: it is to be run here."""
    import json
    import socket

    command = {"arguments": sys.orig_argv[1:], "directory": os.getcwd(), "environment": dict(os.environ)}
    message = json.dumps(command).encode()
    with socket.socket(socket.AF_UNIX) as server:
        try:
            server.connect(address)
        except OSError:
            return
        socket.send_fds(server, [len(message).to_bytes(4, "big")], [0, 1, 2])
        server.sendall(message)
        if server.recv(1) == b"y":
            code = (server.recv(1) or b"\x01")[0]
            if code > 128:
                os.kill(os.getpid(), code - 128)
            os._exit(code)


def kind_of(program: str, argument: str, second: str) -> str | None:
    """Which of the waiting processes runs it."""
    if program == "-m":
        return "STAGES" if argument.startswith("lamarck.") else None
    name = os.path.basename(program)
    if name == "lamarck":
        return "PROGRAMS" if LOOKING & {argument, f"{argument} {second}"} else None
    return {"snakemake": "PROGRAMS", "dvc": "DVC"}.get(name)


_address = os.environ.get(f"TESTS_WARM_{kind_of(*(*sys.orig_argv, '', '', '')[1:4])}")
if _address:
    # First where our own modules are imported, too.
    hand_over(f"{_address}.own")
    hand_over(_address)
