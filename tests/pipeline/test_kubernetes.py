"""Jobs as pods of a Kubernetes cluster, by the commands of the profile: a server answers as its API does."""

import json
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.kubernetes import CLAIM, NAMESPACE, Cluster, serving
from tests.pipeline.conftest import BIN, REPOSITORY, WORLD, Project

JOB = REPOSITORY / "profiles/kubernetes/job.py"
GPU = "nvidia.com/gpu"


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """One whose volume is the directory `volume`, and which this process's commands know."""
    image = {"PATH": f"{BIN}:/usr/bin:/bin", "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1"}
    made = Cluster(tmp_path / "volume", tmp_path / "logs", image)
    made.volume.mkdir()
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    with serving(made, tmp_path / "kubeconfig"):
        yield made


def submit(cluster: Cluster, script: str, namespace: str = NAMESPACE, **resources: object) -> str:
    """The id of a job for a rule that asks for these resources."""
    properties = {"rule": "founder_check", "threads": 2, "resources": {"mem_mb": 4000} | resources}
    path = cluster.volume / "job script.sh"
    path.write_text(f"#!/bin/sh\n# properties = {json.dumps(properties)}\n{script}\n")
    where = ("--namespace", namespace, "--claim", CLAIM, "--mount", str(cluster.volume), "--image", "an image")
    return run(cluster, "submit", *where, str(path))


def run(cluster: Cluster, *arguments: str) -> str:
    done = subprocess.run(
        [BIN / "python", JOB, *arguments], cwd=cluster.volume, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def wait(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_job_is_asked_for_as_a_cluster_takes_it_and_told_as_it_is(cluster: Cluster) -> None:
    job = submit(cluster, "while ! test -e go; do sleep 0.05; done", gpu=1)
    (asked,) = cluster.asked
    (container,) = asked["spec"]["template"]["spec"]["containers"]
    resources = container["resources"]
    # A cluster refuses a GPU that is asked for without a limit, which Snakemake's own executor asks for.
    assert resources["requests"][GPU] == resources["limits"][GPU] == "1"
    assert resources["requests"]["cpu"] == "2" and resources["limits"]["memory"] == "4000M"
    assert asked["spec"]["backoffLimit"] == 0, "a training is not begun again behind anybody's back"
    assert run(cluster, "status", job) == "running"
    (cluster.volume / "go").touch()
    wait(lambda: cluster.processes[job.split("/")[1]].poll() is not None)
    assert run(cluster, "status", job) == "success"


def test_what_fails_or_is_gone_has_failed(cluster: Cluster) -> None:
    job = submit(cluster, "exit 3")
    name = job.split("/")[1]
    wait(lambda: cluster.processes[name].poll() is not None)
    assert run(cluster, "status", job) == "failed"
    cluster.delete(name)
    assert run(cluster, "status", job) == "failed"
    with pytest.raises(subprocess.CalledProcessError):
        submit(cluster, "true", namespace="another")


def test_what_snakemake_cancels_is_ended(cluster: Cluster) -> None:
    job = submit(cluster, "exec sleep 600")
    # By the file itself, and without waiting for the cluster.
    subprocess.run([JOB, job], check=True, env=cluster.image | {"KUBECONFIG": str(cluster.logs.parent / "kubeconfig")})
    wait(lambda: not cluster.jobs)
    assert cluster.processes[job.split("/")[1]].poll() is not None


def test_a_founder_is_raised_in_a_pod(
    blank: Project, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The profile as it ships; only the place of the volume is another."""
    project = blank.copy(tmp_path / "volume/project")
    project.config(founder=WORLD | {"steps": 4, "decay_steps": 2})
    profile = yaml.safe_load((project.root / "profiles/kubernetes/config.yaml").read_text())
    mount = f"--mount {shlex.quote(str(cluster.volume))}"
    command = profile["cluster-generic-submit-cmd"].replace("--mount /lamarck", mount)
    cluster.image["PYTHONPATH"] = project.environment["PYTHONPATH"]
    options = ("--profile", "profiles/kubernetes", "--cluster-generic-submit-cmd", command)
    project.snakemake(*options, "results/g0/weights")
    (asked,) = cluster.asked
    assert asked["metadata"]["labels"] == {"app": "lamarck", "rule": "founder"}
    assert project.read("results/g0/weights/source.json")["steps"] == 4
    log = next(cluster.logs.iterdir()).read_text()
    assert "100%" in log, "it was made in the pod"
