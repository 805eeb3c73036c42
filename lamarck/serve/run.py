"""`lamarck serve`: check a generation, load it, and answer until told to stop."""

from pathlib import Path

from lamarck.config import Config, load_config
from lamarck.lineage.generation import Generation
from lamarck.serve import EngineKind, hf
from lamarck.serve.address import bind
from lamarck.serve.model import servable


def serve(
    generation: Generation,
    engine: EngineKind | None,
    host: str,
    port: int,
    idle_minutes: float | None,
    config_path: Path,
) -> None:
    """Blocks until SIGINT or SIGTERM, or until nobody has asked anything for `idle_minutes`.

    Errors: LamarckError where the generation or the address may not be served, or the engine fails.
    """
    config = load_config(config_path)
    address = bind(host, port)
    engine = chosen_engine(engine, config)
    if engine == "vllm":
        from lamarck.serve import vllm  # and with it an HTTP client

        vllm.check_environment(config)  # before the bytes are hashed, which takes long for a large model
    model = servable(generation)
    print(f"{model.name} matches its record; loading it", flush=True)
    answer = vllm.answer if engine == "vllm" else hf.answer
    answer(model, config, address, None if idle_minutes is None else 60 * idle_minutes)
    print("stopped")


def chosen_engine(engine: EngineKind | None, config: Config) -> EngineKind:
    """What was asked for; else vllm where the configuration generates with it, and hf everywhere else."""
    return engine or ("vllm" if config.engine.kind == "vllm" else "hf")
