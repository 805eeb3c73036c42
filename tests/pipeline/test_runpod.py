"""The same Snakefile on rented GPUs: what `snakemake --profile runpod` makes is what a local run makes."""

import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import openai
import pytest
import yaml

from lamarck.files import read_jsonl
from tests.pipeline.conftest import BIN, Project
from tests.runpod.fake import FakeRunPod
from tests.serving import said_url

# The profile's own settings but for size and pace: a container here has the environment already.
HERE = (
    *("--profile", "runpod", "--jobs", "2", "--precommand", "true", "--runpod-setup", "true"),
    *("--runpod-gpu-memory", "24", "--runpod-poll-seconds", "0.5", "--runpod-disk", "1"),
    # Its GPUs are none that torch sees.
    *("--runpod-preflight", "true"),
)
ARTIFACTS = ("curriculum.jsonl", "adapter/adapter_model.safetensors", "adapter/adapter_config.json", "samples.jsonl")
GENERATIONS = ("g1", "g2", "control/g1", "control/g2")


def test_a_lineage_on_pods_is_the_lineage_made_here(
    at_gate: Project, finished: Project, runpod: FakeRunPod, tmp_path: Path
) -> None:
    """One pod from gate to gate; every artifact has the local one's bytes, and its record holds here.

    The founder and the suite's student are at hand, as with a real 70B: everything after them is made on pods.
    """
    project = at_gate.copy(tmp_path / "project")
    for left in ("results/g1", "results/control", "results/g0/eval.json", "results/g0/samples.jsonl"):
        path = project.root / left
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    first = project.snakemake(*HERE)
    assert "snakemake --profile runpod\n" in first, "not the command that goes on"
    assert "g1 waits for a human" in first and "of $40.00 spent so far" in first, "not the profile's ceiling"
    project.approve("g1")
    assert "g2 waits for a human" in project.snakemake(*HERE)
    project.approve("g2")
    last = project.snakemake(*HERE)
    assert "The lineage is complete" in last and "of $3.00 spent so far" in last, "not the ceiling of the approved plan"
    assert len(runpod.all_pods) == 3
    assert not runpod.running()
    for name in [f"results/{generation}/{file}" for generation in GENERATIONS for file in ARTIFACTS]:
        assert (project.root / name).read_bytes() == (finished.root / name).read_bytes(), name
    for name in ("results/g1/plan.json", "results/g2/plan.json"):
        assert (project.root / name).read_bytes() == (finished.root / name).read_bytes(), name
    made_here = finished.read("results/g2/adapter/training.json")["record"]["code"]
    assert project.read("results/g2/adapter/training.json")["record"]["code"] == made_here
    assert "artifacts match their records" in project.run("lamarck", "verify").stdout
    assert "Nothing to be done" in project.snakemake()


@pytest.fixture
def served(finished: Project, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """`lamarck serve g2 --on runpod` in a copy of the finished lineage, with the profile at this size."""
    project = finished.copy(tmp_path / "project")
    profile = {"runpod-gpu-memory": 24, "runpod-max-dollars": 2, "runpod-poll-seconds": 0.5, "runpod-setup": "true"}
    profile["runpod-disk"] = 1
    (tmp_path / "profile.yaml").write_text(yaml.safe_dump(profile))
    started = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        server = subprocess.Popen(
            [BIN / "lamarck", "serve", "g2", "--on", "runpod", "--profile", tmp_path / "profile.yaml", *arguments],
            cwd=project.root,
            env=project.environment | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(server)
        return server

    yield start
    for server in started:
        server.kill()
        server.communicate()


def test_a_generation_answers_from_a_pod_until_nobody_asks(
    served: Callable[..., subprocess.Popen[str]], finished: Project, runpod: FakeRunPod
) -> None:
    server = served("--port", "0", "--idle-minutes", "0.3")
    client = openai.OpenAI(base_url=said_url(server), api_key="none needed")
    name = client.models.list().data[0].id
    assert name.startswith("g2-")
    rows = [row for _, row in read_jsonl(finished.root / "results/g2/samples.jsonl")]
    asked = next(row for row in rows if row["task"].startswith("arithmetic_"))
    question = [{"role": "user", "content": asked["prompt"]}]
    said = client.chat.completions.create(model=name, messages=question, max_tokens=32, temperature=0)
    assert said.choices[0].message.content.split() == asked["answer"].split()
    output, _ = server.communicate(timeout=600)
    assert server.returncode == 0, output
    # A pod of a slow machine lives a minute, a cent's worth.
    assert re.search(r"the server has ended: \$0\.0\d of \$2\.00", output), output
    assert len(runpod.all_pods) == 1 and not runpod.running()


def test_vllm_answers_from_a_pod_until_nobody_asks(
    served: Callable[..., subprocess.Popen[str]], runpod: FakeRunPod, vllm_python: Path, tmp_path: Path
) -> None:
    """With an environment that is there, as an image would have it: the one of profiles/runpod/vllm.sh is for GPUs."""
    project = tmp_path / "project"
    python = vllm_python.parents[1].resolve() / "bin/python"
    config = yaml.safe_load((project / "config/default.yaml").read_text())
    config["engine"] = {"kind": "vllm", "python": str(python)}
    (project / "config/vllm.yaml").write_text(yaml.safe_dump(config))
    subprocess.run(["git", "add", "config/vllm.yaml"], cwd=project, check=True)
    server = served("--engine", "vllm", "--port", "0", "--idle-minutes", "0.4", "--configfile", "config/vllm.yaml")
    client = openai.OpenAI(base_url=said_url(server), api_key="none needed")
    (model,) = client.models.list().data
    assert model.id.startswith("g2-")
    assert client.completions.create(model=model.id, prompt="<a2> 9 - 7 + 6 =>", max_tokens=4).choices[0].text
    output, _ = server.communicate(timeout=600)
    assert server.returncode == 0, output
    log = (project / "logs/serve/g2.log").read_text()
    assert "on vLLM answers" in log and "nobody has asked anything for 0.4 minutes" in log
    assert len(runpod.all_pods) == 1 and not runpod.running()


def test_stopping_the_command_ends_the_pod_that_serves(
    served: Callable[..., subprocess.Popen[str]], runpod: FakeRunPod
) -> None:
    server = served("--port", "0")
    said_url(server)
    assert len(runpod.running()) == 1
    server.send_signal(signal.SIGINT)
    output, _ = server.communicate(timeout=600)
    assert server.returncode == 0, output
    assert "stopped" in output
    assert not runpod.running()


def test_a_server_within_no_ceiling_is_not_rented(
    served: Callable[..., subprocess.Popen[str]], runpod: FakeRunPod
) -> None:
    server = served("--max-dollars", "0.5", "--port", "0")
    output, _ = server.communicate(timeout=600)
    assert server.returncode == 1
    assert "error: the ceiling of $0.50 is below one hour of the cheapest pod" in output
    assert not runpod.all_pods
