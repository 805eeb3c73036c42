"""Runs a program in a process group of its own, for as long as whoever holds the other end of its standard input does.

python overseer.py PATIENCE PROGRAM [WORD ...]

It hears `s`, which stops the group, `c`, by which that goes on, and the end of its input, which ends the group: SIGINT,
as by Ctrl-C at a terminal, and after PATIENCE seconds SIGKILL. What the program leaves in its group is ended, too. The
exit code is the program's, 128 + n where signal n ended that. Run by its path, on the standard library alone.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time


def main() -> int:
    # Heard and let go by: it ends when the program has. A handler, unlike SIG_IGN, is not handed down to that: SIGINT
    # has to reach it also where a shell, which starts what it does not wait for without it, started all of this.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: None)
    program = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, process_group=0)
    threading.Thread(target=listen, args=(program.pid, float(sys.argv[1])), daemon=True).start()
    os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)  # while it is not reaped, its group's number is its own
    tell(program.pid, signal.SIGKILL)
    code = program.wait()
    return code if code >= 0 else 128 - code


def listen(group: int, patience: float) -> None:
    while word := os.read(0, 1):
        tell(group, signal.SIGSTOP if word == b"s" else signal.SIGCONT)
    tell(group, signal.SIGCONT)
    tell(group, signal.SIGINT)
    time.sleep(patience)
    tell(group, signal.SIGKILL)


def tell(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


if __name__ == "__main__":
    sys.exit(main())
