"""Make the frozen suite from the skills' own generators; the same seed makes the same bytes.

    python -m lamarck.suites.build --config config/default.yaml --output config/suites/tiny-v2 --seed 20270101

Run once: a suite is frozen, and every score holds its digest. A changed suite gets a new name. One of DESIGNS is built
as it stands there, and frozen by `python -m lamarck.eval.ship`, which puts its student into it; under any other name
the suite asks every cell of the configuration's world, and its student is pretrained wherever it is used. Lines of a
corpus are as the founder of that world reads them; a suite of skills in English has them of its own cells.
"""

import argparse
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from lamarck.config import load_config
from lamarck.config.tiny import SkillShare, TinyFounder
from lamarck.errors import LamarckError, exit_with_sentence
from lamarck.files import atomic_directory, write_jsonl, write_text
from lamarck.seeds import seed_for
from lamarck.skills import TAGGED, Problem, Skill, get_skill
from lamarck.skills.corpus import corpus
from lamarck.suites.designs import DESIGNS, Design, Lessons
from lamarck.suites.frozen import freeze
from lamarck.suites.sections import (
    EngineeringTier,
    HeldOutTask,
    LadderTask,
    ProblemItem,
    SanityTier,
    StudentRecipe,
    SuiteFile,
    SuiteTask,
    TeachingTier,
    Tiers,
    WritingTask,
)
from lamarck.suites.suite import CORPUS, Suite, corpus_line, lm_eval_corpus, lm_eval_task, load_suite, scorers

FEWEST_ITEMS = 20  # a task of fewer would weigh as much as the others and say nothing
# Most problems must stay free for founders and curricula: at most one in ten of the space is held out, and one in ten
# of what the generator draws: it draws some far more often than others.
HELD_OUT_SHARE = 0.1
PROBES = 2000  # draws that measure the latter
MOST_ITEMS = Design.items + Lessons.items + Design.lines  # that a suite uses of a cell, where it does not say
CORPUS_FILE = "corpus.jsonl"
HEADER = "# Frozen: made by `python -m lamarck.suites.build`; a changed suite gets a new name.\n"
TIER_WEIGHTS = {"sanity": 0.2, "engineering": 0.5, "teaching": 0.3}
STUDENT_SEED = 42
RECIPE = StudentRecipe(
    rank=16, alpha=32, dropout=0.05, batch_size=16, max_tokens=128, learning_rate=3e-3, warmup_steps=5
)
Cell = tuple[Skill, int]


