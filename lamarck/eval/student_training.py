"""How the student of the teaching tier is trained: part of the ruler, and so apart from what trains the children.

Whatever is done to the trainer of children must not change what a suite measures. So nothing here comes from
`lamarck.train`, and a change here is a change of every suite's scoring (lamarck/eval/scoring.py).
"""

import math
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from lamarck.errors import LamarckError
from lamarck.files import read_json, write_json
from lamarck.gate.allowance import STUDENT, Allowance, excepted
from lamarck.models.chat import answer_text, opened_reasoning, prompt_tokens
from lamarck.models.shards import model_directory
from lamarck.seeds import seed_for
from lamarck.skills import Problem
from lamarck.suites.sections import StudentRecipe, TeachingTier

SEED = 42
IGNORED = -100  # The label that torch's cross-entropy leaves out.
PARTS = 3  # A step's examples are computed in so many parts of like length, to pad little.

Example = tuple[tuple[int, ...], int]  # tokens of a prompt and its answer, and where the answer begins


def teach(tier: TeachingTier, curriculum: Sequence[Problem], student: Path, output: Path) -> None:
    """Fine-tune the student on the curriculum, always from the same state and in the same order: the adapter, `output`.

    Errors: LamarckError where no example has a token to train on, the student does not open as a model, the training
    diverges, or it is longer than what needs no approval.
    """
    recipe = tier.recipe
    tokenizer = AutoTokenizer.from_pretrained(student, local_files_only=True)
    examples = _tokenize(curriculum, tokenizer, recipe.max_tokens)
    steps = math.ceil(tier.epochs * len(examples) / recipe.batch_size)
    torch.manual_seed(SEED)
    model = _load(student, recipe)
    allowance = excepted(STUDENT, steps, sum(value.numel() for value in model.parameters() if value.requires_grad))
    _train(model, examples, recipe, steps, tokenizer.eos_token_id, allowance)
    _save(model, output)


def _tokenize(curriculum: Sequence[Problem], tokenizer: PreTrainedTokenizerBase, longest: int) -> list[Example]:
    """Examples of at most `longest` tokens; one whose answer lies wholly beyond that is left out."""
    opened = opened_reasoning(tokenizer)
    texts = [answer_text(problem.completion, "", tokenizer, opened) for problem in curriculum]
    answers = tokenizer(texts, add_special_tokens=False)["input_ids"]
    starts = prompt_tokens([problem.prompt for problem in curriculum], tokenizer)
    examples = [
        ((*start, *answer, tokenizer.eos_token_id)[:longest], len(start))
        for start, answer in zip(starts, answers, strict=True)
    ]
    examples = [(tokens, start) for tokens, start in examples if len(tokens) > start]
    if not examples:
        raise LamarckError(f"no example has a token to train on: every prompt fills the {longest} of recipe.max_tokens")
    return examples


def _load(student: Path, recipe: StudentRecipe) -> PeftModel:
    """The student with an adapter drawn from torch's global generator."""
    try:
        base = AutoModelForCausalLM.from_pretrained(
            model_directory(student),
            dtype=getattr(torch, recipe.dtype),
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
        )
    except (OSError, ValueError) as error:
        raise LamarckError(f"{student} does not open as a model: {str(error).splitlines()[0]}") from error
    targets = recipe.target_modules
    lora = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        task_type="CAUSAL_LM",
    )
    return get_peft_model(base.to("cuda" if torch.cuda.is_available() else "cpu"), lora)


def _train(
    model: PeftModel,
    examples: Sequence[Example],
    recipe: StudentRecipe,
    steps: int,
    padding: int,
    allowance: Allowance,
) -> None:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    device = trained[0].device
    optimizer = torch.optim.AdamW(
        trained, lr=recipe.learning_rate, betas=(0.9, recipe.beta2), weight_decay=recipe.weight_decay, fused=True
    )
    model.train()
    with allowance.spending(processes=1, leads=True):
        for step, batch in enumerate(_batches(examples, recipe.batch_size, steps)):
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * _rate(step, steps, recipe)
            optimizer.zero_grad()
            answers = sum(_answers(example) for example in batch)
            for part in _parts(batch):
                inputs, labels = (each.to(device) for each in _padded(part, padding))
                share = sum(_answers(example) for example in part) / answers
                (share * _loss(model, inputs, labels)).backward()
            norm = float(torch.nn.utils.clip_grad_norm_(trained, recipe.max_grad_norm))
            if not math.isfinite(norm):
                raise LamarckError(f"the student's training diverged at step {step}: the gradient is {norm}")
            optimizer.step()


def _rate(step: int, steps: int, recipe: StudentRecipe) -> float:
    """Share of the learning rate at a step: linear warm-up, a plateau, linear decay to nearly nothing."""
    warm = (step + 1) / recipe.warmup_steps if recipe.warmup_steps else 1.0
    decay_steps = recipe.decay_share * steps
    decay = (steps - step) / decay_steps if decay_steps else 1.0
    return min(1.0, warm, decay)


def _batches(examples: Sequence[Example], size: int, steps: int) -> Iterator[list[Example]]:
    """The examples of each step: every epoch shuffled by its own seed, one after the other."""

    def endless() -> Iterator[Example]:
        epoch = 0
        while True:
            order = list(range(len(examples)))
            random.Random(seed_for(SEED, "epoch", str(epoch))).shuffle(order)
            yield from (examples[place] for place in order)
            epoch += 1

    stream = endless()
    for _ in range(steps):
        yield [next(stream) for _ in range(size)]


def _parts(batch: list[Example]) -> Iterator[list[Example]]:
    by_length = sorted(batch, key=lambda example: len(example[0]))
    rows = -(-len(batch) // PARTS)
    for first in range(0, len(batch), rows):
        yield by_length[first : first + rows]


def _answers(example: Example) -> int:
    """Tokens that are trained; the first of a text has nothing before it to be predicted from."""
    tokens, start = example
    return len(tokens) - max(start, 1)


def _padded(part: Sequence[Example], padding: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(inputs, labels), both (examples, longest), padded on the right."""
    longest = max(len(tokens) for tokens, _ in part)
    inputs = [[*tokens, *[padding] * (longest - len(tokens))] for tokens, _ in part]
    labels = [[IGNORED] * start + list(tokens[start:]) + [IGNORED] * (longest - len(tokens)) for tokens, start in part]
    return torch.tensor(inputs), torch.tensor(labels)


def _loss(model: PeftModel, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy, in nats, over the answer tokens. Padding stands on the right, where causal attention never
    looks, so no mask is needed."""
    causal = model.get_base_model()
    hidden = causal.get_decoder()(input_ids=inputs, use_cache=False).last_hidden_state[:, :-1]
    targets = labels[:, 1:]
    counted = targets != IGNORED
    logits = causal.get_output_embeddings()(hidden[counted])
    return torch.nn.functional.cross_entropy(logits.float(), targets[counted])


def _save(model: PeftModel, output: Path) -> None:
    model.save_pretrained(output)
    settings = output / "adapter_config.json"
    content = read_json(settings)
    # peft holds the layers' names in a set, whose order differs from process to process.
    write_json(settings, content | {"target_modules": sorted(content["target_modules"])})
