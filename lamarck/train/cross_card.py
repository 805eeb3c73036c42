"""The model card of a cross: an adapter's README.md with the hub's metadata, and both lines of ancestors drawn."""

import yaml

from lamarck.config.crossing import Crossing
from lamarck.gate.plan import CrossPlan
from lamarck.lineage.generation import Generation
from lamarck.merge.crossing import Crossed

CARD = "README.md"


def cross_card(child: Generation, plan: CrossPlan, crossing: Crossing, crossed: Crossed) -> str:
    """Markdown, YAML front matter first. Scores are not known here: `model-index` names the child and holds none."""
    name = child.name.replace("/", "-")
    data = {
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "tags": ["lamarck", "merge", "lora"],
        "base_model_relation": "adapter",
        "model-index": [{"name": name, "results": []}],
    }
    settings = yaml.safe_dump(crossing.model_dump(mode="json"), sort_keys=False, default_flow_style=None)
    parents = "\n".join(f"- {each.generation}, digest `{each.digest}`" for each in plan.parents)
    lost = "nothing" if crossed.residual is None else f"{crossed.residual.total:.4%} of the whole (Frobenius norm)"
    sections = [
        f"# {child.name}\n\nA child of two parents, made of their adapters without a curriculum:\n\n{parents}",
        f"## Ancestors\n\n{ancestors(child)}",
        f"## Crossing\n\n```yaml\n{settings}```\n\nRank {crossed.rank}; cutting to it lost {lost}.",
    ]
    front = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n\n" + "\n\n".join(sections) + "\n"


def ancestors(child: Generation) -> str:
    """A Mermaid graph of every line that leads to `child`."""
    number = {each.name: f"m{i}" for i, each in enumerate(child.ancestors)}
    lines = ["```mermaid", "graph TD"]
    for each in child.ancestors:
        lines.append(f'  {number[each.name]}["{each.name}"]')
        lines += [
            f"  {number[parent.name]} --> {number[each.name]}" for parent in (each.parents if each.number else ())
        ]
    return "\n".join([*lines, "```"])
