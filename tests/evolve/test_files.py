"""The files that ship say what they mean, and mean what they say."""

from pathlib import Path

import pytest

from lamarck.arch.costs import cost
from lamarck.arch.operators import apply
from lamarck.evolve.controls import differences, plain_llama
from lamarck.evolve.drawing import difference, drawing
from lamarck.evolve.file import load_evolution
from lamarck.evolve.ledger import Compared
from lamarck.evolve.motifs import motifs
from lamarck.evolve.novelty import distance
from lamarck.evolve.scores import GenomeScores
from lamarck.evolve.static import training_bytes, why_too_large
from tests.arch.kinds import EVERY, MOE, PLAIN, genome_of
from tests.evolve.small import evolution

FILES = ("smoke", "tiny", "small", "large")
SIZES = {"smoke": (1e5, 5e5), "tiny": (5e5, 2e6), "small": (65e6, 100e6), "large": (350e6, 1e9)}


@pytest.mark.parametrize("name", FILES)
def test_a_shipped_file_begins_within_its_limits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    evolving = load_evolution(Path(f"config/evolve/{name}.yaml"))
    low, high = SIZES[name]
    parameters = cost(evolving.seeds[0], 1).parameters
    assert low <= parameters <= high and evolving.file.limits.parameters == high
    adapted = evolving.adapted(evolving.seeds[0], 257)
    assert training_bytes(adapted) < evolving.file.limits.memory_mb * 1e6
    # Wrong: a run that is meant for a GPU is held to the memory of the machine that asks about it.
    assert why_too_large(adapted, evolving.file.limits, evolving.file.machine) is None
    unlimited = evolving.file.limits.model_copy(update={"memory_mb": 1e12})
    rows = adapted.data.model_copy(update={"batch_size": 10**6})
    larger = adapted.model_copy(update={"data": rows})
    where = "H200 has 150.8" if name in ("small", "large") else "this machine has"
    assert where in (why_too_large(larger, unlimited, evolving.file.machine) or "")
    plan = [evolving.file.generations, evolving.file.evolution.population]
    assert name != "smoke" or plan[0] == 3


@pytest.mark.parametrize("kind", ["MLA", "moe", "mamba2", "retro gate", "gated recurrence", "untied"])
def test_a_plain_llama_has_as_many_parameters(kind: str) -> None:
    genome = EVERY[kind]
    llama = plain_llama(genome)
    assert cost(llama, 1).parameters == pytest.approx(cost(genome, 1).parameters, rel=0.03)
    assert all(block.ssm is None and not block.extras for block in llama.model.blocks)


def test_novelty_is_the_sources() -> None:
    import random

    first = genome_of(*[{"attn": PLAIN, "ffn": {"type": "dense", "hidden": 24}}] * 2)
    assert distance(first, first) == 0
    experts = genome_of({"attn": PLAIN, "ffn": MOE}, {"attn": PLAIN, "ffn": {"type": "dense", "hidden": 24}})
    assert distance(first, experts) == 1 / 2  # one kind of network, over two blocks
    longer = apply("duplicate_block_span", first, random.Random(0))[0].genome
    assert distance(first, longer) == 1 / ((2 + len(longer.model.blocks)) / 2) * (len(longer.model.blocks) - 2)


@pytest.mark.parametrize("kind", EVERY)
def test_every_kind_can_be_drawn(kind: str) -> None:
    lines = drawing(EVERY[kind]).splitlines()
    assert len(lines) > 4 and len({len(line) for line in lines if line[:1] in "│┌└"}) == 1
    assert difference(EVERY[kind], EVERY[kind]) == []


def test_drift_has_no_favourites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Survivors that are drawn as the drift is are seldom called selected; survivors that all have a rare part are."""
    monkeypatch.chdir(tmp_path)
    evolving = evolution(tmp_path)
    plain = [evolving.adapted(evolving.seeds[0], 257)] * 3
    assert {each.verdict for each in motifs(evolving, 257, plain)} == {"as drift gives"}
    experts = [genome_of({"attn": PLAIN, "ffn": MOE})] * 3
    found = {each.name: each for each in motifs(evolving, 257, experts)}
    assert found["experts"].verdict == "more than drift gives" and found["experts"].share == 1


def compared(arm: str, seed: int, score: float) -> Compared:
    scores = GenomeScores(blocks=(score,), memory=1, parameters=1, instability=0.0)
    return Compared(
        arm=arm, candidate="c", seed=seed, tokens=1, flops=1.0, parameters=1, stopped="tokens", scores=scores
    )  # type: ignore[arg-type]


def test_differences_are_paired_by_seed() -> None:
    """Seeds differ by far more than arms: unpaired, nothing would show."""
    levels = {1: 5.0, 2: 1.0, 3: 9.0}
    rows = [compared("line", seed, level - 0.1 - seed / 1000) for seed, level in levels.items()]
    rows += [compared("llama", seed, level) for seed, level in levels.items()]
    rows += [compared("scratch", 1, 4.0)]
    found = {each.arm: each for each in differences(rows, "c")}
    assert found["llama"].verdict == "better" and found["llama"].mean == pytest.approx(-0.102)
    assert found["scratch"].verdict == "too few seeds to tell"
