"""Forms enforced: a model that has learned nothing writes every skill's form, because it can write nothing else."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from lamarck.config import ServerEngineConfig, VLLMEngineConfig
from lamarck.engine import load_engine
from lamarck.engine.vllm import VLLMEngine
from lamarck.models.chat import END_OF_THINKING, THINK
from lamarck.skills import IN_ENGLISH
from lamarck.skills.forms import literal, span
from tests.serving import said_url

# Long enough for the longest text that has a form, in tokens of this vocabulary.
LENGTH = 16_384
SHORT = literal("Answer: ") + span(20)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights as they are drawn, and a tokenizer that can spell everything; one token ends reasoning."""
    path = tmp_path_factory.mktemp("untrained")
    pieces = ByteLevelBPETokenizer()
    texts = [skill.ask(difficulty) for skill in IN_ENGLISH for difficulty in skill.difficulties]
    pieces.train_from_iterator(texts, vocab_size=800, special_tokens=["<eos>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=pieces._tokenizer, eos_token="<eos>", bos_token="<eos>")
    tokenizer.add_tokens([THINK, END_OF_THINKING])
    tokenizer.save_pretrained(path)
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1, "head_dim": 32}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    ends = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    config = LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=LENGTH, **sizes, **heads, **ends)
    LlamaForCausalLM(config).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def engine(vllm_python: Path, untrained: Path) -> Iterator[VLLMEngine]:
    settings = {"kind": "vllm", "python": str(vllm_python), "batch_size": 40, "forms": "enforced"}
    loaded = load_engine(VLLMEngineConfig.model_validate(settings), untrained, None)
    assert isinstance(loaded, VLLMEngine)
    yield loaded
    loaded.worker.end()


def has(form: str, text: str) -> bool:
    # Bytes that are no text (a surrogate on its own) pass for one character there, and are three of these here.
    return bool(re.fullmatch(form, text.lstrip("\n").replace("\ufffd" * 3, "?")))


def test_every_skill_gets_its_form(engine: VLLMEngine) -> None:
    # The prompt has ended the reasoning, as templates do for a model that is not to think.
    prompts = [f"{skill.ask(1)}{END_OF_THINKING}" for skill in IN_ENGLISH]
    forms = [skill.form(1) for skill in IN_ENGLISH]
    held = engine.generate(prompts, max_new_tokens=8000, temperature=1.0, forms=forms)
    assert [has(form, text) for form, text in zip(forms, held, strict=True)] == [True] * len(IN_ENGLISH)
    free = engine.generate(prompts, max_new_tokens=500, temperature=1.0)
    assert not any(has(form, text) for form, text in zip(forms, free, strict=True))


def test_reasoning_is_free_and_the_answer_is_not(engine: VLLMEngine) -> None:
    texts = engine.generate(["Think."] * 40, max_new_tokens=1500, temperature=1.0, forms=[SHORT] * 40)
    ended = [text for text in texts if END_OF_THINKING in text]
    assert len(ended) > 5
    for text in ended:
        thought, _, answer = text.partition(END_OF_THINKING)
        assert len(thought) > 1
        assert has(SHORT, answer)


def test_some_of_a_batch_may_be_free(engine: VLLMEngine) -> None:
    prompts = [f"Say.{END_OF_THINKING}"] * 2
    held, free = engine.generate(prompts, max_new_tokens=40, temperature=1.0, forms=[SHORT, None])
    assert has(SHORT, held)
    assert not has(SHORT, free)


@pytest.fixture
def url(vllm_python: Path, untrained: Path) -> Iterator[str]:
    """The same model behind vLLM's server."""
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from lamarck.config import VLLMEngineConfig\n"
        "from lamarck.lineage.digest import model_digest\n"
        "from lamarck.serve.address import bind\n"
        "from lamarck.serve.model import Servable\n"
        "from lamarck.serve.vllm import answer\n"
        "from tests.gate.project import config\n"
        "engine = VLLMEngineConfig(kind='vllm', python=sys.argv[1])\n"
        "weights = Path(sys.argv[2])\n"
        "model = Servable('g0-' + model_digest(weights, None)[:12], weights, None)\n"
        "answer(model, config().model_copy(update={'engine': engine}), bind('127.0.0.1', 0), None)\n"
    )
    command = [sys.executable, "-c", program, str(vllm_python), str(untrained)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    yield said_url(server)
    server.terminate()
    server.communicate()


def test_a_server_of_vllms_is_asked_for_the_form(url: str, untrained: Path) -> None:
    settings = {"kind": "server", "url": url, "chat": False}
    prompts = [f"Say.{END_OF_THINKING}", "Think."]
    for forms, expected in (("enforced", True), ("free", False)):
        engine = load_engine(ServerEngineConfig.model_validate(settings | {"forms": forms}), untrained, None)
        said, thought = engine.generate(prompts, max_new_tokens=60, temperature=1.0, forms=[SHORT] * 2)
        assert has(SHORT, said) == expected
        assert not has(SHORT, thought), "the form began before the reasoning ended"
