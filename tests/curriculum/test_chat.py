"""A real model behind a chat template, or behind a server: asked in its own form, it is the same teacher."""

import shutil
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from lamarck.config.engine import HFEngineConfig, ServerEngineConfig
from lamarck.config.strategy import Strategy
from lamarck.config.tiny import SkillShare, TinyFounder
from lamarck.curriculum.cell import Cell
from lamarck.curriculum.item import Item, Teacher
from lamarck.curriculum.propose import Author, CurriculumInMaking
from lamarck.curriculum.suite_overlap import Contamination
from lamarck.engine import Engine, load_engine
from lamarck.engine.hf import HFEngine
from lamarck.founder.tiny import pretrain
from lamarck.lineage.digest import model_digest, served_name
from lamarck.lineage.generation import Generation
from lamarck.serve.app import build_app
from tests.serving import serving

WORLD = TinyFounder(
    kind="tiny", skills={"arithmetic": SkillShare(share=1, weights=(1, 1))}, steps=250, decay_steps=50, batch_size=32
)
STRATEGY = {
    "description": "for tests",
    "skills": {"arithmetic": {"share": 1, "difficulties": (1, 2)}},
    "size": 60,
    "difficulty": {"kind": "fixed"},
    "sampling": {"max_new_tokens": 16},
    "answers": {"temperatures": (0.0,)},
    "probe_samples": 100,
}
# The user's words alone: all of a chat form that a model of so small a world can read.
TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("founder")
    pretrain(WORLD, frozenset(), path, 0, lambda steps: None)
    return path


@pytest.fixture(scope="module")
def chat(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chat") / "founder"
    shutil.copytree(plain, path)
    tokenizer = AutoTokenizer.from_pretrained(path)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(path)
    return path


def written(weights: Path, engine: Engine | None = None, **changes: object) -> list[Cell]:
    author = Author(Teacher(generation="g0", digest="d"), "s")
    strategy = Strategy.model_validate(STRATEGY | changes)
    engine = engine or load_engine(HFEngineConfig(), weights, None)
    return CurriculumInMaking(engine, strategy, author, Contamination([]), 0, lambda samples: None).verified()


def kept(cells: list[Cell]) -> list[Item]:
    return [item for cell in cells for item in cell.kept]


def test_in_its_chat_form_a_teacher_writes_the_same_curriculum(plain: Path, chat: Path) -> None:
    assert len(kept(written(plain))) > 20
    assert kept(written(chat)) == kept(written(plain))


def test_a_teacher_that_cannot_read_the_request_is_counted_and_ends(chat: Path) -> None:
    cells = written(chat, prompts=str(Path(__file__).parents[2] / "config/prompts/chat.yaml"))
    assert len(kept(cells)) < 20
    assert sum(cell.sampled for cell in cells) == sum(cell.dropped.total() for cell in cells) + len(kept(cells))


@pytest.mark.parametrize("form", ["plain", "chat"])
def test_behind_a_server_a_teacher_writes_the_same_curriculum(form: str, request: pytest.FixtureRequest) -> None:
    """From a nucleus of one token, which is greedy: with luck in it, each engine draws in its own way."""
    weights: Path = request.getfixturevalue(form)
    greedy = {"max_new_tokens": 16, "top_p": 1e-9}
    name = served_name(Generation(0), model_digest(weights, None))
    with serving(build_app(HFEngine(HFEngineConfig(), weights, None), name, None, ["*"])) as url:
        config = ServerEngineConfig(kind="server", url=f"{url}/v1", chat=form == "chat")
        there = written(weights, load_engine(config, weights, None), sampling=greedy)
    here = written(weights, sampling=greedy)
    assert [(cell.name, cell.sampled, cell.kept, cell.dropped) for cell in there] == [
        (cell.name, cell.sampled, cell.kept, cell.dropped) for cell in here
    ]
    assert kept(here)
