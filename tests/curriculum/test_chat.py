"""A real model behind a chat template: asked in its chat form, it is the same teacher."""

import shutil
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from lamarck.config import HFEngineConfig
from lamarck.curriculum.filter import Contamination
from lamarck.curriculum.item import Item, Teacher
from lamarck.curriculum.propose import Author, Cell, Proposal
from lamarck.curriculum.strategy import Strategy
from lamarck.engine import load_engine
from lamarck.g0.tiny import pretrain
from lamarck.g0.world import SkillShare, TinyFounder

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


def written(weights: Path, **changes: object) -> list[Cell]:
    author = Author(Teacher(generation="g0", digest="d"), "s")
    strategy = Strategy.model_validate(STRATEGY | changes)
    engine = load_engine(HFEngineConfig(), weights, None)
    return Proposal(engine, strategy, author, Contamination([]), 0, lambda samples: None).verified()


def kept(cells: list[Cell]) -> list[Item]:
    return [item for cell in cells for item in cell.kept]


def test_in_its_chat_form_a_teacher_writes_the_same_curriculum(plain: Path, chat: Path) -> None:
    assert len(kept(written(plain))) > 20
    assert kept(written(chat)) == kept(written(plain))


def test_a_teacher_that_cannot_read_the_request_is_counted_and_ends(chat: Path) -> None:
    cells = written(chat, prompts=str(Path(__file__).parents[2] / "config/prompts/chat.yaml"))
    assert len(kept(cells)) < 20
    assert sum(cell.sampled for cell in cells) == sum(cell.dropped.total() for cell in cells) + len(kept(cells))
