"""The engine in vLLM's own process: equal to `hf`, item by item; clear about what goes wrong; gone when we are."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from lamarck.config import Config, StageMachine
from lamarck.config.engine import HFEngineConfig, VLLMEngineConfig
from lamarck.config.section import check_section
from lamarck.config.strategy import Strategy
from lamarck.curriculum.cell import Cell
from lamarck.curriculum.item import Teacher
from lamarck.curriculum.propose import Author, CurriculumInMaking
from lamarck.curriculum.suite_overlap import Contamination
from lamarck.engine import Engine, load_engine
from lamarck.engine.hf import HFEngine
from lamarck.engine.vllm import VLLMEngine
from lamarck.errors import LamarckError
from lamarck.eval.engineering_tier import run_engineering
from lamarck.eval.sanity import run_sanity
from lamarck.founder.tiny import pretrain
from lamarck.models.chat import THINK
from lamarck.skills.corpus import corpus
from lamarck.suites.sections import LadderTask
from lamarck.suites.suite import Suite
from tests.curriculum.test_chat import WORLD as TEACHERS_WORLD
from tests.gate.project import config as project_config
from tests.tiny import PROMPTS


class Pair(NamedTuple):
    """The same model twice, and prompts that it knows."""

    beside: HFEngine
    engine: VLLMEngine
    prompts: list[str]


BESIDE = HFEngineConfig(batch_size=64)
STRATEGY = Strategy.model_validate(
    {
        "description": "for tests",
        "skills": {"arithmetic": {"share": 1, "difficulties": (1, 2)}},
        "size": 40,
        "difficulty": {"kind": "fixed"},
        # From a nucleus of one token, which is greedy: with luck in it, each engine draws in its own way.
        "sampling": {"max_new_tokens": 16, "top_p": 1e-9},
        "answers": {"temperatures": (0.0,)},
        "probe_samples": 60,
    }
)
# The user's words, then the reasoning that the template opens; in tokens that a model of so small a world has.
TEMPLATE = (
    "{% for message in messages %}{{ message['content'] }}{% endfor %}{% if add_generation_prompt %} <think>{% endif %}"
)


def settings(python: Path, **changes: Any) -> VLLMEngineConfig:
    return VLLMEngineConfig.model_validate({"kind": "vllm", "python": str(python), "batch_size": 64} | changes)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learned arithmetic well enough to teach some."""
    path = tmp_path_factory.mktemp("teacher")
    pretrain(TEACHERS_WORLD, frozenset(), path, 0, lambda steps: None)
    return path


