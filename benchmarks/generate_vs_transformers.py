"""The engine against plain batched `generate`: same model, same prompts, greedy, pair by pair.

    python benchmarks/generate_vs_transformers.py [--weights results/g0/weights]

Without a founder at hand it makes a random model of the default's shape. Prints the ratio of wall times (theirs / ours:
above 1 we are ahead) and whether the outputs are equal.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from lamarck.config.engine import HFEngineConfig
from lamarck.config.tiny import SkillShare, TinyFounder
from lamarck.engine import load_engine
from lamarck.founder.tiny import pretrain
from lamarck.suites.suite import load_suite

PAIRS = 5
MAX_NEW_TOKENS = 64
BATCH = 256
SHARE = SkillShare(share=1, weights=(1,))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights", type=Path, default=Path("results/g0/weights"))
    weights = parser.parse_args().weights
    torch.set_num_threads(1)
    prompts = [item.prompt for items in load_suite(Path("config/suites/tiny-v3")).items.values() for item in items[:60]]
    with tempfile.TemporaryDirectory() as folder:
        if not weights.exists():
            weights = Path(folder)
            world = TinyFounder(
                kind="tiny",
                skills={name: SHARE for name in ("json_mode", "list_ops", "arithmetic")},
                steps=50,
                decay_steps=0,
            )
            pretrain(world, frozenset(), weights, 0, lambda steps: None)
        compare(weights, prompts)


def compare(weights: Path, prompts: list[str]) -> None:
    engine = load_engine(HFEngineConfig(batch_size=BATCH), weights, None)
    peer = Plain(weights)
    if engine.generate(prompts, max_new_tokens=MAX_NEW_TOKENS) != peer.generate(prompts):
        raise SystemExit("the greedy outputs differ")
    ratios = []
    for _ in range(PAIRS):
        started = time.perf_counter()
        engine.generate(prompts, max_new_tokens=MAX_NEW_TOKENS)
        middle = time.perf_counter()
        peer.generate(prompts)
        ratios.append((time.perf_counter() - middle) / (middle - started))
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    median = statistics.median(ratios)
    print(f"generation, {len(prompts)} prompts, equal output: generate / engine {median:.2f} ({spread})")


class Plain:
    """What a user of transformers would write."""

    def __init__(self, weights: Path) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(weights).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(weights, padding_side="left")

    @torch.inference_mode()
    def generate(self, prompts: list[str]) -> list[str]:
        texts: list[str] = []
        for first in range(0, len(prompts), BATCH):
            inputs = self.tokenizer(
                prompts[first : first + BATCH], return_tensors="pt", padding=True, return_token_type_ids=False
            )
            output = self.model.generate(**inputs, max_new_tokens=MAX_NEW_TOKENS, do_sample=False)
            texts += self.tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return texts


if __name__ == "__main__":
    main()
