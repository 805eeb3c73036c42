"""The curriculum stage: the parent writes what its child will be trained on.

    python -m lamarck.curriculum --config config/default.yaml --generation g1 --weights results/g0/weights \
        --output results/g1/curriculum.jsonl --card results/g1/curriculum.json \
        --answers results/g1/curriculum.answers.jsonl
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lamarck.config.limits import broken_limits
from lamarck.curriculum.cell import checked_strategy
from lamarck.curriculum.item import Item, Teacher, own_items, read_curriculum
from lamarck.errors import LamarckError, exit_with_sentence
from lamarck.files import digest_file, digest_value, write_json, write_jsonl
from lamarck.gate.stage_ceilings import writing_ceiling
from lamarck.heavy_imports import heavy_imports
from lamarck.lineage.artifacts import CURRICULUM
from lamarck.lineage.configured import load_config_of
from lamarck.lineage.contents import Card, CardCost, read_card
from lamarck.lineage.digest import model_digest
from lamarck.lineage.generation import parse_generation
from lamarck.lineage.records import make_record
from lamarck.progress import count_up
from lamarck.seeds import seed_for

if TYPE_CHECKING:
    from lamarck.curriculum.refused import Refusals, RejectedLine


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m lamarck.curriculum", description="Let a parent write a curriculum."
    )
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--generation", required=True, help="the child: g1, control/g2")
    parser.add_argument("--weights", type=Path, required=True, help="the founder's weights")
    parser.add_argument("--parent-change", type=Path, help="what was trained of the parent, from g2 on")
    parser.add_argument("--plan", type=Path, help="the parent's plan, which says what it may spend, from g2 on")
    parser.add_argument("--earlier", type=Path, nargs="*", default=[], help="curricula of the earlier generations")
    parser.add_argument("--first-card", type=Path, help="card of the founder's own curriculum, from g2 on")
    parser.add_argument("--like", type=Path, help="control arm: the verified curriculum whose size to match")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--card", type=Path, required=True)
    parser.add_argument("--answers", type=Path, required=True, help="where a killed run left what the parent wrote")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()

    started = time.perf_counter()
    child = parse_generation(arguments.generation)
    config = load_config_of(arguments.config, child)
    strategy_path = config.strategy_of(child.number)
    strategy = checked_strategy(strategy_path)
    parent_digest = model_digest(arguments.weights, arguments.parent_change)
    given = {"weights": (arguments.weights,), "earlier": tuple(arguments.earlier)}
    given |= {"change": (arguments.parent_change,)} if arguments.parent_change else {}
    given |= {"like": (arguments.like,)} if arguments.like else {}
    inputs = CURRICULUM.input_digests(config, child, given)
    ceiling = writing_ceiling(config, child, arguments.plan, inputs)

    # Heavy imports come after everything that can be refused without them.
    with heavy_imports():
        import torch

        from lamarck.curriculum.anchor import draw_anchors
        from lamarck.curriculum.control_arm import ControlCurriculum
        from lamarck.curriculum.describe import acceptance, describe
        from lamarck.curriculum.guard_rails import measure
        from lamarck.curriculum.mix import as_written, replay
        from lamarck.curriculum.propose import Author, CurriculumInMaking
        from lamarck.curriculum.refused import refused_path, write_refused
        from lamarck.curriculum.suite_overlap import contaminations, kept_out
        from lamarck.engine.remembering import Remembering
        from lamarck.engine.served import engine_of_job

    torch.set_num_threads(arguments.threads)
    engine = Remembering(
        engine_of_job(config.engine, arguments.weights, arguments.parent_change, config.machines.curriculum),
        arguments.answers,
        digest_value(inputs),
        # The same prompt is asked many times in one call, with one seed: parts of it would be the same texts again.
        chunk_tokens=sys.maxsize,
    )
    suites = contaminations(Path(config.suite))
    barred = kept_out(suites)
    teacher = Teacher(generation=child.parent.name, digest=parent_digest)
    archive = [_own_items(path) for path in arguments.earlier]
    # The name is left out on purpose: both arms of a generation draw with the same luck.
    seed = seed_for(config.seed, "curriculum", str(child.number))

    like = _sizes(arguments.like) if arguments.like else None
    asked = strategy.size if like is None else like.total()
    generating = time.perf_counter()
    title = f"{teacher.generation} writes the curriculum of {child.name}"
    devices = config.machines.curriculum.count
    with count_up(title, "samples") as advance, ceiling.held(devices, advance) as on_samples:
        author, before = Author(teacher, strategy.digest()), [item.prompt for items in archive for item in items]
        made_with = (engine, strategy, author, barred, seed, on_samples, before)
        if like is None:
            proposal = CurriculumInMaking(*made_with)
            cells = proposal.verified()
        else:
            proposal = control = ControlCurriculum(*made_with)
            cells = control.unverified(like)
    device_seconds = time.perf_counter() - generating

    written = [item for cell in cells for item in cell.kept]
    refused = refused_path(arguments.output)
    write_refused(refused, proposal.refused.rows())
    sampled = sum(cell.sampled for cell in cells)
    if len(written) < strategy.minimum_items:
        write_refused(refused, _all_refused(proposal.refused, written))
        raise LamarckError(
            f"{teacher.generation} wrote {len(written)} usable items in {sampled} samples, "
            f"below the strategy's minimum of {strategy.minimum_items}: `lamarck curriculum why {child.name}` shows "
            f"what it wrote, and why that was left out ({refused}). Ask for easier difficulties or more samples in "
            f"{strategy_path}"
        )
    replayed = replay(archive, written, strategy.replay_per_cell, seed_for(seed, "replay"))
    solved = written + replayed
    anchors = draw_anchors(
        config.founder,
        barred,
        solved,
        strategy.anchor_share,
        strategy.digest(),
        seed_for(seed, "anchors"),
    )
    rewritten = []
    if strategy.target == "teaching":
        number = sum(item.task == "write" for item in read_curriculum(arguments.like)) if arguments.like else None
        rewritten = as_written(solved + anchors, strategy.writing_share, seed_for(seed, "writing"), number)
    measures = measure(written, replayed, anchors, archive, suites, acceptance(cells), len(cells))
    if arguments.first_card and not arguments.like:
        broken = broken_limits(strategy.limits, measures, read_card(arguments.first_card).measures)
        if broken:
            write_refused(refused, _all_refused(proposal.refused, written))
            raise LamarckError(
                f"the curriculum of {child.name} is out of the limits in {strategy_path}: {'; '.join(broken)}; "
                f"its items are kept in {refused}"
            )

    items = solved + anchors + rewritten
    write_jsonl(arguments.output, (item.model_dump(mode="json") for item in items))
    wall_seconds = time.perf_counter() - started
    record = make_record(digest_file(arguments.output), inputs, seed, engine.device_name, wall_seconds, device_seconds)
    record = record.model_copy(update={"resumed": engine.resumed})
    card = Card(
        generation=child.name,
        parent=teacher.generation,
        strategy=str(strategy_path),
        cost=CardCost(
            samples_per_item=round(1 / acceptance(cells), 3),
            device_seconds_per_item=round(device_seconds / len(written), 6),
        ),
        record=record,
        **describe(cells, asked, replayed, anchors, rewritten, measures),
    )
    write_json(arguments.card, card.written())
    arguments.answers.unlink()
    print(f"{child.name}: {card.items} items from {sampled} samples by {teacher.generation}")


def _all_refused(refusals: "Refusals", written: list[Item]) -> "Iterator[RejectedLine]":
    """What was made is never thrown away: beside what was left out, every item of a curriculum that is refused."""
    from lamarck.curriculum.refused import OF_REFUSED, RejectedLine

    yield from refusals.rows()
    numbers = Counter((item.skill, item.difficulty) for item in written)
    for item in written:
        yield RejectedLine(
            reason=OF_REFUSED,
            skill=item.skill,
            difficulty=item.difficulty,
            number=numbers[item.skill, item.difficulty],
            why="",
            text=f"{item.prompt}\n{item.completion}",
        )


def _own_items(path: Path) -> list[Item]:
    """What a curriculum's own teacher solved: its items stand first."""
    items = list(read_curriculum(path))
    return own_items(items, items[0].teacher.digest)


def _sizes(curriculum: Path) -> Counter[tuple[str, int]]:
    """Items per (skill, difficulty) that a curriculum's own teacher wrote."""
    return Counter((item.skill, item.difficulty) for item in _own_items(curriculum))


if __name__ == "__main__":
    exit_with_sentence(main)
