"""The model card of a merged model: README.md with the hub's metadata, the ancestors drawn, and what was assumed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lamarck.files import write_text
from lamarck.merge.checked import Checked
from lamarck.merge.layout import Layout


def write_card(directory: Path, checked: Checked, record: Mapping[str, Any]) -> None:
    write_text(directory / "README.md", merge_card(checked, record))


def merge_card(checked: Checked, record: Mapping[str, Any]) -> str:
    """Markdown, YAML front matter first. Scores are not known here: `model-index` names the model and holds none."""
    parents = sorted(name for name in checked.external if checked.models[name].tensors)
    data = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["lamarck", "merge"],
        "base_model": parents,
        "base_model_relation": "merge",
        "model-index": [{"name": checked.result, "results": []}],
    }
    notes = "\n".join(f"- {note}" for note in checked.notes) or "Nothing."
    sections = [
        f"# {checked.result}\n\nMade of {len(parents)} models by {len(checked.layouts)} merges. Weights of every "
        "parent are named by sha256 in `merge.json`, with the documents as they were read.",
        f"## Ancestors\n\n{ancestors(checked)}",
        "## Merges\n\n" + "\n\n".join(_merge(layout) for layout in checked.layouts),
        f"## Ignored and assumed\n\n{notes}",
        f"## Chance\n\nRandom methods descend from the seed {record['seed']}, tensor by tensor.",
    ]
    front = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n\n" + "\n\n".join(sections) + "\n"


def ancestors(checked: Checked) -> str:
    """A Mermaid graph: models in boxes, merges rounded, the base of each merge by a thick line."""
    names = list(dict.fromkeys([*sorted(checked.external), *(layout.document.name for layout in checked.layouts)]))
    number = {name: f"m{i}" for i, name in enumerate(names)}
    lines = ["```mermaid", "graph TD"]
    for name in sorted(checked.external):
        if checked.models[name].tensors:
            lines.append(f'  {number[name]}["{name}"]')
    for layout in checked.layouts:
        document = layout.document
        lines.append(f'  {number[document.name]}("{document.name}<br>{document.merge_method}")')
        for model in document.models:
            line = "==>" if model == document.base_model else "-->"
            lines.append(f"  {number[model]} {line} {number[document.name]}")
    return "\n".join([*lines, "```"])


def _merge(layout: Layout) -> str:
    document = layout.document
    text = yaml.safe_dump(
        document.model_dump(mode="json", exclude_none=True),
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=None,
    )
    return f"### {document.name}\n\n```yaml\n{text}```"
