"""Prompts that a model writes are data: prompts or nothing, never a budget, a suite's problem or another key."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lamarck.campaign.members import load_campaign
from lamarck.campaign.run import next_members
from lamarck.commands.search import adopt
from lamarck.config.prompts import Prompts, load_prompts
from lamarck.config.strategy import load_strategy
from lamarck.curriculum.refused import RejectedLine, refused_path, write_refused
from lamarck.curriculum.suite_overlap import Contamination
from lamarck.errors import LamarckError
from lamarck.files import write_json, write_text
from lamarck.search.file import Search
from lamarck.search.run import campaign_text, rounds, write_prompts
from lamarck.search.writer import UNCHANGED, PromptWriter, asked, read_written, rewrite
from tests.search.test_rounds import VALUES, enter, load, play, project  # noqa: F401

PROBLEM = "Sort these eleven words by their length and then by their last letter: pear, fig, plum"
HELD_OUT = Contamination([PROBLEM])
ROW = RejectedLine(reason="wrong", skill="list_ops", difficulty=3, number=4, why="7, not 8", text="a text")
GOOD = "Some thoughts.\n```yaml\nwrite: 'Short. {request}'\nsolve: 'Slowly. {problem}'\n```\n"


class Scripted:
    """An engine that says what it is told to, and keeps what it was asked."""

    def __init__(self, *answers: str) -> None:
        self.answers, self.prompts = list(answers), []  # type: ignore[var-annotated]

    def generate(self, prompts: list[str], **settings: Any) -> list[str]:
        self.prompts += prompts
        return [self.answers.pop(0)]


def test_an_answer_is_read_as_a_file_of_prompts() -> None:
    found = read_written(f"<think>```\nwrite: no\n```</think>{GOOD}", HELD_OUT)
    assert (found.write, found.solve) == ("Short. {request}", "Slowly. {problem}")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("write: '{request}'\nbudget: {device_seconds: 1000000}", "unknown key 'budget'"),
        ("write: '{request}'\nsuite: config/suites/tiny-v2", "unknown key 'suite'"),
        ("write: '{request}'\nskills: {telepathy: {share: 1, difficulties: [1]}}", "unknown key 'skills'"),
        ("write: 'No place for what is asked'", "write"),
        ("write: '{request} {__class__}'", "write"),
        (f"write: '{{request}}'\ntopics: ['{PROBLEM}']", "a problem of a suite"),
        ("write: '{request}" + "x" * 9000 + "'", "characters"),
        ("I would rather not.", "the writer's prompts"),
    ],
)
def test_what_is_more_than_prompts_is_refused(answer: str, sentence: str) -> None:
    with pytest.raises(LamarckError, match=sentence):
        read_written(answer, HELD_OUT)


def test_a_writer_that_fails_leaves_the_parents_prompts() -> None:
    before = Prompts(write="Before. {request}")
    writer = PromptWriter(model="m", tries=2)
    assert rewrite(writer, Scripted("no", GOOD), before, "?", HELD_OUT, 1).write == "Short. {request}"
    kept = rewrite(writer, Scripted("no", "neither"), before, "?", HELD_OUT, 1)
    assert (kept.write, kept.description) == ("Before. {request}", UNCHANGED)


def test_it_is_told_what_was_refused_most_and_where_points_were_lost() -> None:
    rows = [ROW.model_copy(update={"number": n, "text": f"text {n}"}) for n in (2, 9)]
    said = asked(Prompts(), rows, {"a": 1.0, "b": -3.0})
    assert said.index("text 9") < said.index("text 2") and "- b: -3.0" in said and "- a:" not in said


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Scripted]:
    def serve(*answers: str) -> Scripted:
        scripted = Scripted(*answers)
        monkeypatch.setattr("lamarck.engine.load_engine", lambda *arguments: scripted)
        monkeypatch.setattr("lamarck.curriculum.suite_overlap.contaminations", lambda suite: {"held": HELD_OUT})
        return scripted

    return serve


def scored(points: float) -> dict[str, object]:
    """An eval.json of one task."""
    task = {"tier": "engineering", "score": points, "n": 1}
    suite = {"name": "tiny", "digest": "0"}
    return {
        "generation": "g2",
        "partial": False,
        "score": points,
        "suite": suite,
        "tiers": {},
        "tasks": {"lists": task},
    }


def test_prompts_are_written_once_from_the_parents_refusals_and_handed_down(engine: Callable[..., Scripted]) -> None:
    search = load(writer={"model": "m", "share": 1}, rounds=2)
    play_first_round(search)
    second = rounds(search)[-1]
    new = second.candidates[1:]
    assert all(each.values["prompts"] == f"results/search/breed/prompts/{each.name}.yaml" for each in new)
    parent = new[0].parents[0]
    campaign = rounds(search)[0].campaign
    assert campaign is not None
    taught = campaign.read_off(parent, 1).ancestors[1]
    refused_path(taught.curriculum).parent.mkdir(parents=True)
    write_refused(refused_path(taught.curriculum), [ROW])
    for arm, score in ((parent, 40.0), ("default", 60.0)):
        write_json(campaign.scores_of(campaign.read_off(arm, 1)), scored(score))
    scripted = engine(*[GOOD] * 3)
    write_prompts(search, second)
    told = scripted.prompts[0]
    assert "list_ops 3, 4 times, wrong: 7, not 8 | a text" in told and "- lists: -20.0" in told
    assert load_prompts(Path(str(new[0].values["prompts"]))).write == "Short. {request}"
    # Once written they stay: generated text is not the same again.
    write_prompts(search, second)
    assert len(scripted.prompts) == 3
    play(search, {new[0].name: 9.0})
    # A winner is adopted with its prompts, and in the place of nothing that is there.
    Path("out/prompts").mkdir(parents=True)
    adopted, prompts = Path("out/strategies/bred.yaml"), Path("out/prompts/bred.yaml")
    prompts.write_text("write: 'Mine. {request}'\n")
    with pytest.raises(LamarckError, match=r"out/prompts/bred\.yaml is there already"):
        adopt(search, adopted)
    assert load_prompts(prompts).write == "Mine. {request}" and not adopted.exists()
    prompts.unlink()
    adopt(search, adopted)
    assert load_strategy(adopted).prompts == str(prompts) and load_prompts(prompts).write == "Short. {request}"


def play_first_round(search: Search) -> None:
    each = rounds(search)[0]
    path = search.campaign_file("r1")
    write_text(path, campaign_text(search, each.candidates, search.file.seeds_of(1), "r1"))
    campaign = load_campaign(path)
    while runs := next_members(campaign):
        enter(campaign, [(key, 50.0) for key in runs])


@pytest.mark.parametrize("changes", [{"proposer": "random"}, {"writer": {"model": "m", "share": 2}}])
def test_a_writer_that_would_write_nothing_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(LamarckError, match="writer"):
        load(**{"writer": {"model": "m"}, **changes})


def test_it_is_off_by_default() -> None:
    assert load().file.writer is None and yaml.safe_dump(VALUES).count("writer") == 0
