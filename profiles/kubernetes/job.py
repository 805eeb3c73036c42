#!/usr/bin/env python
"""A job of Snakemake's as a job of a Kubernetes cluster, whose pods mount the volume with the checkout where it lies.

    job.py submit --namespace N --claim C --mount DIR --image I JOBSCRIPT     prints the job's id, NAMESPACE/NAME
    job.py status ID                                                          prints running, success or failed
    job.py ID...                                                              ends these jobs

Snakemake's own executor for Kubernetes knows no filesystem that controller and pods share, and moves what a rule reads.
"""

import argparse
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

GPU = "nvidia.com/gpu"
KEPT = 3600  # seconds that the cluster keeps a finished job, for whoever asks what became of it


def manifest(name: str, given: argparse.Namespace) -> dict:
    """What the cluster is asked for: one pod that runs the job script, once."""
    script = Path(given.jobscript).absolute()
    said = next(line for line in script.read_text().splitlines() if line.startswith("# properties = "))
    asked = json.loads(said.removeprefix("# properties = "))
    amounts = {"cpu": str(asked["threads"]), "memory": f"{asked['resources'].get('mem_mb', 4000)}M"}
    # Of a GPU the cluster wants to hear twice: what is asked for, and that no more is taken.
    gpus = {GPU: str(count)} if (count := asked["resources"].get("gpu")) else {}
    container = {
        "name": "snakemake",
        "image": given.image,
        "command": ["/bin/sh", str(script)],
        "workingDir": os.getcwd(),
        # No user of the image: files on the volume belong to whoever started the run.
        "securityContext": {"runAsUser": os.getuid(), "runAsGroup": os.getgid()},
        "env": [{"name": "HOME", "value": "/tmp"}],
        "resources": {"requests": amounts | gpus, "limits": {"memory": amounts["memory"]} | gpus},
        "volumeMounts": [{"name": "checkout", "mountPath": given.mount}],
    }
    pod = {
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": [{"name": "checkout", "persistentVolumeClaim": {"claimName": given.claim}}],
        "tolerations": [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}] if gpus else [],
    }
    labels = {"app": "lamarck", "rule": asked["rule"].replace("_", "-")}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": KEPT,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def jobs():
    """The part of the cluster's API that knows jobs, as the kubeconfig names it, or the pod that this runs in."""
    from kubernetes import client, config

    try:
        config.load_kube_config()
    except config.ConfigException:
        config.load_incluster_config()
    return client.BatchV1Api()


def submit(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="job.py submit")
    for name in ("namespace", "claim", "mount", "image"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("jobscript")
    given = parser.parse_args(arguments)
    name = f"lamarck-{uuid.uuid4()}"
    jobs().create_namespaced_job(given.namespace, manifest(name, given))
    print(f"{given.namespace}/{name}")


def status(job: str) -> None:
    from kubernetes.client import ApiException

    namespace, name = job.split("/")
    try:
        found = jobs().read_namespaced_job_status(name, namespace).status
    except ApiException as error:
        # Somebody deleted it: nothing will come of it any more. Any other refusal may pass.
        print("failed" if error.status == 404 else "running")
        return
    print("success" if found.succeeded else "failed" if found.failed else "running")


def end(names: list[str]) -> None:
    for job in names:
        namespace, name = job.split("/")
        jobs().delete_namespaced_job(name, namespace, propagation_policy="Foreground")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["submit", *rest]:
            submit(rest)
        case ["status", job]:
            status(job)
        case ["end", *ids]:
            end(ids)
        case ids:
            # Snakemake waits two seconds for this, and the client alone may take as long to start.
            subprocess.Popen([sys.executable, __file__, "end", *ids], start_new_session=True)
