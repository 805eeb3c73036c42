"""Forms enforced: a model that has learned nothing writes every skill's form, because it can write nothing else."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import regex
import torch
from llguidance.torch import allocate_token_bitmask, fill_next_token_bitmask
from tokenizers import ByteLevelBPETokenizer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from lamarck.config.engine import ServerEngineConfig, VLLMEngineConfig
from lamarck.engine import load_engine, vllm
from lamarck.engine.forms import Forms
from lamarck.engine.vllm import VLLMEngine
from lamarck.models.chat import BEFORE_ANSWER, END_OF_THINKING, THINK
from lamarck.models.opening import open_tokenizer
from lamarck.models.tokens import text_tokens
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


# As vLLM's own backend of that name does it; it runs in vLLM's environment.
ALLOWED = """
import json, runpy, sys, torch
from llguidance import LLMatcher, grammar_from
from llguidance.hf import from_tokenizer
from llguidance.torch import allocate_token_bitmask, fill_next_token_bitmask
from transformers import AutoTokenizer
assert runpy.run_path(sys.argv[1])["HOLDS_FORMS"] == "guidance"
tokenizer = from_tokenizer(AutoTokenizer.from_pretrained(sys.argv[2]), int(sys.argv[3]))
mask = allocate_token_bitmask(1, int(sys.argv[3]))
for form, text in json.load(sys.stdin):
    matcher = LLMatcher(tokenizer, grammar_from("regex", form))
    for token in text:
        fill_next_token_bitmask(matcher, mask, 0)
        print(mask[0].tolist())
        assert matcher.consume_token(token)
"""


def test_hf_allows_the_same_tokens_at_a_thousand_places(vllm_python: Path, untrained: Path) -> None:
    """The wrong implementation: vLLM's own choice of a library, which lets control tokens pass for any character."""
    tokenizer = open_tokenizer(untrained)
    width = len(tokenizer)
    rng = random.Random(0)
    texts: list[tuple[str, list[int]]] = []
    expected: list[list[int]] = []
    held = Forms(tokenizer, width, [tokenizer.eos_token_id])
    mask = allocate_token_bitmask(1, width)
    while len(expected) < 1000:
        skill = rng.choice([skill for skill in IN_ENGLISH if skill.form(1)])
        difficulty = rng.choice(skill.difficulties)
        problem = skill.sample(rng, difficulty)
        form = skill.form(difficulty) or ""
        text = text_tokens([skill.written(problem.prompt, problem.completion)[1]], tokenizer)[0][:100]
        matcher = held._matcher(form)
        for token in text:
            fill_next_token_bitmask(matcher, mask, 0)
            expected.append(mask[0].tolist())
            assert matcher.consume_token(token), (skill.name, difficulty)
        texts.append((BEFORE_ANSWER + form, text))
    command = [str(vllm_python), "-c", ALLOWED, vllm.PROGRAM, untrained, str(width)]
    done = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True, check=True)
    assert [json.loads(line) for line in done.stdout.splitlines()] == expected


def has(form: str, text: str) -> bool:
    return bool(regex.fullmatch(form, characters(text)))


def begins(form: str, text: str) -> bool:
    """Whether it can go on to have it."""
    return bool(regex.fullmatch(form, characters(text).rstrip("\ufffd"), partial=True))


def characters(text: str) -> str:
    """Bytes that are no text (a surrogate on its own) pass for one character there, and are three of these here."""
    return text.lstrip("\n").replace("\ufffd" * 3, "?")


def test_every_skill_gets_its_form(engine: VLLMEngine) -> None:
    # The prompt has ended the reasoning, as templates do for a model that is not to think.
    prompts = [f"{skill.ask(1)}{END_OF_THINKING}" for skill in IN_ENGLISH]
    forms = [skill.form(1) for skill in IN_ENGLISH]
    held = engine.generate(prompts, max_new_tokens=8000, temperature=1.0, forms=forms)
    assert [has(form, text) for form, text in zip(forms, held, strict=True)] == [True] * len(IN_ENGLISH)
    free = engine.generate(prompts, max_new_tokens=100, temperature=1.0)
    assert not any(has(form, text) for form, text in zip(forms, free, strict=True))


def test_reasoning_is_free_and_the_answer_is_not(engine: VLLMEngine) -> None:
    texts = engine.generate(["Think."] * 40, max_new_tokens=600, temperature=1.0, forms=[SHORT] * 40)
    ended = [text.partition(END_OF_THINKING) for text in texts if END_OF_THINKING in text]
    assert all(len(thought) > 1 for thought, _, _ in ended)
    # One that begins to answer late is cut short, but within the form.
    assert all(begins(SHORT, answer) for _, _, answer in ended)
    assert sum(has(SHORT, answer) for _, _, answer in ended) > 5


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
        "from lamarck.config.engine import VLLMEngineConfig\n"
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
