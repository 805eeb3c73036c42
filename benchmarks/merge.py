"""Merging against mergekit: same models, same document, pair by pair; and the memory of ours.

    python benchmarks/merge.py

Prints for each method the ratio of times (mergekit / ours: above 1 we are ahead), with the spread of the pairs, and our
peak memory beyond the interpreter's, in units of the largest tensor (the promise: models + 2). Where mergekit is not
installed, ours alone.
"""

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import yaml
from safetensors.torch import save_file

from lamarck import merge
from lamarck.files import write_json

PAIRS = 3
NAMES = ("base", "a", "b", "c")
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 512, "intermediate_size": 1408,
    "num_hidden_layers": 6, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 64, "vocab_size": 16384,
    "tie_word_embeddings": False, "max_position_embeddings": 512, "dtype": "bfloat16",
}  # fmt: skip
LARGEST = 16384 * 512 * 2  # bytes: the embedding
METHODS: dict[str, dict[str, float]] = {
    "linear": {"weight": 0.5},
    "task_arithmetic": {"weight": 0.5},
    "slerp": {"t": 0.4},
    "nuslerp": {"weight": 0.5},
    "model_stock": {},
    "ties": {"weight": 0.5, "density": 0.4},
    "breadcrumbs": {"weight": 0.5, "density": 0.4, "gamma": 0.05},
    "dare_ties": {"weight": 0.5, "density": 0.4},
    "della": {"weight": 0.5, "density": 0.4, "epsilon": 0.1},
}


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for number, name in enumerate(NAMES):
            make_model(root / name, number)
        for method, parameters in METHODS.items():
            file = root / f"{method}.yaml"
            models, document = make_document(root, method, parameters)
            file.write_text(yaml.safe_dump(document))
            ours, theirs = timed(file, document, root)
            ratios = [them / us for us, them in zip(ours, theirs, strict=False)]
            spread = (
                f"mergekit / ours {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}); "
                if ratios
                else ""
            )
            peak = memory(file, root / "memory") / LARGEST
            print(
                f"{method}: {spread}{statistics.median(ours):.2f} s; memory {peak:.1f} of {models + 2} tensors",
                flush=True,
            )


def make_model(directory: Path, seed: int) -> None:
    """Random weights in 16 bits, near those of the other models; without a tokenizer."""
    from lamarck.merge.weights import planned_model

    write_json(directory / "config.json", CONFIG)
    tensors = {}
    for number, (name, header) in enumerate(planned_model("", directory / "config.json").tensors.items()):
        common, own = torch.Generator().manual_seed(number), torch.Generator().manual_seed(1000 * seed + number)
        start = torch.randn(header.shape, generator=common) * 0.02
        tensors[name] = (start + torch.randn(header.shape, generator=own) * 0.002).to(torch.bfloat16)
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})


def make_document(root: Path, method: str, parameters: dict[str, float]) -> tuple[int, dict[str, object]]:
    """(models of which tensors are held at once, the document)"""
    two = method in ("slerp", "nuslerp")
    names = NAMES[:2] if two else NAMES[1:]
    with_base = method not in ("linear", "nuslerp")
    document: dict[str, object] = {
        "merge_method": method,
        "models": [{"model": str(root / name)} for name in names],
        "parameters": parameters,
        "dtype": "bfloat16",
    }
    if with_base:
        document["base_model"] = str(root / NAMES[0])
    return len({*names, *(NAMES[:1] if with_base else ())}), document


def timed(file: Path, document: dict[str, object], root: Path) -> tuple[list[float], list[float]]:
    """Seconds of ours and of mergekit, pair by pair; the first pair warms up."""
    ours, theirs = [], []
    with_mergekit = find_spec("mergekit") is not None
    for pair in range(PAIRS + 1):
        output = root / f"ours-{file.stem}-{pair}"
        started = time.perf_counter()
        merge.run(file, output)
        us = time.perf_counter() - started
        them = run_mergekit(document, root / f"theirs-{file.stem}-{pair}") if with_mergekit else None
        if pair:
            ours.append(us)
            theirs += [them] if them else []
    return ours, theirs


def run_mergekit(document: dict[str, object], output: Path) -> float:
    from mergekit.config import MergeConfiguration
    from mergekit.merge import MergeOptions, run_merge

    options = MergeOptions(device="cpu", copy_tokenizer=False, quiet=True, write_model_card=False)
    started = time.perf_counter()
    with contextlib.redirect_stderr(None):
        run_merge(MergeConfiguration.model_validate(document), str(output), options)
    return time.perf_counter() - started


def memory(file: Path, output: Path) -> int:
    """Peak bytes of a merge in a process of its own, less what it holds before it begins."""
    program = (
        "import sys, torch; from pathlib import Path; from lamarck import merge; import lamarck.merge.perform\n"
        "def peak(): return 1024 * int([r for r in open('/proc/self/status') if r.startswith('VmHWM')][0].split()[1])\n"
        "import safetensors.torch, tokenizers; torch.randn(10).sum()\n"
        "file, output = map(Path, sys.argv[1:]); merge.check(file); before = peak()\n"
        "merge.run(file, output); print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", program, file, output], check=True, capture_output=True, text=True)
    subprocess.run(["rm", "-r", output], check=True)
    return int(done.stdout.split()[-1])


if __name__ == "__main__":
    main()