def build_suite(output: Path, seed: int, world: TinyFounder, design: Design) -> Suite:
    """Write the suite of `design` into `output`, whose last part names it, and check it. It is frozen unless a student
    is still to be put into it.

    A difficulty whose space is too small to hold out 20 items is written but not asked. Errors: LamarckError where
    `output` exists.
    """
    if output.exists():
        raise LamarckError(f"{output} exists, and a suite is frozen: build the changed one under a new name")
    cells = [(get_skill(name), difficulty) for name, chosen in design.cells.items() for difficulty in chosen]
    taught = [(get_skill(design.lessons.skill), difficulty) for difficulty in design.lessons.asks]
    wanted = design.items + design.lessons.items + design.lines
    pools = {cell: held_out_items(*cell, seed, wanted) for cell in dict.fromkeys(cells + taught)}
    teaching = {cell: _take(pools[cell], design.lessons.items // len(taught)) for cell in taught}
    asked = {cell: _take(pools[cell], design.items) for cell in cells if len(pools[cell]) >= FEWEST_ITEMS}
    tiers = _tiers(design, cells, asked, teaching)
    items = {_name(cell): found for cell, found in asked.items()}
    items |= {_name(cell, "teaching"): found for cell, found in teaching.items()}
    # What a cell may still hold out goes to the corpus; its lines are drawn anew, as the founder meets them.
    left = {(skill.name, difficulty): len(pool) for (skill, difficulty), pool in pools.items()}
    taken = frozenset(item.prompt for found in items.values() for item in found)
    lines = list(_corpus(world, seed, taken, left, design.lines))
    file = SuiteFile(name=output.name, scorers=scorers(), tiers=tiers, corpus=CORPUS_FILE, exam=design.exam)
    with atomic_directory(output) as directory:
        write_suite_file(directory, file)
        for name, found in items.items():
            write_jsonl(directory / "items" / f"{name}.jsonl", (item.model_dump() for item in found))
        for task in tiers.sanity.tasks:
            if isinstance(task, HeldOutTask):
                _write_yaml(directory / "tasks" / f"{task.name}.yaml", lm_eval_task(task))
        write_jsonl(directory / CORPUS_FILE, ({"text": line} for line in lines))
        _write_yaml(directory / "tasks" / f"{CORPUS}.yaml", lm_eval_corpus(CORPUS_FILE))
    if not design.ships:
        freeze(output)
    return load_suite(output)


def write_suite_file(suite: Path, file: SuiteFile) -> None:
    """Without what is only said of exams, where it is not one."""
    _write_yaml(suite / "suite.yaml", file.model_dump(mode="json", exclude=None if file.exam else {"exam"}))


def _tiers(
    design: Design,
    cells: list[Cell],
    asked: Mapping[Cell, list[ProblemItem]],
    teaching: Mapping[Cell, list[ProblemItem]],
) -> Tiers:
    """Within engineering each kind of task weighs what the design says, however many tasks it has."""
    roles, lessons, limits = design.roles, design.lessons, design.limits
    of = {name: [cell for cell in asked if cell[0].name == name] for name in (roles.sanity, roles.trace, roles.record)}

    def task(cell: Cell, items: list[ProblemItem], role: str = "") -> dict[str, Any]:
        name, difficulty = cell[0].name, cell[1]
        limit = limits.answer or _limit(items)
        return {"name": _name(cell, role), "skill": name, "difficulty": difficulty, "max_new_tokens": limit}

    ladders = [
        LadderTask(**task(cell, asked[cell]), kind=kind, domain="code completion", weight=_share(of[skill]))
        for kind, skill in (("trace", roles.trace), ("record", roles.record))
        for cell in of[skill]
    ]
    writing = [
        WritingTask(
            name=_name(cell, "writing"),
            kind="writing",
            domain="curriculum design",
            skill=cell[0].name,
            difficulty=cell[1],
            weight=_share(cells, design.writing_weight),
            max_new_tokens=limits.writing,
            samples=design.samples,
        )
        for cell in cells
    ]
    return Tiers(
        sanity=SanityTier(
            weight=TIER_WEIGHTS["sanity"],
            tasks=tuple(HeldOutTask(**task(cell, asked[cell]), domain="general sanity") for cell in of[roles.sanity]),
        ),
        engineering=EngineeringTier(
            weight=TIER_WEIGHTS["engineering"],
            points={kind: dict(of_rungs) for kind, of_rungs in design.points.items()},
            tasks=(*ladders, *writing),
        ),
        teaching=TeachingTier(
            weight=TIER_WEIGHTS["teaching"],
            student=_student(lessons),
            student_seed=STUDENT_SEED,
            skill=lessons.skill,
            writes=lessons.writes,
            samples=lessons.samples,
            writing_tokens=limits.writing,
            epochs=lessons.epochs,
            recipe=RECIPE,
            tasks=tuple(
                SuiteTask(**task(cell, found, "teaching"), domain="curriculum design")
                for cell, found in teaching.items()
            ),
        ),
    )


def _student(lessons: Lessons) -> TinyFounder:
    share = SkillShare(share=1, weights=lessons.knows)
    return TinyFounder(kind="tiny", skills={lessons.skill: share}, steps=lessons.steps, decay_steps=lessons.steps // 3)


def _name(cell: Cell, role: str = "") -> str:
    skill, difficulty = cell
    return f"{role}_{skill.name}_{difficulty}" if role else f"{skill.name}_{difficulty}"


def _share(cells: Sequence[Cell], weight: float = 1.0) -> float:
    return round(weight / len(cells), 6)


def _take(pool: list[ProblemItem], number: int) -> list[ProblemItem]:
    """The first of a pool, which then no longer holds them."""
    taken = pool[:number]
    del pool[:number]
    return taken


def held_out_items(skill: Skill, difficulty: int, seed: int, wanted: int = MOST_ITEMS) -> list[ProblemItem]:
    """Distinct problems in the order drawn, at most as many as wanted, and as the space can spare."""
    rng = random.Random(seed_for(seed, "items", skill.name, str(difficulty)))
    wanted = min(wanted, int(skill.space(difficulty) * HELD_OUT_SHARE))
    found: dict[str, ProblemItem] = {}
    for problem in _draws(skill, difficulty, rng, 1000 * wanted):
        found.setdefault(problem.prompt, ProblemItem(prompt=problem.prompt, target=problem.completion))
        if len(found) == wanted:
            break
    places = {prompt: place for place, prompt in enumerate(found)}
    drawn = (problem.prompt for problem in _draws(skill, difficulty, rng, PROBES))
    hits = sorted(places[prompt] for prompt in drawn if prompt in places)
    spared = int(PROBES * HELD_OUT_SHARE)
    return list(found.values())[: hits[spared] if len(hits) > spared else None]


def _draws(skill: Skill, difficulty: int, rng: random.Random, number: int) -> Iterator[Problem]:
    return (skill.sample(rng, difficulty) for _ in range(number))


def _limit(items: Iterable[ProblemItem]) -> int:
    """Tokens for the longest target with room to go wrong after it: an answer that runs on must not be cut into a
    right one. In words, which are the tiny world's tokens; rounded up so that tasks share an engine call."""
    longest = max(len(item.target.split()) for item in items)
    return -(-(longest + 4) // 16) * 16


def _corpus(
    world: TinyFounder, seed: int, taken: frozenset[str], left: dict[tuple[str, int], int], wanted: int
) -> Iterator[str]:
    """Distinct lines as the founder reads them, its end token left out: no item among them, and of each cell no more
    than are left."""
    seen: set[str] = set()
    # The bound ends the search where fewer lines are left than wanted.
    for name, problem in islice(corpus(world, seed_for(seed, CORPUS), taken), 100 * wanted):
        cell = name, get_skill(name).difficulty(problem.prompt)
        if problem.prompt in seen or left.get(cell, 0) <= 0:
            continue
        seen.add(problem.prompt)
        left[cell] -= 1
        yield corpus_line(problem)
        if len(seen) == wanted:
            return


def _write_yaml(path: Path, value: Mapping[str, Any]) -> None:
    write_text(path, HEADER + yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lamarck.suites.build", description="Make the frozen suite.")
    parser.add_argument("--config", type=Path, required=True, help="its founder must be the tiny world to examine")
    parser.add_argument("--output", type=Path, required=True, help="directory to write; its last part names the suite")
    parser.add_argument("--seed", type=int, required=True)
    arguments = parser.parse_args()
    design = DESIGNS.get(arguments.output.name)
    world = (
        design.world if design and not design.cells.keys() & TAGGED.keys() else load_config(arguments.config).founder
    )
    if not isinstance(world, TinyFounder):
        raise LamarckError(f"{arguments.config}: founder.kind is {world.kind}, but this suite examines the tiny world")
    cells = {name: get_skill(name).difficulties[: len(part.weights)] for name, part in world.skills.items()}
    suite = build_suite(arguments.output, arguments.seed, world, design or Design(cells))
    for name, items in suite.items.items():
        print(f"{name}: {len(items)} items")
    print(f"{suite.path}: {sum(map(len, suite.items.values()))} items, {len(suite.corpus)} lines of corpus")


if __name__ == "__main__":
    exit_with_sentence(main)
