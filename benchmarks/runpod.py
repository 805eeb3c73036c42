"""What the RunPod executor adds to a job, and how fast files travel, against the fake RunPod on loopback.

    PYTHONPATH=. python benchmarks/runpod.py

A job's share: runs of 2 and of 12 jobs that sleep a second, one after the other; the difference is ten jobs, of which
ten seconds are theirs. Transfers: 500 MB with digests compared, against a plain rsync over the same ssh, in turn.
"""

import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from snakemake_executor_plugin_runpod.api import SshEndpoint, client_from_environment
from snakemake_executor_plugin_runpod.job import send_checked
from snakemake_executor_plugin_runpod.ssh import Remote, make_keys

from tests.runpod.fake import FakeRunPod
from tests.runpod.project import Small

MEGABYTES = 500
PAIRS = 3
CHAIN = """
rule all:
    input: "out/{jobs}.txt"
rule first:
    output: "out/0.txt"
    shell: "sleep 1; touch {{output}}"
rule next:
    input: lambda wildcards: f"out/{{int(wildcards.n) - 1}}.txt"
    output: "out/{{n}}.txt"
    shell: "sleep 1; touch {{output}}"
ruleorder: first > next
"""


def chain(root: Path, jobs: int) -> float:
    """Seconds of a whole run of `jobs` jobs."""
    root.mkdir()
    (root / "Snakefile").write_text(CHAIN.format(jobs=jobs - 1))
    started = time.perf_counter()
    Small(root).run("--runpod-max-dollars", "5")
    return time.perf_counter() - started


def transfers(fake: FakeRunPod, directory: Path) -> list[float]:
    """Our rate over plain rsync's, pair by pair."""
    keys = make_keys()
    body = {"name": "a-00000000-00000000", "image": "i", "gpu": {"id": "NVIDIA RTX A4000"}, "args": "bash -c /start.sh"}
    pod = client_from_environment().create(body | {"env": {"PUBLIC_KEY": keys.public}})
    container = fake.pods[pod.id].container
    public = container.directory / "etc-ssh/ssh_host_ed25519_key.pub"
    while not public.exists():
        time.sleep(0.1)
    time.sleep(1)
    assert pod.ssh.direct
    endpoint = SshEndpoint(host="127.0.0.1", port=container.port, username=pod.ssh.direct.username)
    remote = Remote(endpoint, " ".join(public.read_text().split()[:2]), keys, "/workspace/a")
    remote.run("true")
    ratios = []
    os.chdir(directory)
    for pair in range(PAIRS):
        for name in (f"plain-{pair}", f"ours-{pair}"):
            Path(name).write_bytes(os.urandom(MEGABYTES * 2**20))
        started = time.perf_counter()
        shell = " ".join(remote.shell)
        subprocess.run(["rsync", "-t", "-e", shell, f"plain-{pair}", f"{remote.target}:/workspace/a/"], check=True)
        plain = time.perf_counter() - started
        started = time.perf_counter()
        send_checked(remote, [f"ours-{pair}"], print)
        ratios.append(plain / (time.perf_counter() - started))
        print(f"plain rsync {MEGABYTES / plain:.0f} MB/s, ours {MEGABYTES / plain * ratios[-1]:.0f} MB/s")
    remote.close()
    keys.remove()
    return ratios


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        fake = FakeRunPod(directory / "pods")
        os.environ.update(fake.environment)
        short, long = chain(directory / "short", 2), chain(directory / "long", 12)
        print(f"added to a job: {(long - short) / 10 - 1:.1f} s (runs of 2 and 12 jobs: {short:.1f} s, {long:.1f} s)")
        ratios = transfers(fake, directory)
        print(f"transfers, digests compared: {statistics.median(ratios):.2f} x plain rsync")
        fake.close()


if __name__ == "__main__":
    main()
