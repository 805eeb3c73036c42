"""The primer stage: what a founder is warmed up on, drawn from the skills' own generators.

    python -m lamarck.curriculum.primer --config config/small.yaml --generation g0 \
        --output results/g0/curriculum.jsonl --card results/g0/curriculum.json
"""

import argparse
import random
import time
from pathlib import Path

from lamarck.config.primer import Primer, load_primer
from lamarck.curriculum.cell import Cell
from lamarck.curriculum.item import DATA, Item, ItemVerdict, Teacher, item_id
from lamarck.curriculum.suite_overlap import Contamination, contaminations, kept_out
from lamarck.errors import LamarckError, exit_with_sentence
from lamarck.files import digest_file, write_json, write_jsonl
from lamarck.lineage.artifacts import PRIMER
from lamarck.lineage.configured import load_config_of
from lamarck.lineage.contents import Card
from lamarck.lineage.generation import parse_generation
from lamarck.lineage.inputs import primer_of
from lamarck.lineage.records import make_record
from lamarck.seeds import seed_for
from lamarck.skills import get_skill

TRIES = 20  # draws for each problem that is wanted, before a cell is given up as exhausted


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lamarck.curriculum.primer", description="Draw a primer's items.")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--generation", default="g0")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--card", type=Path, required=True)
    arguments = parser.parse_args()

    started = time.perf_counter()
    founder = parse_generation(arguments.generation)
    config = load_config_of(arguments.config, founder)
    path = primer_of(config)
    if path is None:
        raise LamarckError(f"{arguments.config} has no founder.primer: there is nothing to draw")
    from lamarck.curriculum.describe import acceptance, describe
    from lamarck.curriculum.guard_rails import measure
    from lamarck.curriculum.mix import as_written

    primer = load_primer(path)
    suites = contaminations(Path(config.suite))
    seed = seed_for(config.seed, "primer")
    cells = draw(primer, kept_out(suites), seed)
    solved = [item for cell in cells for item in cell.kept]
    if not solved:
        raise LamarckError(f"{path} draws nothing that no suite holds: name other difficulties")
    rewritten = as_written(solved, primer.writing_share, seed_for(seed, "writing"))
    write_jsonl(arguments.output, (item.model_dump(mode="json") for item in solved + rewritten))
    wall_seconds = time.perf_counter() - started
    inputs = PRIMER.input_digests(config, founder)
    record = make_record(digest_file(arguments.output), inputs, seed, "cpu", wall_seconds, 0.0)
    measures = measure(solved, [], [], [], suites, acceptance(cells), len(cells))
    card = Card(
        generation=founder.name,
        parent="the skills' own generators",
        strategy=str(path),
        record=record,
        **describe(cells, primer.size, [], [], rewritten, measures),
    )
    write_json(arguments.card, card.written())
    print(f"{founder.name}: a primer of {len(solved)} problems, {len(rewritten)} of them also as they are written")


def draw(primer: Primer, barred: Contamination, seed: int) -> list[Cell]:
    """The primer's cells with their items: distinct problems, none of them a suite's.

    Errors: LamarckError for a skill or a difficulty that does not exist.
    """
    teacher = Teacher(generation=DATA, digest=primer.digest())
    seen: set[str] = set()
    cells = []
    for name, part in primer.skills.items():
        skill = get_skill(name)
        if unknown := [each for each in part.difficulties if each not in skill.difficulties]:
            raise LamarckError(f"the primer names difficulties of {name} that there are not: {unknown}")
        wanted = round(primer.size * part.share / len(part.difficulties))
        for difficulty in part.difficulties:
            cell = Cell(skill, difficulty, wanted=wanted, pass_rate=1.0)
            rng = random.Random(seed_for(seed, name, str(difficulty)))
            while len(cell.kept) < wanted and cell.sampled < TRIES * wanted:
                problem = skill.sample(rng, difficulty)
                cell.sampled += 1
                if problem.prompt in seen:
                    cell.dropped["duplicate"] += 1
                elif barred.copied(name, problem.prompt):
                    cell.dropped["in the suite"] += 1
                else:
                    seen.add(problem.prompt)
                    cell.verified += 1
                    cell.kept.append(
                        Item(
                            id=item_id(name, problem.prompt, problem.completion),
                            skill=name,
                            difficulty=difficulty,
                            prompt=problem.prompt,
                            completion=problem.completion,
                            teacher=teacher,
                            verdict=ItemVerdict(verified=True, by=name, score=1.0),
                            strategy=teacher.digest,
                        )
                    )
            cells.append(cell)
    return cells


if __name__ == "__main__":
    exit_with_sentence(main)
