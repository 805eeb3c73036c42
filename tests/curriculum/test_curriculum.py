"""From a teacher's lines to a curriculum: what is kept, what is dropped, and that everything is counted."""

import random
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from lamarck.config.founder import LocalFounder
from lamarck.config.strategy import Strategy
from lamarck.config.tiny import SkillShare, TinyFounder
from lamarck.curriculum.anchor import draw_anchors
from lamarck.curriculum.cell import Cell
from lamarck.curriculum.control_arm import ControlCurriculum
from lamarck.curriculum.describe import describe
from lamarck.curriculum.item import DATA, Item, ItemVerdict, Teacher, item_id
from lamarck.curriculum.mix import as_written, replay
from lamarck.curriculum.propose import Author, CurriculumInMaking
from lamarck.curriculum.suite_overlap import Contamination
from lamarck.engine import Engine
from lamarck.engine.rule import RuleEngine
from lamarck.errors import LamarckError, Malformed
from lamarck.skills import Problem, Verdict, get_skill, get_tagged_skill
from lamarck.skills.math_word import HEAD

STRATEGY = Strategy.model_validate(
    {
        "description": "for tests",
        "skills": {"arithmetic": {"share": 1, "difficulties": (1, 2)}},
        "size": 90,
        "difficulty": {"kind": "following", "band": (0.05, 0.6), "weight": 2},
        "sampling": {"max_new_tokens": 64},
        "probe_samples": 60,
        "samples_per_item": 10,
        "minimum_items": 1,
    }
)
AUTHOR = Author(Teacher(generation="g0", digest="d"), "s")


def scripted(odds: dict[str, float]) -> RuleEngine:
    """A teacher outside our code: right with the given odds, by tag; else wrong, broken or hostile."""

    def write(tag: str, rng: random.Random) -> str:
        problem = get_skill("arithmetic").sample(rng, int(tag[2]))
        prompt = problem.prompt.removeprefix(tag).strip()
        if rng.random() < odds[tag]:
            return f"{prompt} {problem.completion}"
        return rng.choice([f"{prompt} 99", "no answer", "", "\x00 => [[[[", f"{prompt} {problem.completion} " * 2000])

    return RuleEngine(write)


def proposal(engine: Engine, seed: int = 0, held_out: Iterable[str] = (), **changes: Any) -> CurriculumInMaking:
    strategy = STRATEGY.model_validate(STRATEGY.model_dump() | changes)
    return CurriculumInMaking(engine, strategy, AUTHOR, Contamination(held_out), seed, lambda samples: None)


def item_of_text(skill: str, prompt: str, completion: str) -> Item:
    return Item(
        id=item_id(skill, prompt, completion),
        skill=skill,
        difficulty=2,
        prompt=prompt,
        completion=completion,
        teacher=AUTHOR.teacher,
        verdict=ItemVerdict(verified=False, by="none", score=0.0),
        strategy="s",
    )


def kept(cells: list[Cell]) -> list[Item]:
    return [item for cell in cells for item in cell.kept]


