"""The founder stage: g0 is pretrained or bred here, copied from a directory, unpacked from a GGUF file, merged, or a
model of the hub.

python -m lamarck.founder --config config/default.yaml --output results/g0/weights
"""

import argparse
import time
from pathlib import Path

from lamarck.config import Config
from lamarck.config.founder import EvolvedFounder, GgufFounder, HubFounder, LocalFounder, MergeFounder
from lamarck.engine import prepare_libraries
from lamarck.errors import exit_with_sentence
from lamarck.files import atomic_directory, file_digests, write_json
from lamarck.heavy_imports import heavy_imports
from lamarck.lineage.artifacts import UNPRIMED, WEIGHTS
from lamarck.lineage.configured import load_config_of
from lamarck.lineage.contents import parse_source
from lamarck.lineage.digest import weights_digest
from lamarck.lineage.generation import WEIGHTS_RECORD, parse_generation
from lamarck.lineage.inputs import primer_of
from lamarck.lineage.records import make_record
from lamarck.progress import count_up


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lamarck.founder", description="Make or bring the founder, g0.")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--generation", default="g0", help="its name, in a lineage with a founder of its own")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()

    started = time.perf_counter()
    founder = parse_generation(arguments.generation)
    config = load_config_of(arguments.config, founder)
    with atomic_directory(arguments.output) as directory:
        origin, device_seconds = _make(config, directory, arguments.output, arguments.threads)
        wall_seconds = time.perf_counter() - started
        digest = weights_digest(directory)
        kind = UNPRIMED if primer_of(config) else WEIGHTS
        inputs = kind.input_digests(config, founder)
        record = make_record(digest, inputs, config.seed, "cpu", wall_seconds, device_seconds)
        source = origin | {"files": file_digests(directory), "record": record.model_dump(mode="json")}
        write_json(directory / WEIGHTS_RECORD, parse_source(source, WEIGHTS_RECORD).written())
    print(f"g0: {digest[:8]}, {origin}")


def _make(config: Config, directory: Path, output: Path, threads: int) -> tuple[dict[str, object], float]:
    """Fill `directory`, which becomes `output`, with the founder. Returns where it is from, and the device seconds it
    took."""
    from lamarck.founder.local import copy_founder, name_founder

    founder = config.founder
    if isinstance(founder, LocalFounder):
        copy_founder(Path(founder.path), directory)
        return {"kind": "local"}, 0.0
    if isinstance(founder, EvolvedFounder):
        from lamarck.founder.evolved import copy_evolved

        return copy_evolved(Path(founder.path), directory), 0.0
    if isinstance(founder, GgufFounder):
        from lamarck.founder.gguf import unpack_gguf

        prepare_libraries(threads)
        said = unpack_gguf(Path(founder.path), directory)
        given = {"license": founder.license, "origin": founder.origin}
        return said | {"kind": "gguf"} | {name: said[name] or value for name, value in given.items()}, 0.0
    if isinstance(founder, HubFounder):
        licence = name_founder(founder.repo, founder.revision, directory)
        return {"kind": "hub", "repo": founder.repo, "revision": founder.revision, "license": licence}, 0.0

    if isinstance(founder, MergeFounder):
        from lamarck.founder.merge import merge_founder

        prepare_libraries(1)  # tensors are merged in blocks that fit a core's cache
        return merge_founder(Path(founder.file), directory, output.with_name("merged")), 0.0

    with heavy_imports():
        import torch

        from lamarck.founder.tiny import pretrain
    from lamarck.suites.suite import held_out_prompts, load_suite

    torch.set_num_threads(threads)
    exclude = held_out_prompts(load_suite(Path(config.suite)))
    with count_up("g0 is pretrained", "steps", founder.steps) as on_step:
        trained = pretrain(founder, exclude, directory, config.seed, on_step)
    losses = {name: round(value, 4) for name, value in trained.losses.items()}
    return {"kind": "tiny", "steps": trained.steps, "losses": losses, "tokens": trained.tokens}, trained.device_seconds


if __name__ == "__main__":
    exit_with_sentence(main)
