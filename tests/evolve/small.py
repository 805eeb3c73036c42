"""An evolution as small as it can be, and what approves it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from lamarck.arch.genome import Genome, save_genome
from lamarck.evolve.file import Evolving, load_evolution
from lamarck.evolve.ledger import Ledger
from lamarck.evolve.places import Places
from lamarck.evolve.run import run_evolution
from lamarck.gate.approval import Approver
from lamarck.gate.evolution import EvolutionPlan
from lamarck.gate.planned import plan_digest
from tests.arch.kinds import genome_of

ATTENTION = {"kind": "MHA", "heads": 2, "head_dim": 8, "rope": "standard"}
FFN = {"type": "dense", "hidden": 16}
SEED = genome_of({"attn": ATTENTION, "ffn": FFN}, {"attn": ATTENTION, "ffn": FFN}, emb={"dim": 16, "vocab": 257},
                 train={"lr": 0.003, "warmup": 1})  # fmt: skip

VALUES: dict[str, Any] = {
    "description": "For the tests.",
    "seeds": ["seed.yaml"],
    "text": {"kind": "installed", "distribution": "numpy", "files": "*.py"},
    "data": {"seq_len": 48, "batch_size": 4},
    "generations": 2,
    "evolution": {
        "population": 3,
        "rung1_tokens": 384,
        "rung2_tokens": 768,
        "topk_keep": 0.5,
        "crossover_prob": 0.5,
        "pareto_objectives": ["bits_per_byte", "memory"],
    },
    "repeats": 2,
    "limits": {"parameters": 100_000, "memory_mb": 500},
    "controls": {"survivors": 1, "seeds": [101, 102]},
    "device_seconds": 600,
}


def numpys_text() -> dict[str, str]:
    """The pin of tests and of config/evolve alike."""
    pinned: dict[str, str] = yaml.safe_load((Path(__file__).parents[2] / "config/evolve/smoke.yaml").read_text())[
        "text"
    ]
    return pinned


def merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {
        key: merged(values.get(key) or {}, changes[key])
        if isinstance(changes.get(key), dict) and key in ("evolution", "data", "limits", "controls")
        else changes.get(key, values.get(key))
        for key in values | changes
    }


def evolution(directory: Path, name: str = "small", seed: Genome = SEED, **changes: Any) -> Evolving:
    save_genome(seed, directory / "seed.yaml")
    values = merged(VALUES | {"text": numpys_text()}, changes)
    (directory / f"{name}.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    return load_evolution(Path(f"{name}.yaml"))


def run(evolving: Evolving, said: list[str] | None = None, say: Callable[[str], None] | None = None) -> str:
    """Approved by whoever is asked."""

    def ask(plan: EvolutionPlan) -> str:
        return plan_digest(plan)

    quiet = [] if said is None else said
    return run_evolution(evolving, lambda: Approver(name="Tester"), ask, None, say or quiet.append)


def ledger(evolving: Evolving) -> Ledger:
    return Ledger(Places(evolving.name))
