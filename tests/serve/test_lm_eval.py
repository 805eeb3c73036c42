"""lm-eval's own clients score through the server what they score in place."""

import os

os.environ["TQDM_DISABLE"] = "1"  # read once, when tqdm is imported below

from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import lm_eval
import pytest
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.models.huggingface import HFLM
from lm_eval.models.openai_completions import LocalChatCompletion, LocalCompletionsAPI
from lm_eval.tasks import TaskManager

from lamarck.config.engine import HFEngineConfig
from lamarck.engine.hf import HFEngine
from lamarck.eval.lm import EngineLM
from lamarck.serve.app import build_app
from lamarck.suites.suite import CORPUS, Suite
from tests.serving import serving
from tests.tiny import PROMPTS

NAME = "g0-0123456789ab"
ITEMS = 6  # of each task


@pytest.fixture(scope="module")
def engine(tiny_model: Path) -> HFEngine:
    return HFEngine(HFEngineConfig(batch_size=32), tiny_model, None)


@pytest.fixture(scope="module")
def url(engine: HFEngine) -> Iterator[str]:
    with serving(build_app(engine, NAME, None, ["127.0.0.1"])) as url:
        yield f"{url}/v1"


@pytest.fixture(scope="module")
def completions(url: str, tiny_model: Path) -> LocalCompletionsAPI:
    return LocalCompletionsAPI(
        base_url=f"{url}/completions",
        model=NAME,
        tokenizer_backend="huggingface",
        tokenizer=str(tiny_model),
        max_length=128,
        batch_size=4,
    )


def scores(model: LM, suite: Suite, tasks: list[str], **settings: Any) -> dict[str, Any]:
    with chdir(suite.path):
        manager = TaskManager(include_path="tasks", include_defaults=False)
        found: Any = lm_eval.simple_evaluate(
            model=model, tasks=tasks, task_manager=manager, limit=ITEMS, bootstrap_iters=0, log_samples=True, **settings
        )
    answers = {task: [sample["filtered_resps"] for sample in rows] for task, rows in found["samples"].items()}
    return {"answers": answers} | {
        task: round(figures["exact_match,none"], 9) if task != CORPUS else round(figures["bits_per_byte,none"], 4)
        for task, figures in found["results"].items()
    }


def test_a_suite(engine: HFEngine, completions: LocalCompletionsAPI, url: str, suite: Suite) -> None:
    here = scores(EngineLM(engine), suite, [*suite.lm_eval_tasks])
    there = scores(completions, suite, [*suite.lm_eval_tasks])
    for each in (here, there):  # nats of whole texts are equal to rounding, as the figure that they come to shows
        each["answers"].pop(CORPUS)
    assert there == here
    chat = LocalChatCompletion(base_url=f"{url}/chat/completions", model=NAME, tokenizer_backend=None)
    tasks = [task for task in suite.lm_eval_tasks if task != CORPUS]
    said = scores(chat, suite, tasks, apply_chat_template=True)
    assert said == {name: value for name, value in here.items() if name != CORPUS}


def test_choices_of_a_task(engine: HFEngine, completions: LocalCompletionsAPI, tiny_model: Path) -> None:
    """Log-likelihoods of endings, and whether each is what the model itself would write."""
    own = engine.generate(PROMPTS[:8], max_new_tokens=2)
    endings = [(prompt, ending) for prompt, text in zip(PROMPTS, own, strict=False) for ending in (f" {text}", " 1 1")]
    requests = [
        Instance(request_type="loglikelihood", doc={}, arguments=each, idx=index) for index, each in enumerate(endings)
    ]
    here = HFLM(pretrained=str(tiny_model), dtype="float32", device="cpu").loglikelihood(requests)
    there = completions.loglikelihood(requests)
    assert [greedy for _, greedy in there] == [greedy for _, greedy in here]
    assert {greedy for _, greedy in here} == {True, False}
    assert [value for value, _ in there] == pytest.approx([value for value, _ in here], abs=1e-4)
