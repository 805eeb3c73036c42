"""A run of one job a lineage, as a process that can be killed: what Snakemake's executor does with a session, and
nothing else.

python -m tests.runpod.controller '{"lease_minutes": 0.1}' a b
"""

import json
import signal
import sys
import threading
import time
from dataclasses import replace
from types import FrameType

from snakemake_executor_plugin_runpod.beside import Beside
from snakemake_executor_plugin_runpod.errors import RunPodError
from snakemake_executor_plugin_runpod.executor import JOIN_SECONDS
from snakemake_executor_plugin_runpod.job import JobFailed

from tests.runpod.sessions import Opened, opened, task

STEPS = 10
RIGHT = f"{STEPS}\n"
# Counts from where its checkpoint says.
COUNT = f"""
mkdir -p checkpoint
step=$(cat checkpoint/step 2> /dev/null || echo 0)
while [ $step -lt {STEPS} ]; do
  sleep 0.2
  step=$((step + 1))
  echo $step > checkpoint/step.new && mv checkpoint/step.new checkpoint/step
  printf "step $step\\033[2J\\n" >> job.log
done
rm -r checkpoint
echo $step > result
"""
SERVES = """python3 -c "
import os, socket
server = socket.socket(socket.AF_UNIX)
server.bind(os.environ['RUNPOD_SOCKET'])
server.listen()
while True:
    server.accept()[0].close()
" """
HERE = f"{COUNT} python3 -c \"import os, socket; socket.socket(socket.AF_UNIX).connect(os.environ['RUNPOD_SOCKET'])\""
DOLLARS = 2.0


def raise_lineage(it: Opened, name: str, apart: bool) -> None:
    """One job, in a directory and within a ceiling of its own."""
    need = replace(it.need, apart=name) if apart else it.need
    it.session.pods.work_for(need, account(name), DOLLARS)
    place = f"mkdir -p {name} && cd {name} || exit 1\n"
    beside = Beside(SERVES, place + HERE, "RUNPOD_SOCKET", "true")
    made = {"outputs": (f"{name}/result",), "resume": (f"{name}/checkpoint",), "log": f"{name}/job.log"}
    it.session.runner.run(task(place + COUNT, need, **made, beside=beside))


def raise_all(it: Opened, names: list[str]) -> None:
    """Side by side, as the executor's jobs are: the first that fails stops the others, and a signal all of them."""
    failed: list[BaseException] = []

    def carry_out(name: str) -> None:
        try:
            raise_lineage(it, name, len(names) > 1)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=carry_out, args=(name,), daemon=True) for name in names]
    for thread in threads:
        thread.start()
    try:
        while not failed and any(thread.is_alive() for thread in threads):
            time.sleep(0.05)
    finally:
        # One of them may be about to rent a pod.
        it.session.stop()
        for thread in threads:
            thread.join(JOIN_SECONDS)
    if failed:
        raise failed[0]


def account(name: str) -> str:
    return f"plan of {name}"


def main() -> None:
    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    try:
        with opened(**json.loads(sys.argv[1]), pods=len(sys.argv[2:])) as it:
            raise_all(it, sys.argv[2:])
    except (RunPodError, JobFailed) as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
