"""What a search shows: the tree of its candidates, what each changed, figures with intervals, the winner in words."""

import json
from pathlib import Path

import numpy as np
import pytest

from lamarck.campaign.t_interval import t_interval
from lamarck.commands import search as command
from lamarck.config.strategy import load_strategy
from lamarck.errors import LamarckError
from lamarck.search.report import as_markdown, described, drawn_sentence, report, tree, winner_words
from lamarck.search.run import rounds
from lamarck.search.study import trainings
from lamarck.search.words import ValueChange, meaning_of
from tests.search.test_rounds import load, play, project  # noqa: F401

NAMES = ("r1-c01", "r1-c02", "r1-c03", "r1-c04")


def test_the_tree_has_each_candidate_below_its_first_parent_with_what_was_mutated() -> None:
    search = load(seeds=[1, 2, 3, 4, 13, 14], keep={1: 2})
    play(search, dict(zip(NAMES, [0.0, 3.0, 1.0, 2.0], strict=True)), noise=0.1)
    found = report(search)
    nodes = tree(found)
    assert [node.name for node in nodes] == list(NAMES)
    # Tried in both rounds: on three founders each, with an interval.
    leader = nodes[1]
    assert [line.round for line in leader.lines] == ["r1", "r2"]
    children = [child for node in nodes for child in node.children]
    assert [child.name for child in children] and {line.round for child in children for line in child.lines} == {"r2"}
    for child in children:
        first = child.lines[0]
        parent = next(line for line in found.lines if line.candidate == first.parents[0])
        assert [each.key for each in first.changed] == [
            key for key in first.values if first.values[key] != parent.values[key]
        ]
        assert all(each.short in described(child) for each in first.changed)
    assert described(leader).startswith("r1-c02: r1 +3.") and " on 3 founders; r2 +" in described(leader)
    assert "r1-c01: r1 " in described(nodes[0]) and "on 1 founder ·" in described(nodes[0])
    # A t interval of the mean over the three founders, around it.
    line = leader.lines[0]
    assert line.low is not None and line.high is not None and line.difference is not None
    assert line.low < line.difference < line.high


def test_the_winner_is_told_in_words_and_the_page_says_the_budget(capsys: pytest.CaptureFixture[str]) -> None:
    search = load()
    play(search, dict(zip(NAMES, [0.0, 3.0, 1.0, 2.0], strict=True)))
    found = report(search)
    (_, size) = winner_words(search, found)
    assert found.winner_values is not None
    assert size.startswith(f"`size` is {found.winner_values['size']} instead of {search.strategy.size} (")
    assert size.endswith("Distinct verified items to reach, over all cells")
    # 2 rounds of 5 arms on 2 founders and 2 arms on 8, each two trainings; and as much for random draws.
    each = search.base.budget.of(1) + search.base.budget.of(2)
    assert found.ceiling == 2 * (2 * 5 * 2 + 2 * 8) * each
    command.report(search, as_json=False)
    said = capsys.readouterr().out
    page = Path("results/search/breed/report.md").read_text()
    assert page == as_markdown(search, found)
    for words in ("r1-c02: r1 +3.0", f"`size` is {found.winner_values['size']} instead of", "32 device-seconds of"):
        assert words in page and words in said.replace("\n", " ").replace("  ", " ")


def test_status_says_how_far_every_round_is(capsys: pytest.CaptureFixture[str]) -> None:
    search = load()
    command.status(search, as_json=True)
    assert json.loads(capsys.readouterr().out)["rounds"] == [
        {"round": name, "candidates": 4, "state": "to come"} for name in ("r1", "random r1")
    ]
    play(search)
    command.status(search, as_json=True)
    states = {each["round"]: each["state"] for each in json.loads(capsys.readouterr().out)["rounds"]}
    assert states == {"r1": "finished", "r2": "finished", "final": "finished", "random r1": "to come"}
    command.status(search, as_json=False)
    assert "breed: 2 rounds, then the winner on fresh founders" in capsys.readouterr().out
    with pytest.raises(LamarckError, match=r"no search 'nothing' has run here .* `lamarck search run FILE`"):
        command.named("nothing")


