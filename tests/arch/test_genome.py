"""Genomes: what they can say, what they refuse, and what they cost."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lamarck.arch.costs import cost
from lamarck.arch.genes import ChunkMemory, MoeFfn
from lamarck.arch.genome import Genome, check_genome, load_genome, save_genome
from lamarck.arch.model import GenomeConfig, GenomeForCausalLM
from lamarck.errors import LamarckError
from tests.arch.checks import TOKENS, cost_mismatch
from tests.arch.kinds import EVERY, FFN, HEADS, PLAIN, plain

GENOMES = Path("config/genomes")


@pytest.mark.parametrize("kind", EVERY)
def test_costs_computed_are_those_of_the_built_model(kind: str) -> None:
    assert not cost_mismatch(EVERY[kind])


@pytest.mark.parametrize(
    "kind",
    ["LINEAR", "mamba2", "ssm", "sliding", "retro gate", "chunk_memory", "branch_router by sequence", "int8 policy"],
)
def test_costs_hold_beyond_a_chunk_and_in_two_bytes_a_number(kind: str) -> None:
    assert not cost_mismatch(EVERY[kind], 70, torch.bfloat16)


def test_int8_keeps_a_quarter_and_the_scales() -> None:
    rows = TOKENS * 3 * 2 * PLAIN["kv_heads"]  # tokens, blocks, keys and values
    assert cost(plain(), TOKENS).cache == rows * PLAIN["head_dim"] * 4
    assert cost(EVERY["int8 policy"], TOKENS).cache == rows * (PLAIN["head_dim"] + 4)
    assert cost(plain(), TOKENS, itemsize=2).cache == rows * PLAIN["head_dim"] * 2


# The README's own account of its three survivors: parameters in millions, blocks, blocks with memory, with experts,
# with MLA, recurrences.
SURVIVORS = {
    "quality_memory_stack": (83.4, 5, 5, 1, 0, 0),
    "probe_hybrid": (65.3, 10, 4, 0, 2, 1),
    "routed_memory_stack": (75.8, 13, 4, 0, 1, 0),
}


@pytest.mark.parametrize("name", SURVIVORS)
def test_the_sources_survivors_are_what_their_readme_says(name: str) -> None:
    genome = load_genome(GENOMES / f"{name}.yaml")
    blocks = genome.model.blocks
    memories = sum(any(each.type != "custom" for each in block.memories) for block in blocks)
    experts = sum(isinstance(block.ffn, MoeFfn) for block in blocks)
    latents = sum(block.attn is not None and block.attn.kind == "MLA" for block in blocks)
    millions, *counts = SURVIVORS[name]
    assert [len(blocks), memories, experts, latents, len(genome.model.recurrences)] == counts
    assert cost(genome, 1).parameters / 1e6 == pytest.approx(millions, rel=0.005)


def test_every_shipped_genome_is_read_back_as_it_was_and_builds(tmp_path: Path) -> None:
    paths = sorted(GENOMES.glob("*.yaml"))
    assert len(paths) >= 5
    for path in paths:
        genome = load_genome(path)
        save_genome(genome, tmp_path / path.name)
        assert load_genome(tmp_path / path.name) == genome
        with torch.device("meta"):
            model = GenomeForCausalLM(GenomeConfig.of(genome))
        assert cost(genome, 1).parameters == sum(each.numel() for each in model.parameters())


@pytest.mark.parametrize("kind", EVERY)
def test_yaml_keeps_every_kind(kind: str, tmp_path: Path) -> None:
    save_genome(EVERY[kind], tmp_path / "genome.yaml")
    assert load_genome(tmp_path / "genome.yaml") == EVERY[kind]


def test_what_a_kind_says_about_key_heads_is_filled_in() -> None:
    heads = {
        kind: check_genome(_with(kind=kind), "here").model.blocks[0].attn.kv_heads for kind in ("MHA", "GQA", "MQA")
    }
    assert heads == {"MHA": 8, "GQA": 4, "MQA": 1}


def _with(**attn: Any) -> dict[str, Any]:
    own = {"heads": 8, "head_dim": 4, **attn}
    return {"model": {"emb": {"dim": 32, "vocab": 9}, "blocks": [{"attn": own, "ffn": FFN}]}}


def _block(**block: Any) -> dict[str, Any]:
    return {"model": {"emb": {"dim": 32, "vocab": 9}, "blocks": [block]}}


def _model(**model: Any) -> dict[str, Any]:
    blocks = [{"attn": HEADS, "ffn": FFN}] * 3
    return {"model": {"emb": {"dim": 32, "vocab": 9}, "blocks": blocks, **model}}


REFUSED: dict[str, tuple[object, str]] = {
    "a kind": (_with(kind="GQAA"), "unknown model.blocks.0.attn.kind 'GQAA': did you mean 'GQA'?"),
    "a field": (_with(hed_dim=3), "unknown key 'model.blocks.0.attn.hed_dim': did you mean 'head_dim'?"),
    "a field of an ffn": (
        _block(ffn={"type": "moe", "hidden": 8, "n_expert": 4}),
        "unknown key 'model.blocks.0.ffn.moe.n_expert': did you mean 'n_experts'?",
    ),
    "a type of ffn": (_block(ffn={"type": "mo"}), "unknown type 'mo' at model.blocks.0.ffn: did you mean 'moe'?"),
    "an extra": (_block(ffn=FFN, extras=[{"type": "retros"}]), "did you mean 'retro'?"),
    "an objective": (
        {**_with(), "evolution": {"pareto_objectives": ["pass_key"]}},
        "unknown evolution.pareto_objectives.0 'pass_key': did you mean 'passkey'?",
    ),
    "a section": ({"modell": 1}, "unknown key 'modell': did you mean 'model'?"),
    "no genome": ([], "the genome: Input should be"),
    "heads that do not divide": (_with(kind="GQA", kv_heads=3), "8 heads cannot share 3 kv_heads evenly"),
    "an odd head": (_with(head_dim=5, rope="standard"), "head_dim must be even, not 5"),
    "MHA of few keys": (_with(kv_heads=2), "write kind: GQA"),
    "MQA of two keys": (_with(kind="MQA", kv_heads=2), "write kind: GQA"),
    "MLA without its latent": (_with(kind="MLA"), "kv_latent_dim is missing"),
    "a latent without MLA": (_with(kv_latent_dim=4), "kv_latent_dim has no use here"),
    "a window without its size": (_with(sparsity="sliding"), "window is missing"),
    "blocks that see all": (
        _with(sparsity="local_block", window=2, block_size=4, block_stride=4),
        "block_size below its block_stride",
    ),
    "a selector of too many heads": (
        _with(selector="dsa", selector_topk=1, selector_heads=9, selector_dim=1),
        "no more than the heads and head_dim",
    ),
    "linear attention with a rope": (_with(kind="LINEAR", rope="standard"), "it takes no rope"),
    "MLA with gated values": (_with(kind="MLA", kv_latent_dim=4, gating_pos="value"), "gate its output"),
    "more experts than there are": (_block(ffn={"type": "moe", "hidden": 8, "n_experts": 2, "k": 3}), "3 of 2 experts"),
    "ssm heads": (_block(ssm={"d_inner": 9, "d_state": 2, "heads": 2}), "cannot be split into 2 heads"),
    "an empty block": (_block(), "a block needs attn, ssm, ffn or a memory"),
    "two routers": (_block(ffn=FFN, extras=[{"type": "branch_router"}] * 2), "a block takes one branch_router"),
    "no blocks": ({"model": {"emb": {"dim": 8, "vocab": 9}, "blocks": []}}, "at least 1 item"),
    "a span too long": (_model(recurrences=[{"start": 1, "end": 4}]), "does not fit 3 blocks"),
    "spans that overlap": (_model(recurrences=[{"start": 0, "end": 2}, {"start": 1, "end": 3}]), "overlap at block 1"),
    "a policy without its window": (_model(kv_policy={"cache": "window"}), "cache: window needs window"),
    "a policy with another's": (_model(kv_policy={"latent_dim": 4}), "cache: full takes no latent_dim"),
    "rungs that fall": ({**_with(), "evolution": {"rung1_tokens": 9, "rung2_tokens": 8}}, "must not exceed"),
    "an infinite rate": ({**_with(), "train": {"lr": -1}}, "train.lr: Input should be greater than 0"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_wrong_is_refused_with_one_sentence(what: str) -> None:
    values, wanted = REFUSED[what]
    with pytest.raises(LamarckError) as caught:
        check_genome(values, "search.yaml")
    text = str(caught.value)
    assert text.startswith("search.yaml: ") and wanted in text
    assert "\n" not in text


def test_files_that_are_no_yaml_or_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LamarckError, match="does not exist"):
        load_genome(tmp_path / "none.yaml")
    (tmp_path / "broken.yaml").write_text("model: [")
    with pytest.raises(LamarckError, match="not valid YAML"):
        load_genome(tmp_path / "broken.yaml")


def test_the_genome_needs_no_torch() -> None:
    import subprocess
    import sys

    program = (
        "import sys, lamarck.arch.genome, lamarck.arch.costs, lamarck.arch.sample, lamarck.arch.serving;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_the_page_shows_a_genome_that_is_one() -> None:
    page = Path("docs/architectures.md").read_text()
    shown = page.split("```yaml\n")[1].split("```")[0]
    assert len(check_genome(yaml.safe_load(shown), "the page").model.blocks) == 2


def test_genomes_are_equal_by_what_they_say() -> None:
    assert plain() == Genome.model_validate(plain().model_dump())
    assert plain().digest() != plain(2).digest()
    assert ChunkMemory(type="chunk_memory", chunk_size=2, stride=1, heads=1, head_dim=1).gating_weight == 0.1
