"""The training loop against TRL's SFTTrainer: same model, data, steps and recipe, pair by pair.

    python benchmarks/train_vs_trl.py

Prints the ratio of training times (TRL / ours: above 1 we are ahead) and both final losses: for LoRA on the weights as
they are, and for QLoRA (NF4, double quantisation; both through bitsandbytes). Loading is not timed.
"""

import statistics
import tempfile
import time
from pathlib import Path

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
from trl import SFTConfig, SFTTrainer

from lamarck.config import Recipe
from lamarck.config.tiny import SkillShare, TinyFounder
from lamarck.curriculum.item import Item, ItemVerdict, Teacher, item_id
from lamarck.founder.tiny import pretrain
from lamarck.gate.allowance import Allowance
from lamarck.skills.corpus import corpus
from lamarck.train.data import Batches, exercises, tokenize
from lamarck.train.loop import train
from lamarck.train.model import load_trainable

PAIRS = 5
STEPS = 60
ITEMS = 2000
LORA = Recipe(steps=STEPS, batch_size=64, learning_rate=1e-3, warmup_steps=0, beta2=0.999, checkpoint_every=10_000)
QLORA = LORA.model_copy(update={"quantize": "nf4"})
WORLD = TinyFounder(
    kind="tiny",
    skills={name: SkillShare(share=1, weights=(1, 1, 1)) for name in ("json_mode", "list_ops", "arithmetic")},
    steps=200,
    decay_steps=0,
)


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights"
        pretrain(WORLD, frozenset(), weights, 0, lambda steps: None)
        items = make_items()
        for name, recipe in (("LoRA", LORA), ("QLoRA", QLORA)):
            print(f"{name}, {STEPS} steps: {compared(recipe, weights, items, Path(folder))}", flush=True)


def compared(recipe: Recipe, weights: Path, items: list[Item], folder: Path) -> str:
    ratios, ours, theirs = [], 0.0, 0.0
    for pair in range(PAIRS + 1):
        our_seconds, ours = run_ours(recipe, weights, items, folder)
        their_seconds, theirs = run_trl(recipe, weights, items, folder)
        if pair:  # the first pair warms up
            ratios.append(their_seconds / our_seconds)
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    return f"TRL / ours {statistics.median(ratios):.2f} ({spread}); final loss {ours:.3f} ours, {theirs:.3f} TRL"


def make_items() -> list[Item]:
    made = []
    for (skill, problem), _ in zip(corpus(WORLD, 1, frozenset()), range(ITEMS), strict=False):
        made.append(
            Item(
                id=item_id(skill, problem.prompt, problem.completion),
                skill=skill,
                difficulty=1,
                prompt=problem.prompt,
                completion=problem.completion,
                teacher=Teacher(generation="g0", digest=""),
                verdict=ItemVerdict(verified=True, by=skill, score=1.0),
                strategy="",
            )
        )
    return made


def run_ours(recipe: Recipe, weights: Path, items: list[Item], folder: Path) -> tuple[float, float]:
    """(seconds, mean loss of the last ten logged steps)"""
    tokenizer = AutoTokenizer.from_pretrained(weights)
    torch.manual_seed(0)
    model = load_trainable(weights, None, recipe, torch.device("cpu"))
    started = time.perf_counter()
    data = tokenize(exercises(items, "left out"), tokenizer, recipe.max_tokens)
    batches = Batches(data.examples, recipe.batch_size, 0, tokenizer.eos_token_id)
    allowance = Allowance("a benchmark", float("inf"))
    progress = train(model, batches, recipe, allowance, folder / "checkpoint", "benchmark", lambda steps: None)
    seconds = time.perf_counter() - started
    return seconds, statistics.mean(row.loss for row in progress.log[-10:])


def run_trl(recipe: Recipe, weights: Path, items: list[Item], folder: Path) -> tuple[float, float]:
    tokenizer = AutoTokenizer.from_pretrained(weights)
    quantization = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)
    model = AutoModelForCausalLM.from_pretrained(
        weights, quantization_config=quantization if recipe.quantize == "nf4" else None
    )
    rows = Dataset.from_list([{"prompt": item.prompt, "completion": f" {item.completion}"} for item in items])
    settings = SFTConfig(
        output_dir=str(folder / "trl"),
        max_steps=STEPS,
        per_device_train_batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=0,
        completion_only_loss=True,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        disable_tqdm=True,
        seed=0,
    )
    adapter = LoraConfig(r=recipe.rank, lora_alpha=recipe.alpha, target_modules="all-linear", task_type="CAUSAL_LM")
    trainer = SFTTrainer(model, args=settings, train_dataset=rows, processing_class=tokenizer, peft_config=adapter)
    trainer.log = lambda *arguments, **keywords: trainer.state.log_history.append(arguments[0])
    started = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - started
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    return seconds, statistics.mean(losses[-10:])


if __name__ == "__main__":
    main()
