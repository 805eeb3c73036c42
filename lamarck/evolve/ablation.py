"""A candidate without each of its parts, as an evolution of one generation: what of it is worth anything? Light."""

from pathlib import Path
from typing import Any

import yaml

from lamarck import strict_yaml
from lamarck.arch.edit import rebuilt
from lamarck.arch.genes import Block
from lamarck.arch.genome import Genome, save_genome
from lamarck.errors import LamarckError
from lamarck.evolve.file import Evolving
from lamarck.files import write_text


def variants(genome: Genome) -> dict[str, Genome]:
    """What was taken away -> the rest; what would be no valid genome, or the same one, is left out."""
    blocks = genome.model.blocks
    kinds = dict.fromkeys(each.type for block in blocks for each in block.extras)
    found: dict[str, Genome | None] = {
        f"no-{kind}": rebuilt(genome, blocks=[_without(block, kind) for block in blocks]) for kind in kinds
    }
    found["no-ssm"] = _changed(genome, "ssm", None)
    found["no-recurrence"] = rebuilt(genome, recurrences=())
    found["no-kv-policy"] = rebuilt(genome, kv_policy={})
    found["dense-attention"] = _attention(
        genome, sparsity="none", window=None, block_size=None, block_stride=None, global_stride=None, dilation=None
    )
    found["no-selector"] = _attention(
        genome, selector="none", selector_topk=None, selector_heads=None, selector_dim=None, selector_rope="full"
    )
    found["no-gating"] = _attention(genome, gating_pos="none", gating_op="dense")
    found["no-qk-norm"] = _attention(genome, qk_norm="none", qk_norm_max=None)
    for place in range(len(blocks)):
        rest = [*blocks[:place], *blocks[place + 1 :]]
        found[f"no-block-{place}"] = rebuilt(genome, blocks=rest, recurrences=()) if rest else None
    return {name: each for name, each in found.items() if each is not None}


def _without(block: Block, kind: str) -> dict[str, Any]:
    values = block.model_dump()
    return {**values, "extras": [each for each in values["extras"] if each["type"] != kind]}


def _changed(genome: Genome, field: str, value: object) -> Genome | None:
    return rebuilt(genome, blocks=[{**block.model_dump(), field: value} for block in genome.model.blocks])


def _attention(genome: Genome, **values: object) -> Genome | None:
    blocks = [block.model_dump() for block in genome.model.blocks]
    return rebuilt(
        genome, blocks=[{**each, "attn": {**each["attn"], **values}} if each["attn"] else each for each in blocks]
    )


def write_ablation(evolving: Evolving, candidate: str, genome: Genome, output: Path) -> list[str]:
    """Write the genomes beside `output`, and there the file of an evolution that trains all of them to the end.

    Errors: LamarckError where nothing can be taken away.
    """
    found = variants(genome)
    if not found:
        raise LamarckError(f"{candidate} has no part that it can do without: there is nothing to ablate")
    directory = output.with_suffix("")
    names = {"whole": genome, **found}
    for name, each in names.items():
        save_genome(each, directory / f"{name}.yaml")
    values = strict_yaml.loads(evolving.content, str(evolving.path))
    assert isinstance(values, dict)
    values |= {
        "description": f"{candidate} of {evolving.name} without each of its parts.",
        "seeds": [str(directory / f"{name}.yaml") for name in names],
        "generations": 1,
        "evolution": {**values.get("evolution", {}), "population": len(names), "topk_keep": 1.0},
    }
    write_text(output, yaml.safe_dump(values, sort_keys=False))
    return list(found)
