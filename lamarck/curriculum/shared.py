"""Take over a curriculum that is written for another generation, where what decides both is the same. Light.

    python -m lamarck.curriculum.shared --config config/default.yaml --generation campaigns/optimizers/APOLLO/s41/g1 \
        --output results/campaigns/optimizers/APOLLO/s41/g1/curriculum.jsonl \
        --card results/campaigns/optimizers/APOLLO/s41/g1/curriculum.json
"""

import argparse
import time
from pathlib import Path

from lamarck.config import Config
from lamarck.curriculum.refused import refused_path
from lamarck.errors import LamarckError, exit_with_sentence
from lamarck.files import digest_bytes, read_regular, write_json, write_text
from lamarck.lineage.artifacts import CURRICULUM
from lamarck.lineage.configured import load_config_of
from lamarck.lineage.contents import Card, read_card
from lamarck.lineage.generation import Generation, parse_generation


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m lamarck.curriculum.shared", description="Take over a curriculum written for another generation."
    )
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--generation", required=True, help="the child: campaigns/optimizers/APOLLO/s41/g1")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--card", type=Path, required=True)
    arguments = parser.parse_args()
    child = parse_generation(arguments.generation)
    card = take_over(load_config_of(arguments.config, child), child, arguments.output, arguments.card)
    print(f"{child.name}: {card.items} items, written for {card.record.written_for}")


def take_over(config: Config, child: Generation, output: Path, card_file: Path) -> Card:
    """Copy the curriculum that is written for `child.written_for`, with its card; returned is the card of the copy.

    `config`: of the child's lineage. The copy's record names the same inputs and how the items came to be, but no
    seconds of writing, which count once.

    Errors: LamarckError, and nothing written, where the original is damaged, was edited by hand, or was made from
    other inputs than those of `child`.
    """
    started = time.perf_counter()
    writer = child.written_for
    content = read_regular(writer.curriculum)
    card = read_card(writer.card)
    record = card.record
    again = f"delete {writer.curriculum}, and run the campaign again, which has it written anew"
    if digest_bytes(content) != record.digest:
        raise LamarckError(
            f"{writer.curriculum} is not what its card says, so {child.name} cannot take it over: {again}"
        )
    if record.human_edited:
        raise LamarckError(f"{writer.curriculum} was edited by hand, for {writer.name} alone: {again}")
    if differing := record.differing(CURRICULUM.input_digests(config, child)):
        raise LamarckError(
            f"the {', '.join(differing)} of {child.name} and of {writer.name} are not the same, so it is another "
            f"curriculum: {again}"
        )
    taken = record.model_copy(
        update={
            "wall_seconds": round(time.perf_counter() - started, 3),
            "device_seconds": 0.0,
            "resumed": 0,
            "written_for": writer.name,
        }
    )
    own = {"generation": child.name, "strategy": str(config.strategy_of(child.number)), "record": taken}
    card = card.model_copy(update=own)
    if (refused := refused_path(writer.curriculum)).exists():
        write_text(refused_path(output), refused.read_text(encoding="utf-8"))
    write_text(output, content.decode("utf-8"))
    write_json(card_file, card.written())
    return card


if __name__ == "__main__":
    exit_with_sentence(main)