@pytest.fixture(scope="module")
def adapter(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As if trained: with it the teacher answers otherwise here and there, and can still teach."""
    path = tmp_path_factory.mktemp("adapter")
    torch.manual_seed(0)
    config = LoraConfig(r=12, lora_alpha=6, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    get_peft_model(AutoModelForCausalLM.from_pretrained(teacher), config).save_pretrained(path)
    return path


@contextmanager
def running(weights: Path, adapter: Path | None, config: VLLMEngineConfig) -> Iterator[VLLMEngine]:
    engine = load_engine(config, weights, adapter)
    assert isinstance(engine, VLLMEngine)
    yield engine
    engine.worker.end()


@pytest.fixture(scope="module")
def founder(vllm_python: Path, tiny_model: Path) -> Iterator[Pair]:
    with running(tiny_model, None, settings(vllm_python)) as engine:
        yield Pair(HFEngine(BESIDE, tiny_model, None), engine, PROMPTS)


@pytest.fixture(scope="module")
def adapted(vllm_python: Path, teacher: Path, adapter: Path) -> Iterator[Pair]:
    """With an adapter, and split over two processes as it would be over two GPUs."""
    prompts = [problem.prompt for _, problem in islice(corpus(TEACHERS_WORLD, 1, frozenset()), 60)]
    with running(teacher, adapter, settings(vllm_python, tensor_parallel=2)) as engine:
        yield Pair(HFEngine(BESIDE, teacher, adapter), engine, prompts)


@pytest.fixture(params=["founder", "adapted"])
def pair(request: pytest.FixtureRequest) -> Pair:
    both: Pair = request.getfixturevalue(request.param)
    return both


def test_greedy_answers_are_those_of_hf(pair: Pair) -> None:
    done: list[int] = []
    answers = pair.engine.generate(pair.prompts, max_new_tokens=40, on_done=done.append)
    assert answers == pair.beside.generate(pair.prompts, max_new_tokens=40)
    assert len(set(answers)) > 10
    assert sum(done) == len(pair.prompts) and len(done) > 1


def test_the_adapter_is_on(adapted: Pair, teacher: Path) -> None:
    without = HFEngine(BESIDE, teacher, None).generate(adapted.prompts, max_new_tokens=40)
    with_it = adapted.engine.generate(adapted.prompts, max_new_tokens=40)
    assert sum(a != b for a, b in zip(without, with_it, strict=True)) > 5


def test_loglikelihoods_are_those_of_hf(pair: Pair) -> None:
    texts = [*pair.prompts, ""]
    assert pair.engine.loglikelihoods(texts) == pytest.approx(pair.beside.loglikelihoods(texts), abs=1e-4)


def test_a_seed_gives_the_same_answers_whatever_was_asked_before(adapted: Pair) -> None:
    def drawn(seed: int) -> list[str]:
        prompts = adapted.prompts[:10] * 2
        return adapted.engine.generate(prompts, max_new_tokens=20, temperature=1.0, top_p=0.95, seed=seed)

    first = drawn(1)
    adapted.engine.generate(adapted.prompts[5:15], max_new_tokens=5)
    assert drawn(1) == first
    assert drawn(2) != first
    assert first[:10] != first[10:]


def test_a_small_nucleus_is_greedy(founder: Pair) -> None:
    drawn = founder.engine.generate(PROMPTS, max_new_tokens=20, temperature=1.0, top_p=1e-9, seed=3)
    assert drawn == founder.beside.generate(PROMPTS, max_new_tokens=20)


def test_through_vllm_a_teacher_writes_the_same_curriculum(adapted: Pair) -> None:
    here, there = written(adapted.beside), written(adapted.engine)
    assert [(cell.name, cell.sampled, cell.kept, cell.dropped) for cell in there] == [
        (cell.name, cell.sampled, cell.kept, cell.dropped) for cell in here
    ]
    assert any(cell.kept for cell in here)


def written(engine: Engine) -> list[Cell]:
    author = Author(Teacher(generation="g1", digest="d"), "s")
    return CurriculumInMaking(engine, STRATEGY, author, Contamination([]), 0, lambda samples: None).verified()


def test_through_vllm_an_evaluation_is_the_same(founder: Pair, suite: Suite) -> None:
    here, there = run_sanity(suite, founder.beside), run_sanity(suite, founder.engine)
    assert there.errors == {}
    assert there.samples == here.samples
    assert there.tasks == here.tasks
    assert there.facts["bits_per_byte"] == pytest.approx(here.facts["bits_per_byte"], abs=1e-5)
    # Ladders are decoded greedily; the writing task draws.
    names = {task.name for task in suite.tiers.engineering.tasks if isinstance(task, LadderTask)}
    here_rows, there_rows = (
        [row for row in run_engineering(suite, engine).samples if row["task"] in names] for engine in founder[:2]
    )
    assert {row["task"] for row in here_rows} == names
    assert there_rows == here_rows


def test_no_answer_is_cut_short_in_silence(founder: Pair) -> None:
    engine = founder.engine
    with pytest.raises(LamarckError, match=r"more than the 128 that vLLM has room for: raise engine\.max_length"):
        engine.generate(PROMPTS, max_new_tokens=128)
    with pytest.raises(LamarckError, match="more than the 128"):
        engine.loglikelihoods(["1 " * 128])


def test_the_record_says_what_ran(founder: Pair) -> None:
    assert founder.engine.device_name == f"{founder.beside.device_name}, vLLM {founder.engine.version}"


def test_a_chat_model_and_a_worker_that_is_killed(vllm_python: Path, tiny_model: Path, tmp_path: Path) -> None:
    chat = shutil.copytree(tiny_model, tmp_path / "chat")
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(chat)
    with running(chat, None, settings(vllm_python, max_length=100)) as engine:
        answers = engine.generate(PROMPTS, max_new_tokens=20)
        assert answers == HFEngine(BESIDE, chat, None).generate(PROMPTS, max_new_tokens=20)
        assert all(answer.startswith(THINK) for answer in answers)
        assert engine.longest == 100

        os.kill(engine.worker.pid, signal.SIGKILL)
        with pytest.raises(LamarckError, match=r"vLLM stopped in the middle of its work: it ended with signal 9"):
            engine.generate(PROMPTS, max_new_tokens=20)


def test_weights_in_fp8_are_nearly_the_same_model(vllm_python: Path, tiny_model: Path) -> None:
    exact = HFEngine(BESIDE, tiny_model, None).loglikelihoods(PROMPTS)
    with running(tiny_model, None, settings(vllm_python, dtype="bfloat16", quantization="fp8")) as engine:
        rounded = engine.loglikelihoods(PROMPTS)
    assert rounded == pytest.approx(exact, rel=0.1)
    assert rounded != pytest.approx(exact, rel=0.002)


def test_without_its_environment(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(LamarckError, match="does not exist: `make vllm` makes"):
        load_engine(settings(tmp_path / "python"), tiny_model, None)
    # Our own environment has no vLLM.
    with pytest.raises(LamarckError, match=r"vLLM did not start: it ended with exit code 1.*No module named 'vllm'"):
        load_engine(settings(Path(sys.executable)), tiny_model, None)


def test_what_vllm_cannot_do_is_said_in_its_words(vllm_python: Path, tiny_model: Path) -> None:
    with pytest.raises(LamarckError, match=r"vLLM did not start.*max_model_len"):
        load_engine(settings(vllm_python, max_length=100_000), tiny_model, None)


def test_it_does_not_load_on_a_cpu_what_is_planned_on_a_gpu(vllm_python: Path, tiny_model: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(LamarckError, match=r"^this step is planned on 2 x H100 SXM, but the GPUs seen here are 0: "):
        load_engine(settings(vllm_python), tiny_model, None, StageMachine(gpu="H100 SXM", count=2))


def test_the_worker_dies_with_us_even_in_the_middle_of_its_work(vllm_python: Path, tiny_model: Path) -> None:
    """Killed while it loads, so that nobody reads its input or answers a question."""
    program = (
        "from pathlib import Path\n"
        "from lamarck.engine import vllm, worker\n"
        "class Told(worker.Worker):\n"
        "    def __init__(self, *arguments):\n"
        "        super().__init__(*arguments)\n"
        "        print(self.pid, flush=True)\n"
        "vllm.Worker = Told\n"
        f"config = vllm.VLLMEngineConfig(kind='vllm', python={str(vllm_python)!r})\n"
        f"vllm.VLLMEngine(config, Path({str(tiny_model)!r}), None)\n"
        "print('loaded', flush=True)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    worker = int(parent.stdout.readline())
    time.sleep(1)
    assert alive(worker)
    parent.kill()
    assert parent.stdout.read() == ""
    deadline = time.monotonic() + 600
    while alive(worker) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive(worker)


def alive(pid: int) -> bool:
    """Whether it runs: what nobody has buried yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_misspelt_key_names_the_right_one() -> None:
    values = project_config().model_dump(mode="json")
    values["engine"] = {"kind": "vllm", "tensor_paralel": 2}
    with pytest.raises(LamarckError, match="tensor_parallel"):
        check_section(values, Config, "config.yaml")


def test_the_digest_is_of_what_decides_the_answers() -> None:
    here, there = settings(Path("a")), settings(Path("b"), batch_size=2, tensor_parallel=8, memory_share=0.5)
    assert here.digest() == there.digest()
    others = [settings(Path("a"), dtype="bfloat16"), settings(Path("a"), quantization="fp8")]
    assert len({here.digest(), *(each.digest() for each in others)}) == 3