def test_random_draws_at_equal_cost_are_run_beside_a_search_and_told_with_it() -> None:
    search = load()
    drawn = search.drawn
    assert drawn and load(proposer="random").drawn is None and drawn.drawn is None
    play(search, {"r1-c02": 3.0, **{f"r2-c{n:02}": 9.0 for n in range(2, 5)}}, noise=0.5)
    found = report(search)
    assert found.drawn and "are still to be raised" in drawn_sentence(search, found)
    spent = found.device_seconds
    # Its first round is the search's own, so nothing of that is raised again; the cost that it may have is the same.
    first, again = rounds(search)[0], rounds(drawn)[0]
    assert [each.values for each in first.candidates] == [each.values for each in again.candidates]
    assert sum(map(trainings, search.parts)) == 2 * trainings(search)
    play(drawn, {"r1-c02": 3.0}, noise=0.5)
    found = report(search)
    assert found.device_seconds == spent + 4 + 2 + 8  # its second round, and its winner, beside the same defaults
    assert found.drawn.pairs == 8 and found.drawn.difference == pytest.approx(6.0, abs=1)
    said = drawn_sentence(search, found)
    assert "on the same 8 founders: +" in said and said.endswith("the search beats them.")
    assert said in as_markdown(search, found)


def test_a_search_that_is_no_better_than_drawing_is_seldom_said_to_beat_it() -> None:
    """2,000 searches without any difference, eight fresh founders each: one side of a 95% interval."""
    draws = np.random.default_rng(3).normal(0, 1.5, (2000, 8))
    beaten = sum((low := t_interval(list(each))[0]) is not None and low > 0 for each in draws)
    assert 0 < beaten / len(draws) <= 0.025 + 2 * (0.025 * 0.975 / len(draws)) ** 0.5


def test_a_search_that_found_what_random_draws_found_says_so() -> None:
    search = load()
    assert search.drawn
    for part in search.parts:
        play(part, {"r1-c02": 9.0})
    assert "found the same strategy (8 founders)" in drawn_sentence(search, report(search))


def test_what_was_adopted_says_what_was_measured_and_what_it_does() -> None:
    search = load()
    play(search, dict(zip(NAMES, [0.0, 3.0, 1.0, 2.0], strict=True)), noise=0.5)
    command.adopt(search, Path("adopted.yaml"))
    text = Path("adopted.yaml").read_text()
    assert "# The winner, " in text and "on 8 founders that chose nothing" in text and "# `size` is " in text
    found = report(search)
    assert found.winner_values and load_strategy(Path("adopted.yaml")) == search.strategy.model_copy(
        update=dict(found.winner_values)
    )


def test_nothing_is_adopted_before_the_winner_is_known_or_over_a_file_that_is_there() -> None:
    search, adopted = load(), Path("adopted.yaml")
    with pytest.raises(LamarckError, match="search breed is not finished: `lamarck search run FILE` goes on"):
        command.adopt(search, adopted)
    play(search, dict(zip(NAMES, [0.0, 3.0, 1.0, 2.0], strict=True)))
    adopted.write_text("mine")
    with pytest.raises(LamarckError, match=r"adopted\.yaml is there already"):
        command.adopt(search, adopted)
    assert adopted.read_text() == "mine"


def test_meanings_are_the_first_sentences_of_the_keys_own_descriptions() -> None:
    assert meaning_of("difficulty.weight") == "Items of a frontier cell, for each of a cell the teacher masters"
    assert meaning_of("recipe.rank") == "LoRA rank r"
    assert meaning_of("ordering").endswith("(curriculum learning, Bengio et al. 2009)")
    assert meaning_of("answers.choose").startswith("first: the first that is verified")
    assert meaning_of("skills.nothing.of.this") == ""
    assert ValueChange("replay_per_cell", 0, 30, "").sentence == "`replay_per_cell` is 30 instead of 0"
