"""The engine `vllm` against vLLM driven directly: same model, same settings, same batch of texts, greedy, pair by pair.

    python benchmarks/vllm_vs_direct.py [--weights results/g0/weights]

Needs `make vllm`. Directly means what vLLM's own guide shows, `LLM(...).generate(texts)`, and is timed inside its
process; ours is timed here, with tokens put in and taken out and the pipe between. Both forget their prefixes before
each batch, which would not be new otherwise. Prints the ratio of wall times (theirs / ours: above 1 we are ahead).
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from lamarck.config.engine import VLLMEngineConfig
from lamarck.config.tiny import SkillShare, TinyFounder
from lamarck.engine.vllm import VLLMEngine
from lamarck.engine.worker import Worker
from lamarck.founder.tiny import pretrain
from lamarck.suites.suite import load_suite

PAIRS = 7
MAX_NEW_TOKENS = 64
SHARE = SkillShare(share=1, weights=(1,))
CONFIG = VLLMEngineConfig(kind="vllm")
CACHE_BYTES = 2**30  # of the peer: room for all texts at once
# The peer's process: the first line says what to load, each further one is a batch.
DIRECT = """
import json, os, sys, time

def main():
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    from vllm import LLM, SamplingParams
    settings = json.loads(sys.stdin.readline())
    model = LLM(**settings["model"])
    sampling = SamplingParams(temperature=0, max_tokens=settings["max_tokens"])
    print(json.dumps({}), file=replies, flush=True)
    for line in sys.stdin:
        prompts = json.loads(line)["prompts"]
        model.reset_prefix_cache()
        started = time.perf_counter()
        outputs = model.generate(prompts, sampling, use_tqdm=False)
        seconds = time.perf_counter() - started
        texts = [output.outputs[0].text for output in outputs]
        print(json.dumps({"seconds": seconds, "texts": texts}), file=replies, flush=True)

if __name__ == "__main__":
    main()
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights", type=Path, default=Path("results/g0/weights"))
    weights = parser.parse_args().weights
    prompts = [item.prompt for items in load_suite(Path("config/suites/tiny-v3")).items.values() for item in items[:60]]
    with tempfile.TemporaryDirectory() as folder:
        if not weights.exists():
            weights = Path(folder) / "weights"
            weights.mkdir()
            world = TinyFounder(
                kind="tiny",
                skills={name: SHARE for name in ("json_mode", "list_ops", "arithmetic")},
                steps=50,
                decay_steps=0,
            )
            pretrain(world, frozenset(), weights, 0, lambda steps: None)
        compare(weights, prompts, Path(folder) / "direct.py")


def compare(weights: Path, prompts: list[str], program: Path) -> None:
    direct = start_direct(weights, program)
    engine = VLLMEngine(CONFIG, weights, None)
    # Decoded word by word, vLLM's texts begin with the space that parts them from the prompt.
    theirs = [text.removeprefix(" ") for text in direct.ask({"prompts": prompts})["texts"]]
    if engine.generate(prompts, max_new_tokens=MAX_NEW_TOKENS) != theirs:
        raise SystemExit("the greedy outputs differ")
    ratios = []
    for _ in range(PAIRS):
        started = time.perf_counter()
        engine.generate(prompts, max_new_tokens=MAX_NEW_TOKENS)
        ours = time.perf_counter() - started
        ratios.append(direct.ask({"prompts": prompts})["seconds"] / ours)
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    print(f"{len(prompts)} prompts, equal output: vLLM directly / engine {statistics.median(ratios):.2f} ({spread})")


def start_direct(weights: Path, program: Path) -> Worker:
    program.write_text(DIRECT)
    environment = {
        "OMP_NUM_THREADS": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        # In one process, as ours: on few cores a second one only costs, and then we would be 1.2 to 1.4 times as fast.
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
    }
    worker = Worker(Path(CONFIG.python), program, os.environ | environment)
    model = {
        "model": str(weights),
        "dtype": CONFIG.dtype,
        "kv_cache_memory_bytes": CACHE_BYTES,
        "max_num_seqs": CONFIG.batch_size,
        "enforce_eager": True,
    }
    worker.ask({"model": model, "max_tokens": MAX_NEW_TOKENS})
    return worker


if __name__ == "__main__":
    main()
