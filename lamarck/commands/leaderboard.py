"""`lamarck suite leaderboard`: the Open LLM Leaderboard's benchmarks, sat by one generation, on files that lie here."""

import json
from pathlib import Path

from lamarck.config import load_config
from lamarck.engine import prepare_libraries
from lamarck.errors import LamarckError
from lamarck.files import write_json
from lamarck.lineage.contents import Sat, parse_content
from lamarck.lineage.digest import model_digest
from lamarck.lineage.generation import Generation


def sit(generation: Generation, data: Path, keys: list[str], config_path: Path, as_json: bool) -> None:
    """The result goes to results/gN/leaderboard.json, from where a model card takes it; it chooses nothing.

    Errors: LamarckError for an unknown benchmark, missing data, or a generation that is not there.
    """
    from lamarck.eval.leaderboard import BENCHMARKS, BY_KEY

    unknown = [key for key in keys if key not in BY_KEY]
    if unknown:
        raise LamarckError(f"there is no benchmark {unknown[0]!r}; they are {', '.join(BY_KEY)}")
    if not data.is_dir():
        raise LamarckError(f"{data} does not exist: bring the benchmarks' data there (docs/suites.md says how)")
    change = generation.change if generation.number else None
    weights = generation.weights
    for directory in filter(None, (weights, change)):
        if not directory.is_dir():
            raise LamarckError(f"{directory} does not exist: raise {generation.name} first")
    config = load_config(config_path)
    prepare_libraries(config.engine.threads)
    from lamarck.config.engine import HFEngineConfig
    from lamarck.engine.hf import HFEngine  # torch: seconds
    from lamarck.eval.leaderboard import sit as run

    settings = config.engine if isinstance(config.engine, HFEngineConfig) else HFEngineConfig()
    engine = HFEngine(settings, weights, change, config.machines.eval)
    found = run(engine.model, engine.tokenizer, data, keys or [benchmark.key for benchmark in BENCHMARKS])
    result = {"generation": generation.name, "model": model_digest(weights, change)} | found
    write_json(generation.leaderboard, parse_content(Sat, result, "what was measured").written())
    if as_json:
        print(json.dumps(result, indent=2, sort_keys=True))
        return
    for key, figures in found["benchmarks"].items():
        print(f"{BY_KEY[key].name}: {figures['value']:.2f}")
    for key, why in found["errors"].items():
        print(f"not run: {BY_KEY[key].name}: {why}")
    print(f"written to {generation.leaderboard}")
