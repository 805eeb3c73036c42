"""From a teacher's lines to a curriculum: what is kept, what is dropped, and that everything is counted."""

import random
from collections import Counter

from lamarck.curriculum.describe import describe
from lamarck.curriculum.filter import Contamination
from lamarck.curriculum.item import Item, Teacher
from lamarck.curriculum.propose import Author, propose_unverified, propose_verified, replay
from lamarck.curriculum.strategy import Effort, Strategy
from lamarck.engine.rule import RuleEngine
from lamarck.skills import get_skill

STRATEGY = Strategy(
    description="for tests",
    skills={"arithmetic": (1, 2)},
    probe_samples=50,
    effort=Effort(items=30, max_samples=200),
    frontier_effort=Effort(items=60, max_samples=400),
    frontier_below=0.6,
    minimum_items=1,
)
AUTHOR = Author(Teacher(generation="g0", digest="d"), "s")
NOTHING_HELD_OUT = Contamination([])


def scripted(odds: dict[str, float]) -> RuleEngine:
    """A teacher outside our code: right with the given odds, by tag; else wrong, broken or hostile."""

    def write(tag: str, rng: random.Random) -> str:
        problem = get_skill("arithmetic").sample(rng, int(tag[2]))
        prompt = problem.prompt.removeprefix(tag).strip()
        if rng.random() < odds[tag]:
            return f"{prompt} {problem.completion}"
        return rng.choice([f"{prompt} 99", "no answer", "", "\x00 => [[[[", f"{prompt} {problem.completion} " * 2000])

    return RuleEngine(write)


def test_effort_goes_to_the_frontier_and_everything_is_counted() -> None:
    engine = scripted({"<a1>": 1.0, "<a2>": 0.3})
    cells = propose_verified(engine, STRATEGY, AUTHOR, NOTHING_HELD_OUT, 0, lambda samples: None)
    mastered, frontier = cells
    assert (len(mastered.kept), len(frontier.kept)) == (30, 60)
    assert mastered.sampled == 50
    assert frontier.sampled > 100
    assert all(item.verdict.verified for cell in cells for item in cell.kept)
    prompts = [item.prompt for cell in cells for item in cell.kept]
    assert len(set(prompts)) == len(prompts)
    card = describe(cells, [], {})
    assert card["sampled"] == card["kept"] + sum(card["dropped"].values())  # type: ignore[attr-defined, operator]
    assert card["warnings"] == []


def test_a_cell_out_of_reach_gets_no_more_than_its_probe() -> None:
    engine = scripted({"<a1>": 1.0, "<a2>": 0.0})
    cells = propose_verified(engine, STRATEGY, AUTHOR, NOTHING_HELD_OUT, 0, lambda samples: None)
    assert cells[1].sampled == 50
    assert describe(cells, [], {})["warnings"] == ["60 items fewer than asked: the teacher could not fill arithmetic 2"]


def test_a_teacher_that_repeats_itself_ends() -> None:
    parrot = RuleEngine(lambda tag, rng: "1 + 1 => 2")
    cells = propose_verified(parrot, STRATEGY, AUTHOR, NOTHING_HELD_OUT, 0, lambda samples: None)
    assert [len(cell.kept) for cell in cells] == [1, 0]
    assert cells[0].dropped["duplicate"] == cells[0].sampled - 1


def test_the_control_takes_what_comes_in_the_same_number() -> None:
    engine = scripted({"<a1>": 0.5, "<a2>": 0.5})
    wanted = Counter({("arithmetic", 1): 20, ("arithmetic", 2): 40})
    cells = propose_unverified(engine, STRATEGY, AUTHOR, NOTHING_HELD_OUT, wanted, 0, lambda samples: None)
    assert [len(cell.kept) for cell in cells] == [20, 40]
    assert not any(item.verdict.verified for cell in cells for item in cell.kept)
    assert any(item.completion == "99" for cell in cells for item in cell.kept)


def test_held_out_problems_are_dropped_and_counted() -> None:
    engine = scripted({"<a1>": 1.0, "<a2>": 1.0})
    free = propose_verified(engine, STRATEGY, AUTHOR, NOTHING_HELD_OUT, 0, lambda samples: None)
    held_out = [item.prompt for item in free[1].kept[:10]]
    cells = propose_verified(engine, STRATEGY, AUTHOR, Contamination(held_out), 0, lambda samples: None)
    assert not {item.prompt for cell in cells for item in cell.kept} & set(held_out)
    assert cells[1].dropped["in the suite"] >= 10


def test_contamination_is_the_same_prompt_or_half_its_eight_grams() -> None:
    held_out = Contamination(["a b c", "1 2 3 4 5 6 7 8 9 10"])
    assert held_out.overlaps("a  b c")
    assert not held_out.overlaps("a b d")
    assert held_out.overlaps("x 1 2 3 4 5 6 7 8 y")
    assert not held_out.overlaps("1 2 3 4 5 6 7 8 " + "x " * 9)


def test_replay_takes_of_each_generation_and_repeats_nothing() -> None:
    engine = scripted({"<a1>": 1.0, "<a2>": 1.0})
    first, second = (
        [
            item
            for cell in propose_verified(engine, STRATEGY, AUTHOR, NOTHING_HELD_OUT, seed, lambda samples: None)
            for item in cell.kept
        ]
        for seed in (1, 2)
    )
    chosen = replay([first], second, 5, 0)
    cells: Counter[tuple[str, int]] = Counter((item.skill, item.difficulty) for item in chosen)
    assert set(cells.values()) == {5}
    assert not {item.prompt for item in chosen} & {item.prompt for item in second}
    assert replay([first], second, 5, 0) == chosen
    assert isinstance(chosen[0], Item)
