"""autoresearch's own setting, for a train.py that you have read: five minutes on one GPU, twelve times as wide.

python research/pretrain/five_minutes.py [SEED ...]

The ratchet's rooms have no GPU: here train.py runs as you, outside of them. So this keeps nothing and is no experiment;
it says what a find is worth at that size. The evaluator is the frozen one, in a process of its own, and it sees logits
alone. What is set already, such as RATCHET_BUDGET or RATCHET_SIZE, stays.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
SETTING = {"RATCHET_BUDGET_KIND": "wall_seconds", "RATCHET_BUDGET": "300", "RATCHET_SIZE": "12"}
CHANNEL = 3  # the descriptor by which evaluator and model talk


def main() -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), CHANNEL)  # no other descriptor gets that number
    for seed in sys.argv[1:] or ["1"]:
        environment = SETTING | os.environ | {"RATCHET_SEED": seed}
        subprocess.run([sys.executable, "train.py"], cwd=HERE, env=environment, check=True)
        print(f"seed {seed}: {scored(environment)}", flush=True)


def scored(environment: Mapping[str, str]) -> str:
    """The evaluator's one line."""
    own, other = socket.socketpair()
    model, evaluator = (beside(name, end, environment) for name, end in (("answer.py", other), ("evaluate.py", own)))
    said, _ = evaluator.communicate()
    model.kill()
    model.wait()
    if evaluator.returncode:
        sys.exit("evaluate.py failed")
    return said.strip()


def beside(program: str, end: socket.socket, environment: Mapping[str, str]) -> "subprocess.Popen[str]":
    """A program with this end of the channel, which is its alone from now on."""
    os.dup2(end.fileno(), CHANNEL)
    end.close()
    command = [sys.executable, program]
    return subprocess.Popen(command, cwd=HERE, env=environment, stdout=subprocess.PIPE, text=True, pass_fds=[CHANNEL])


if __name__ == "__main__":
    main()
