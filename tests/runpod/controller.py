"""A run of one job, as a process that can be killed: what Snakemake's executor does with a session, and nothing else.

python -m tests.runpod.controller '{"lease_minutes": 0.1}'
"""

import json
import signal
import sys
from types import FrameType

from snakemake_executor_plugin_runpod.beside import Beside
from snakemake_executor_plugin_runpod.errors import RunPodError
from snakemake_executor_plugin_runpod.job import JobFailed

from tests.runpod.sessions import opened

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
ACCOUNT, DOLLARS = "plan", 4.0


def main() -> None:
    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    try:
        with opened(**json.loads(sys.argv[1])) as it:
            it.session.pods.work_for(it.need, ACCOUNT, DOLLARS)
            beside = Beside(SERVES, HERE, "RUNPOD_SOCKET", "true")
            it.run(COUNT, outputs=("result",), resume=("checkpoint",), log="job.log", beside=beside)
    except (RunPodError, JobFailed) as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
