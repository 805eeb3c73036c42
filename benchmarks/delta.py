"""What a checkpoint costs: element-sparse differences beside full safetensors and differences of 4 KiB blocks.

    python benchmarks/delta.py

A Llama with random weights is trained for some steps between two checkpoints: with LoRA, APOLLO on float32 weights,
and APOLLO on bfloat16 weights at several rates. Bytes and seconds are of the second checkpoint, on the
disk (fsync) each time; seconds are the processor's, so that other work on the machine does not count. The difference's
include its digest, which the others do without.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

from lamarck.config.optimizer import ApolloSettings
from lamarck.models.delta import Tensors, held
from lamarck.train.chain import Chain, read_chain
from lamarck.train.optimizer import build_optimizer, grouped

BLOCK = 4096
VOCABULARY = 8192
# Name, bfloat16 or not, how its updates are rounded, and the learning rate of a full step.
RUNS = [
    ("LoRA, rate 1e-3", torch.float32, "masters", 1e-3),
    ("APOLLO, float32, rate 1e-5", torch.float32, "masters", 1e-5),
    *(
        (f"APOLLO, bfloat16, {rounding}, rate {rate:g}", torch.bfloat16, rounding, rate)
        for rounding in ("masters", "stochastic")
        for rate in (1e-7, 1e-6, 1e-5, 1e-4)
    ),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--steps", type=int, default=5, help="between two checkpoints")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{arguments.steps} steps between two checkpoints; MB and processor seconds")
    print(f"{'':44}{'changed':>9}{'full':>16}{'4 KiB blocks':>17}{'difference':>17}{'read':>8}")
    for name, dtype, rounding, rate in RUNS:
        with tempfile.TemporaryDirectory() as folder:
            first, second = states(name, dtype, rounding, rate, arguments.hidden, arguments.layers, arguments.steps)
            print(f"{name:44}{compared(first, second, Path(folder))}", flush=True)


def states(
    name: str, dtype: torch.dtype, rounding: str, rate: float, hidden: int, layers: int, steps: int
) -> Iterator[Tensors]:
    """What is trained, at the first checkpoint and at the second."""
    torch.manual_seed(0)
    shape = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=8,
        num_key_value_heads=4,
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(shape).to(dtype)
    if name.startswith("LoRA"):
        model = get_peft_model(model, LoraConfig(r=16, target_modules="all-linear"))
    settings = ApolloSettings(kind="apollo", sixteen_bit=rounding)
    optimizer = build_optimizer(grouped(model), settings, rate, 0.98, 0.0, 0)
    for _ in range(2):
        for _ in range(steps):
            inputs = torch.randint(VOCABULARY, (2, 64))
            optimizer.zero_grad()
            model(input_ids=inputs, labels=inputs, use_cache=False).loss.backward()
            optimizer.step()
        yield held({name: weight for name, weight in model.named_parameters() if weight.requires_grad})


def compared(first: Tensors, second: Tensors, folder: Path) -> str:
    full, before, blocks = folder / "full", folder / "before", folder / "blocks"
    save_file(dict(first), before)
    started = time.process_time()
    save_file(dict(second), full)
    synced(full)
    full_seconds = time.process_time() - started

    started = time.process_time()
    old, new = (np.fromfile(path, np.uint8) for path in (before, full))
    rows = len(new) // BLOCK
    differ = (old[: rows * BLOCK].reshape(rows, BLOCK) != new[: rows * BLOCK].reshape(rows, BLOCK)).any(axis=1)
    with blocks.open("wb") as file:
        file.write(np.flatnonzero(differ).tobytes())
        file.write(new[: rows * BLOCK].reshape(rows, BLOCK)[differ].tobytes())
    synced(blocks)
    block_seconds = time.process_time() - started

    with Chain(folder / "chain") as chain:
        chain.write(1, first, lambda digest: {})
        started = time.process_time()
        written = chain.write(2, second, lambda digest: {})
        seconds = time.process_time() - started
    started = time.process_time()
    read_chain(folder / "chain")
    read_seconds = time.process_time() - started

    changed = sum(int((first[name] != tensor).sum()) for name, tensor in second.items())
    share = changed / sum(tensor.numel() for tensor in second.values())
    kind = " (full)" if written.kind == "full" else ""
    return (
        f"{share:>9.3%}{cost(full.stat().st_size, full_seconds):>16}{cost(blocks.stat().st_size, block_seconds):>17}"
        f"{cost(written.bytes, seconds):>17}{read_seconds:>7.2f}s{kind}"
    )


def cost(size: int, seconds: float) -> str:
    return f"{size / 1e6:.2f} {seconds:.2f}s"


def synced(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


if __name__ == "__main__":
    main()
