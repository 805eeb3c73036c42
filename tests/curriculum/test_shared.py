"""A curriculum that is written once for several generations: what is taken over, and what is not."""

from pathlib import Path

import pytest
import yaml

from lamarck.config import load_config
from lamarck.curriculum.shared import take_over
from lamarck.errors import LamarckError
from lamarck.files import read_json, write_json, write_text
from lamarck.lineage.artifacts import CURRICULUM
from lamarck.lineage.configured import load_config_of
from lamarck.lineage.contents import Card, read_card
from lamarck.lineage.freshness import examine
from lamarck.lineage.generation import Generation, description_file
from lamarck.lineage.listing import sharing_generations
from tests.report.page.conftest import lineage, made  # noqa: F401  a lineage whose records are as real ones

WRITER, TAKER = Generation(1), Generation(1, "other")
CONFIG = Path("config/default.yaml")


@pytest.fixture(autouse=True)
def described(lineage: Path) -> None:  # noqa: F811
    card = read_json(WRITER.card)
    inputs = CURRICULUM.input_digests(load_config(CONFIG), WRITER)
    write_json(WRITER.card, card | {"record": card["record"] | {"inputs": inputs}})
    describe()


def describe(**overlay: object) -> None:
    values = {"curricula": {1: WRITER.name}, "overlay": overlay}
    write_text(description_file(TAKER.lineage), yaml.safe_dump(values))


def take() -> Card:
    return take_over(load_config_of(CONFIG, TAKER), TAKER, TAKER.curriculum, TAKER.card)


def state() -> str:
    return examine(CURRICULUM, TAKER, load_config_of(CONFIG, TAKER)).state


def test_it_is_taken_over_with_its_record_and_its_seconds_count_once() -> None:
    assert sharing_generations() == [TAKER]
    assert (WRITER.written_for, TAKER.written_for, TAKER.control.written_for) == (WRITER, WRITER, WRITER.control)
    card, written = take(), read_card(WRITER.card)
    assert TAKER.curriculum.read_bytes() == WRITER.curriculum.read_bytes()
    assert read_card(TAKER.card) == card
    assert (card.generation, card.record.written_for) == (TAKER.name, WRITER.name)
    assert written.record.device_seconds > 0 == card.record.device_seconds
    assert (card.record.digest, card.record.inputs) == (written.record.digest, written.record.inputs)
    assert (card.kept, card.cells, card.cost) == (written.kept, written.cells, written.cost)
    assert state() == "whole"
    # The original has no more to do with it.
    WRITER.curriculum.unlink()
    assert state() == "whole"


def test_a_kill_between_the_two_files_leaves_nothing_that_counts() -> None:
    take()
    TAKER.card.unlink()
    assert state() == "missing"
    take()
    assert state() == "whole"


def test_other_inputs_make_another_curriculum() -> None:
    seed = load_config(CONFIG).seed + 1
    describe(seed=seed)
    with pytest.raises(LamarckError, match="the seed of other/g1 and of g1 are not the same"):
        take()
    assert not TAKER.curriculum.exists() and not TAKER.card.exists()


def test_what_was_edited_or_damaged_is_not_passed_on() -> None:
    card = read_json(WRITER.card)
    edit = {"by": ["A Tester"], "written": "0" * 64, "dropped": 1, "changed": 0}
    write_json(WRITER.card, card | {"record": card["record"] | {"human_edited": edit}})
    with pytest.raises(LamarckError, match="was edited by hand, for g1 alone"):
        take()
    write_json(WRITER.card, card)
    write_text(WRITER.curriculum, WRITER.curriculum.read_text().replace("0", "1", 1))
    with pytest.raises(LamarckError, match="is not what its card says"):
        take()
    assert not TAKER.curriculum.exists() and not TAKER.card.exists()
