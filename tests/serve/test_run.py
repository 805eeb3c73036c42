"""`lamarck serve` and `lamarck chat`: what may be served, where, and how it ends."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from lamarck.config.engine import HFEngineConfig
from lamarck.engine.hf import HFEngine
from lamarck.errors import LamarckError
from lamarck.files import write_json
from lamarck.gate import approval as dates
from lamarck.lineage.digest import change_digest, generation_digest, training_digest, weights_digest
from lamarck.lineage.generation import TRAINING_RECORD, WEIGHTS_RECORD, Generation
from lamarck.lineage.records import make_record
from lamarck.serve.model import servable
from tests.environment import in_default_environment
from tests.gate.conftest import planned  # noqa: F401  a directory in which g1 waits for an answer
from tests.gate.project import G1, ROOT, edit_approval, flip_last_byte, say_yes
from tests.serving import said_url
from tests.tiny import PROMPTS

FOUNDER = Generation(0)


def write_record(directory: Path, name: str, digest: str, **inputs: str) -> None:
    record = make_record(digest, inputs, 0, "cpu", 1.0, 1.0)
    write_json(directory / name, {"record": record.model_dump(mode="json")})


@pytest.fixture
def trained(planned: None) -> None:  # noqa: F811
    """g1 is approved and trained, as its record says."""
    say_yes()
    write_record(FOUNDER.weights, WEIGHTS_RECORD, weights_digest(FOUNDER.weights))
    G1.change.mkdir()
    (G1.change / "adapter_model.safetensors").write_bytes(b"trained")
    inputs = {"plan": training_digest(G1.plan.read_bytes()), "parent": generation_digest(FOUNDER)}
    write_record(G1.change, TRAINING_RECORD, change_digest(G1.change), **inputs)


def refusal(generation: Generation = G1) -> str:
    with pytest.raises(LamarckError) as error:
        servable(generation)
    return str(error.value)


def test_a_finished_generation_is_named_after_its_digest(trained: None) -> None:
    model = servable(G1)
    assert model.name == f"g1-{generation_digest(G1)[:12]}"
    assert (model.weights, model.change) == (G1.weights, G1.change)
    assert servable(FOUNDER).name != model.name
    assert servable(FOUNDER).change is None


def test_one_that_is_not_trained(trained: None) -> None:
    assert "g2 is not trained yet" in refusal(Generation(2))
    assert "control/g1 is not trained yet" in refusal(G1.control)


def test_one_that_nobody_approved(trained: None) -> None:
    G1.approval.unlink()
    assert "g1 is not approved" in refusal()


def test_one_whose_approval_is_of_another_plan(trained: None) -> None:
    edit_approval(plan="0" * 64)
    assert "approves another plan" in refusal()


def test_an_approval_that_expired_since_still_covers_what_it_allowed(
    trained: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit_approval(date=dates.today().replace(year=2020), expires=dates.today().replace(year=2021))
    assert servable(G1).change == G1.change


@pytest.mark.parametrize("path", [G1.change / "adapter_model.safetensors", G1.weights / "model.safetensors"])
def test_bytes_that_are_not_the_records(trained: None, path: Path) -> None:
    flip_last_byte(path)()
    assert "is not what its record says" in refusal()


def test_an_adapter_of_another_founder(trained: None) -> None:
    flip_last_byte(FOUNDER.weights / "model.safetensors")()
    write_record(FOUNDER.weights, WEIGHTS_RECORD, weights_digest(FOUNDER.weights))
    assert "made from another parent" in refusal()


def test_an_adapter_of_an_earlier_plan(trained: None) -> None:
    inputs = {"plan": "0" * 64, "parent": generation_digest(FOUNDER)}
    write_record(G1.change, TRAINING_RECORD, change_digest(G1.change), **inputs)
    assert "made from another plan" in refusal()


@pytest.fixture(scope="module")
def project(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with a founder."""
    root = tmp_path_factory.mktemp("founder")
    (root / "config").mkdir()
    (root / "config/default.yaml").write_text((ROOT / "config/default.yaml").read_text())
    (root / "results/g0").mkdir(parents=True)
    (root / FOUNDER.weights).symlink_to(tiny_model)
    return root


@pytest.fixture
def recorded(project: Path, tiny_model: Path) -> Iterator[Path]:
    write_record(tiny_model, WEIGHTS_RECORD, weights_digest(tiny_model))
    yield project
    (tiny_model / WEIGHTS_RECORD).unlink()


def lamarck(root: Path, *arguments: str, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from lamarck.cli import main; main()", *arguments],
        cwd=root,
        env=in_default_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_and_ends_cleanly(recorded: Path, number: signal.Signals) -> None:
    server = lamarck(recorded, "serve", "g0", "--port", "0")
    try:
        url = said_url(server)
        models = httpx2.get(f"{url}/models").json()
        assert models["data"][0]["id"].startswith("g0-")
        taken = lamarck(recorded, "serve", "g0", "--port", url.rsplit(":", 1)[1].removesuffix("/v1"))
        assert "give another --port" in taken.communicate(timeout=600)[0]
        assert taken.returncode == 1
        server.send_signal(number)
        assert "stopped" in server.communicate(timeout=600)[0]
        assert server.returncode == 0
    finally:
        server.kill()
        server.communicate()


def test_lines_of_a_pipe_are_asked_and_answered(recorded: Path, tiny_model: Path) -> None:
    """One of them is not text: it is said so, and the others are answered."""
    talk = lamarck(recorded, "chat", "g0")
    assert talk.stdin
    talk.stdin.buffer.write(b"gr\xfcn\n")
    printed, _ = talk.communicate(f"{PROMPTS[0]}\n\n{PROMPTS[1]}\n", timeout=600)
    assert talk.returncode == 0, printed
    engine = HFEngine(HFEngineConfig(), tiny_model, None)
    expected = [engine.generate([prompt], max_new_tokens=128 - len(prompt.split()))[0] for prompt in PROMPTS[:2]]
    assert printed.splitlines()[-2:] == expected
    assert printed.splitlines()[-3].startswith("error: the input is not text in utf-8")


def test_a_model_without_a_chat_template_takes_no_system_message(recorded: Path) -> None:
    talk = lamarck(recorded, "chat", "g0", "--system", "Be brief.")
    printed, _ = talk.communicate("", timeout=600)
    assert talk.returncode == 1
    assert "error: g0 has no chat template" in printed
