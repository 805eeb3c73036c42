"""The dataset card of a curriculum, results/gN/curriculum.md, in the form of the Hugging Face hub. Light.

Derived from curriculum.json alone, and from nothing in it that says when or where: making the same curriculum again
gives the same card. Format: https://huggingface.co/docs/hub/datasets-cards

    python -m lamarck.curriculum.dataset_card --config config/default.yaml --card results/g1/curriculum.json \
        --output results/g1/curriculum.md
"""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from lamarck.config import load_config
from lamarck.config.founder import Founder
from lamarck.curriculum.item import Item
from lamarck.errors import exit_with_sentence
from lamarck.files import write_text
from lamarck.lineage.contents import Card, read_card

# The hub's own names; a set as large as a bound belongs to the next.
SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
LARGEST = "n>10M"


def dataset_card(card: Card, founder: Founder) -> str:
    """The card's Markdown, YAML front matter first."""
    front = yaml.safe_dump(_front_matter(card, founder), sort_keys=False)
    sections = [
        f"# Curriculum of {card.generation}\n\n{_summary(card)}",
        f"## Load it\n\n{LOADING}",
        f"## Fields\n\n{_table(('field', 'meaning'), _fields())}",
        f"## Verification\n\n{_verification(card)}",
        f"## Counts\n\n{_counts(card)}",
        f"## Measures\n\nDefined in `lamarck/curriculum/guard_rails.py`.\n\n"
        f"{_table(('measure', 'value'), ((name, f'{value:g}') for name, value in sorted(card.measures.items())))}",
        f"## Provenance\n\n{_table(('', ''), _provenance(card))}",
        f"## Licence\n\n{_licence(founder)}",
    ]
    return f"---\n{front}---\n\n" + "\n\n".join(sections) + "\n"


def _front_matter(card: Card, founder: Founder) -> dict[str, Any]:
    return {
        # A founder that comes from elsewhere comes with terms that this project does not know.
        "license": "apache-2.0" if founder.kind == "tiny" else "unknown",
        "pretty_name": f"Curriculum of {card.generation}",
        "task_categories": ["text-generation"],
        "size_categories": [_size(card.items)],
        "language_creators": ["machine-generated"],
        "annotations_creators": ["machine-generated"],
        "source_datasets": ["original"],
        "tags": ["synthetic", "curriculum", *(["human-edited"] if card.record.human_edited else [])],
        "configs": [{"config_name": "default", "data_files": "curriculum.jsonl"}],
    }


def _size(items: int) -> str:
    return next((name for bound, name in SIZES if items < bound), LARGEST)


def _summary(card: Card) -> str:
    parts = (
        (card.kept, f"problems with answers of {card.parent}'s own"),
        (card.replayed, "replayed from earlier generations"),
        (card.anchors, "anchors from the founder's own data"),
        (card.to_write, "of these once more, as a teacher writes them (`task`: write)"),
    )
    counts = ", ".join(f"{count} {what}" for count, what in parts if count)
    edited = f" {card.record.human_edited.sentence()}" if card.record.human_edited else ""
    return (
        f"What the model {card.parent} wrote to train its child {card.generation}: {card.items} items, "
        f"{counts}.{edited}"
    )


LOADING = """\
```python
from datasets import load_dataset

curriculum = load_dataset("json", data_files="curriculum.jsonl", split="train")
```"""


def _fields() -> list[tuple[str, str]]:
    return [(f"`{name}`", field.description or "") for name, field in Item.model_fields.items()]


def _verification(card: Card) -> str:
    if "like" in card.record.inputs:
        return (
            "None: this is a control arm. Its items were taken as they came, to compare with a child of verified ones; "
            "nobody knows which are right."
        )
    skills = ", ".join(f"`{skill}`" for skill in sorted({cell.skill for cell in card.cells}))
    return (
        f"Every item was judged by the verifier of its skill, which `verdict.by` names: {skills}. What each one "
        "checks, and what it cannot, stands in `docs/skills.md`. Items that overlap the frozen evaluation suite, and "
        "repeats, were left out."
    )


def _counts(card: Card) -> str:
    columns = ("skill", "difficulty", "sampled", "pass rate", "asked for", "kept")
    keys = ("skill", "difficulty", "sampled", "pass_rate", "asked", "kept")
    cells = _table(columns, ([str(getattr(cell, key)) for key in keys] for cell in card.cells))
    dropped = "; ".join(f"{count} {reason}" for reason, count in card.dropped.items()) or "nothing"
    notes = [
        f"Of {card.sampled} texts and {card.answered} further answers, {card.kept} problems were kept. "
        f"Left out: {dropped}.",
        *card.warnings,
    ]
    return f"{cells}\n\n" + "\n".join(f"- {note}" for note in notes)


def _provenance(card: Card) -> list[tuple[str, str]]:
    inputs = [
        (f"digest of the {name}" if len(value) == 64 else name, value) for name, value in card.record.inputs.items()
    ]
    return [
        ("sha256 of curriculum.jsonl", card.record.digest),
        ("child", card.generation),
        ("parent", card.parent),
        *sorted(inputs),
        ("seed of the sampling", str(card.record.seed)),
    ]


def _licence(founder: Founder) -> str:
    if founder.kind == "tiny":
        return "Apache-2.0: the founder was pretrained by this project, on problems of its own generators."
    sources = {
        "hub": "{0.repo}, revision {0.revision}",
        "gguf": "a GGUF file, whose own words are in its source.json",
        "evolved": "bred here, by the evolution {0.evolution}: source.json says on which text",
        "merge": "a merge of models, whose licences are in its source.json",
    }
    source = sources.get(founder.kind, "a local model directory").format(founder)
    return f"That of the founder's output decides. The founder is {source}."


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = list(columns)
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m lamarck.curriculum.dataset_card", description="Write a curriculum's dataset card."
    )
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--card", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    write_text(arguments.output, dataset_card(read_card(arguments.card), load_config(arguments.config).founder))


if __name__ == "__main__":
    exit_with_sentence(main)