def solve(prompt: str) -> str:
    """The right answer to a problem of arithmetic."""
    words = prompt.split()[1:-1]
    return get_tagged_skill("arithmetic").solve(words, len(words) // 2)


def test_effort_goes_to_the_frontier_and_everything_is_counted() -> None:
    engine = scripted({"<a1>": 1.0, "<a2>": 0.3})
    cells = proposal(engine).verified()
    mastered, frontier = cells
    assert (len(mastered.kept), len(frontier.kept)) == (30, 60)
    assert mastered.sampled == 60
    assert frontier.sampled > 100
    assert all(item.verdict.verified for item in kept(cells))
    prompts = [item.prompt for item in kept(cells)]
    assert len(set(prompts)) == len(prompts)
    card = describe(cells, STRATEGY.size, [], [], [], {})
    assert card["sampled"] == card["kept"] + sum(card["dropped"].values())  # type: ignore[attr-defined, operator]
    assert card["warnings"] == []


def test_a_cell_out_of_reach_gets_no_more_than_its_probe_and_the_others_get_its_items() -> None:
    engine = scripted({"<a1>": 1.0, "<a2>": 0.0})
    cells = proposal(engine).verified()
    assert cells[1].sampled == 60
    # Half of all the problems there are with one operation.
    assert len(cells[0].kept) == 67
    assert describe(cells, STRATEGY.size, [], [], [], {})["warnings"] == [
        "23 items fewer than asked: the teacher could not fill arithmetic 2"
    ]
    everything = proposal(engine, skills={"arithmetic": {"share": 1, "difficulties": (1,)}}).verified()
    assert describe(everything, STRATEGY.size, [], [], [], {})["warnings"] == [
        "23 items fewer than asked: its difficulties hold no more problems"
    ]


def test_what_a_teacher_cannot_fill_is_filled_elsewhere() -> None:
    """One right text in twelve, and four texts for an item: the cell is closed, and the curriculum is whole."""
    engine = scripted({"<a2>": 1.0, "<a3>": 1 / 12})
    cells = proposal(engine, skills={"arithmetic": {"share": 1, "difficulties": (2, 3)}}, samples_per_item=4).verified()
    assert len(kept(cells)) == 90
    assert 0 < len(cells[1].kept) < 60
    assert cells[1].closed and cells[1].sampled >= 240
    card = describe(cells, STRATEGY.size, [], [], [], {})
    assert [cell["asked"] for cell in card["cells"]] == [len(cells[0].kept), 60]  # type: ignore[attr-defined]
    assert card["warnings"] == []


def test_pass_rates_count_repeats_and_new_problems_alike() -> None:
    """Of three problems it answers two, whenever it is asked again: its rate is two thirds, and not two in sixty."""
    problems = ["1 + 1", "2 + 2", "3 + 3"]

    def answer(prompt: str, rng: random.Random) -> str:
        if not prompt.endswith("=>"):
            return f"{rng.choice(problems)} => 99"
        return "99" if "3 + 3" in prompt else solve(prompt)

    easy, _ = proposal(RuleEngine(answer), probe_samples=300, answers={"temperatures": (0.0,)}).verified()
    assert easy.pass_rate == pytest.approx(2 / 3, abs=0.08)
    assert len(easy.kept) == 2


def test_a_teacher_that_repeats_itself_ends() -> None:
    parrot = RuleEngine(lambda tag, rng: "1 + 1 => 2")
    cells = proposal(parrot).verified()
    assert [len(cell.kept) for cell in cells] == [1, 0]
    assert cells[0].dropped["duplicate"] == cells[0].sampled - 1


def test_the_longest_answers_stay_of_twice_as_many() -> None:
    """Wrong: to sort what is there anyway, of which a cell never has twice as many as are wanted of it; or to cut the
    few problems of an easy kind short for a choice that is never had."""
    engine = scripted({"<a1>": 1.0, "<a2>": 0.5})
    first = proposal(engine).verified()
    longest = proposal(engine, longest_of=2).verified()
    assert [len(cell.kept) for cell in longest] == [len(cell.kept) for cell in first] == [30, 60]
    # One that keeps all of what this one chooses from.
    everything = proposal(engine, size=180, samples_per_item=5).verified()
    for cell, before, choice in zip(longest, first, everything, strict=True):
        lengths = sorted((len(item.completion) for item in choice.kept[: 2 * cell.wanted]), reverse=True)
        assert sum(len(item.completion) for item in cell.kept) > sum(len(item.completion) for item in before.kept)
        if cell.difficulty == 2:
            assert sorted((len(item.completion) for item in cell.kept), reverse=True) >= lengths[: len(cell.kept)]
            written = [item.id for item in choice.kept]
            places = [written.index(item.id) for item in cell.kept if item.id in written]
            assert places == sorted(places), "they stand as they were written"
    card = describe(longest, STRATEGY.size, [], [], [], {})
    assert card["sampled"] == card["kept"] + sum(card["dropped"].values())
    assert card["warnings"] == []


def test_a_choice_that_cannot_be_had_costs_no_more_than_the_texts_that_are_allowed() -> None:
    """Four texts an item, one in two right: no twice as many, and the cell is whole all the same."""
    engine = scripted({"<a2>": 0.5, "<a3>": 0.5})
    skills = {"arithmetic": {"share": 1, "difficulties": (2, 3)}}
    cells = proposal(engine, skills=skills, samples_per_item=2.5, longest_of=2).verified()
    assert len(kept(cells)) == 90
    assert not any(cell.closed for cell in cells)
    assert [cell.sampled for cell in cells] == [cell.max_samples for cell in cells]


def test_the_control_takes_what_comes_in_the_same_number() -> None:
    engine = scripted({"<a1>": 0.5, "<a2>": 0.5})
    wanted = Counter({("arithmetic", 1): 20, ("arithmetic", 2): 40})

    def taken(longest_of: float) -> list[Cell]:
        strategy = STRATEGY.model_copy(update={"longest_of": longest_of})
        control = ControlCurriculum(engine, strategy, AUTHOR, Contamination(()), 0, lambda samples: None)
        return control.unverified(wanted)

    cells = taken(1)
    assert [len(cell.kept) for cell in cells] == [20, 40]
    assert kept(taken(3)) == kept(cells)
    assert not any(item.verdict.verified for item in kept(cells))
    assert any(item.completion == "99" for item in kept(cells))


def test_held_out_problems_are_dropped_and_counted() -> None:
    engine = scripted({"<a1>": 1.0, "<a2>": 1.0})
    free = proposal(engine).verified()
    held_out = [item.prompt for item in free[1].kept[:10]]
    cells = proposal(engine, held_out=held_out).verified()
    assert not {item.prompt for item in kept(cells)} & set(held_out)
    assert cells[1].dropped["in the suite"] >= 10


def test_a_strategys_context_stands_before_its_own_problems_and_is_no_part_of_them() -> None:
    """Wrong: a context that is part of the problem, whose verifier, copies and digest then see another one."""
    teacher = scripted({"<a1>": 1.0, "<a2>": 0.5})
    given = {"arithmetic": {"share": 1, "difficulties": (1, 2), "context": "Be brief.\nSay nothing twice."}}
    with_context, without = kept(proposal(teacher, skills=given).verified()), kept(proposal(teacher).verified())
    assert {item.context for item in with_context} == {"Be brief.\nSay nothing twice."}
    assert [item.model_copy(update={"context": ""}) for item in with_context] == without
    assert {item.context for item in as_written(with_context, 1.0, 0)} == {""}
    given["arithmetic"]["context"] = "An example:\n<a1> 3 + 4 =>"
    with pytest.raises(LamarckError, match=r"skills\.arithmetic\.context: a line overlaps the frozen suite"):
        proposal(teacher, held_out=["<a1> 3 + 4 =>"], skills=given)


def test_replay_takes_of_each_generation_and_repeats_nothing() -> None:
    engine = scripted({"<a1>": 1.0, "<a2>": 1.0})
    first, second = (kept(proposal(engine, seed=seed).verified()) for seed in (1, 2))
    chosen = replay([first], second, 5, 0)
    cells: Counter[tuple[str, int]] = Counter((item.skill, item.difficulty) for item in chosen)
    assert set(cells.values()) == {5}
    assert not {item.prompt for item in chosen} & {item.prompt for item in second}
    assert replay([first], second, 5, 0) == chosen
    assert isinstance(chosen[0], Item)


def test_a_problem_of_another_difficulty_is_filed_under_its_own() -> None:
    """Asked for one operation, it writes two: no problem is lost, and none is counted for what it is not."""

    def write(tag: str, rng: random.Random) -> str:
        return get_skill("arithmetic").sample(rng, 2).prompt.partition(" ")[2] + " 99"

    engine = RuleEngine(lambda prompt, rng: solve(prompt) if prompt.endswith("=>") else write(prompt, rng))
    easy, hard = proposal(engine, answers={"temperatures": (0.0,)}).verified()
    assert not easy.kept
    assert easy.pass_rate == 0
    assert len(hard.kept) == hard.wanted
    assert all(item.prompt.startswith("<a2>") and item.difficulty == 2 for item in hard.kept)


def test_a_sound_problem_is_answered_again_until_an_answer_holds() -> None:
    tries: Counter[str] = Counter()
    many: dict[str, Any] = {"skills": {"arithmetic": {"share": 1, "difficulties": (7, 8)}}}

    def answer(prompt: str, rng: random.Random) -> str:
        if not prompt.endswith("=>"):
            return get_skill("arithmetic").sample(rng, int(prompt[2])).prompt.partition(" ")[2] + " 99"
        tries[prompt] += 1
        return solve(prompt) if tries[prompt] == 2 else "99"

    for temperatures, found in (((), 0), ((0.0,), 0), ((0.0, 0.7), 90), ((0.0, 0.7, 0.7), 90)):
        tries.clear()
        cells = proposal(RuleEngine(answer), **many, answers={"temperatures": temperatures}).verified()
        assert (len(kept(cells)) > 0) is (found > 0)
        assert sum(cell.answered for cell in cells) == sum(tries.values())
        # Who has been answered rightly is not asked again.
        assert max(tries.values(), default=0) <= min(2, len(temperatures))
        card = describe(cells, STRATEGY.size, [], [], [], {})
        assert card["acceptance"] == pytest.approx(
            len(kept(cells)) / sum(cell.sampled + cell.answered for cell in cells), abs=1e-6
        )


def test_the_teachers_reasoning_is_kept_and_is_no_part_of_the_answer() -> None:
    def answer(prompt: str, rng: random.Random) -> str:
        if prompt.endswith("=>"):
            return f"<think>add up</think> {solve(prompt)}"
        line = get_skill("arithmetic").sample(rng, int(prompt[2])).prompt.partition(" ")[2]
        return f"make one up</think>\n{line} 99"

    items = kept(proposal(RuleEngine(answer), answers={"temperatures": (0.0,)}).verified())
    assert items
    assert all(item.verdict.verified for item in items)
    assert {(item.reasoning, item.reasoning_of) for item in items} == {("add up", "solve")}


@pytest.mark.parametrize("text", ["", "<think>for ever", "{" * 5000, "[1, {", "=> => =>", "\udcff", "9" * 10**6])
def test_a_teacher_that_writes_nothing_of_use_is_counted_and_ends(text: str) -> None:
    cells = proposal(RuleEngine(lambda tag, rng: text)).verified()
    assert kept(cells) == []
    assert all(cell.sampled == 60 == sum(cell.dropped.values()) for cell in cells)


def test_a_verifier_that_crashes_refuses_its_item_and_the_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    arithmetic = type(get_skill("arithmetic"))
    sound = arithmetic.verify

    def crashes_over_sevens(skill: Any, problem: Problem) -> Verdict:
        if "7" in problem.prompt:
            raise ZeroDivisionError
        return sound(skill, problem)

    monkeypatch.setattr(arithmetic, "verify", crashes_over_sevens)
    cells = proposal(scripted({"<a1>": 1.0, "<a2>": 1.0})).verified()
    assert kept(cells)
    assert not any("7" in item.prompt for item in kept(cells))
    crashed = sum(cell.crashes for cell in cells)
    assert crashed >= 5
    assert any("crashed over" in warning for warning in describe(cells, STRATEGY.size, [], [], [], {})["warnings"])  # type: ignore[attr-defined]


def test_near_duplicates_are_left_out_where_the_strategy_says_so() -> None:
    first = "a shop sells 12 apples and 30 pears, and 4 more come in the evening"

    def write(request: str, rng: random.Random) -> str:
        story = first.replace("apples", rng.choice(["apples", "melons"]))
        body = f"{HEAD}\n\nProblem: {story}; how many does it have{rng.choice(['', ' now', ' then'])}?"
        return f"{body}\n\nProgram:\n```python\nfruit = 12 + 30 + 4\n```\nAnswer: 46"

    changes: dict[str, Any] = {"skills": {"math_word": {"share": 1, "difficulties": (2,)}}}
    every = kept(proposal(RuleEngine(write), **changes).verified())
    apart = kept(proposal(RuleEngine(write), **changes, drop_near_duplicates=True).verified())
    assert len(every) == 6
    assert len(apart) < 6


WORLD = TinyFounder(
    kind="tiny", skills={"arithmetic": SkillShare(share=1, weights=(2, 1), target_loss=0.3)}, steps=1, decay_steps=1
)


def test_anchors_are_a_share_from_the_founders_own_data() -> None:
    items = kept(proposal(scripted({"<a1>": 1.0, "<a2>": 1.0})).verified())
    held_out = {get_skill("arithmetic").sample(random.Random(seed), 2).prompt for seed in range(300)}
    suite = Contamination(held_out)
    anchors = draw_anchors(WORLD, suite, items, 0.25, "s", 0)
    assert len(anchors) / (len(anchors) + len(items)) == pytest.approx(0.25, abs=0.05)
    assert {anchor.teacher.generation for anchor in anchors} == {DATA}
    assert all(get_skill("arithmetic").verify(Problem(each.prompt, each.completion)).verified for each in anchors)
    assert not {anchor.prompt for anchor in anchors} & (held_out | {item.prompt for item in items})
    assert draw_anchors(WORLD, suite, items, 0, "s", 0) == []
    with pytest.raises(LamarckError, match="not at hand"):
        draw_anchors(LocalFounder(kind="local", path="x"), suite, items, 0.25, "s", 0)


def test_a_share_of_the_items_is_also_learned_as_a_teacher_writes_it() -> None:
    items = kept(proposal(scripted({"<a1>": 1.0, "<a2>": 1.0})).verified())
    written = as_written(items, 0.5, 1)
    assert 0 < len(written) < len(items)
    lines = {f"{item.prompt} {item.completion}" for item in items}
    assert all(item.task == "write" and f"{item.prompt} {item.completion}" in lines for item in written)
    assert {item.prompt for item in written} == {"<a1>", "<a2>"}
    assert written == as_written(items, 0.5, 1)
    assert len(as_written(items, 1, 1)) == len(items)
    for number in (0, len(written) - 1, len(written), len(written) + 1, len(items)):
        assert len(as_written(items, 0.5, 1, number)) == number
    assert as_written(items, 0.5, 1, len(written)) == written


def test_in_the_control_arm_what_is_no_problem_is_passed_over_and_the_next_taken() -> None:
    """A real model's texts: a record that names a field twice reads as a problem and is none."""

    def item(prompt: str) -> Item:
        return item_of_text("plain_record", prompt, '{"price": 2}')

    head = "Write this as one line of JSON, with digits for numbers and true or false for yes or no:"
    broken = [item(f"{head} price is {word}, price is two.") for word in ("two", "three", "four")]
    sound = [item(f"{head} price is {word}, animals are fox and cat.") for word in ("two", "three", "four")]
    rewritten = as_written(broken + sound, 0.5, 1, 2)
    assert len(rewritten) == 2 and {each.task for each in rewritten} == {"write"}
    assert len(as_written(broken + sound, 0.5, 1, 6)) == 3, "there are no more"
    with pytest.raises(Malformed):
        as_written(broken, 1.0, 1)


def test_worked_examples_are_shown_and_never_counted_as_the_teachers() -> None:
    """The wrong implementations: examples that a suite holds; a teacher that is paid for copying what it was shown."""
    held_out = {get_skill("arithmetic").sample(random.Random(seed), 2).prompt for seed in range(200)}

    def copy(request: str, rng: random.Random) -> str:
        shown = request.removeprefix("Examples of what is asked for:\n\n").partition("\n\nWrite another one.\n\n")[0]
        first = shown.split("\n\n")[0]
        return rng.choice([first, first.replace(" ", "  "), scripted({"<a2>": 1.0})._answer("<a2>", rng)])

    engine = RuleEngine(copy)
    skills = {"arithmetic": {"share": 1, "difficulties": (2,)}}
    made = proposal(engine, held_out=held_out, examples=3, skills=skills, size=20)
    [cell] = made.verified()
    assert cell.dropped["a worked example"] > 10
    shown = {line for request in engine.asked if request.startswith("Examples") for line in request.split("\n\n")[1:4]}
    assert len(shown) > 30
    assert not {f"<a2> {line.partition('=>')[0]}=>" for line in shown} & held_out
    # Every third text is the teacher's own, and only those are kept.
    assert 5 < len(cell.kept) <= cell.sampled // 2
    first = next(request for request in engine.asked if request.startswith("Examples"))
    assert first.endswith("\n\nWrite another one.\n\n<a2>") and first.count("=>") == 3
    assert proposal(engine, skills=skills, size=20)._examples(cell, random.Random(0)) == ()
