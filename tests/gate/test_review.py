"""What a human reads."""

import json
import re

import pytest
from rich.console import Console

from lamarck.curriculum.item import Item, item_id
from lamarck.curriculum.refused import RejectedLine, refused_path, write_refused
from lamarck.errors import LamarckError
from lamarck.files import write_json, write_jsonl
from lamarck.gate import review
from lamarck.lineage.generation import Generation
from tests.curriculum.lines import card
from tests.gate.project import G1, config, make_plan, write_plan


def test_text_of_models_is_shown_as_text() -> None:
    rows = [json.loads(line) for line in G1.curriculum.read_text().splitlines()]
    for row in rows:
        row["completion"] = "[bold]x[/bold] \x1b[31m" + "y" * 2**20
        row["id"] = item_id(row["skill"], row["prompt"], row["completion"])
    write_jsonl(G1.curriculum, rows)
    write_json(G1.card, card([Item.model_validate(row) for row in rows], "g1", "g0"))
    write_plan(config())
    console = Console(record=True, width=300)
    review.show(G1, console)
    shown = console.export_text()
    assert shown.count("[bold]x[/bold]") == 5
    assert "5 of 5 items" in shown
    assert "\x1b[31m" not in shown
    assert len(shown) < 20_000


def test_what_several_train_on_is_said_of_each_and_of_all() -> None:
    here = make_plan(config(machines={"train": {"gpu": "here", "count": 2}})).cost.machine
    assert re.fullmatch(r"2 processes on this machine: about \S+ GiB each, .+ of all together", review._machine(here))
    rented = make_plan(config(machines={"train": {"gpu": "A40", "count": 4}})).cost.machine
    assert re.fullmatch(r"4 x A40: about \S+ GiB each, .+ of all together, \$.+", review._machine(rented))


def test_a_long_problem_does_not_hide_the_answer() -> None:
    rows = [json.loads(line) for line in G1.curriculum.read_text().splitlines()]
    item = Item.model_validate(rows[0])
    line = review._line(item.model_copy(update={"prompt": "p" * 5000, "completion": "the answer"}))
    assert line.endswith("… the answer")
    assert len(line) < 150


def test_it_says_what_was_left_out_and_why() -> None:
    """The five most frequent reasons; the file with the texts may not be here, since it is no artifact."""
    dropped = {"wrong": 9, "malformed": 30, "duplicate": 1, "unsound": 7, "near duplicate": 2, "in the suite": 3}
    assert review.left_out(G1, dropped) == []
    rows = [
        RejectedLine(
            reason=reason, skill="json_mode", difficulty=2, number=number, why=f"{reason}\x1b[2J", text="t" * 500
        )
        for reason, number in dropped.items()
    ]
    write_refused(refused_path(G1.curriculum), rows)
    *lines, last = review.left_out(G1, dropped)
    assert [line.split()[0] for line in lines] == ["30", "9", "7", "3", "2"]
    assert lines[0].startswith("  30 malformed, as json_mode 2: malformed") and "\x1b" not in lines[0]
    assert "lamarck curriculum why g1" in last


def test_where_there_is_no_plan_it_says_what_makes_one() -> None:
    with pytest.raises(LamarckError, match=r"results/g7/plan\.json does not exist: run `snakemake`, which works up to"):
        review.show(Generation(7))
