"""What a founder must be, found out where its weights are and before anything is spent on it.

    python -m lamarck.founder.check --config config/default.yaml --generation g0 --weights results/g0/weights \
        --output results/g0/check.json --record results/g0/check.record.json

A founder passes when every tensor comes from its files; when what is trained is the model's own: masked loss and logits
of our trainer equal those of its own forward pass, and our engine's greedy text that of `generate`; and when its
tokenizer ends texts, and takes the words of a text for words.
"""

import argparse
import time
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from lamarck.config.engine import HFEngineConfig
from lamarck.engine import prepare_libraries
from lamarck.errors import LamarckError, exit_with_sentence
from lamarck.files import digest_file, write_json
from lamarck.founder.local import check_model_directory
from lamarck.lineage.artifacts import FOUNDER_CHECK
from lamarck.lineage.configured import load_config_of
from lamarck.lineage.generation import parse_generation
from lamarck.lineage.records import make_record
from lamarck.models.shards import model_directory

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

    from lamarck.engine.hf import HFEngine

# Of unequal length, so that padding shows; with signs that tokenizers treat on their own.
TEXTS = (
    ("Add 17 and 25.", "42"),
    ('Write a JSON object with the keys "name" and "age" for Ada, who is 36.', '{"name": "Ada", "age": 36}'),
    ("Which of these words is the longest: sun, mountain, tree?", "mountain"),
    ("Sort the list [3, 1, 2] and\ngive back the sorted list only.", "[1, 2, 3]"),
)
NEW_TOKENS = 8
LARGE = 2_000_000_000  # parameters from which 16 bits have to do on a CPU
# Largest difference that rounding explains, relative to the largest logit.
TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2}


class FounderCheck(BaseModel):
    """What was found: the content of g0/check.json. Differences are relative to the largest value."""

    model_config = ConfigDict(extra="forbid")

    model_type: str
    parameters: int
    context: int = Field(description="Longest text in tokens, as the config says.")
    dtype: str = Field(description="Type in which it was compared.")
    tied: bool = Field(description="Whether head and embedding are one tensor.")
    ends: list[str] = Field(description="Tokens that end a text.")
    chat_template: bool
    date_pinned: bool = Field(description="Its template prints the day's date; it is always asked on the same one.")
    loss: float = Field(description="Nats per answer token, by our trainer's loss.")
    loss_difference: float
    logits_difference: float
    generated: int | None = Field(description="Greedy tokens compared with `generate`; None: another engine writes.")
    ties: int = Field(description="Texts that parted where two tokens were equally likely to rounding.")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lamarck.founder.check", description="Find out what a founder is.")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--generation", default="g0")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()

    started = time.time()
    founder = parse_generation(arguments.generation)
    config = load_config_of(arguments.config, founder)
    prepare_libraries(arguments.threads)
    found = check_founder(arguments.weights, config.recipe.target_modules, config.engine.kind == "hf")
    write_json(arguments.output, found.model_dump(mode="json"))
    inputs = FOUNDER_CHECK.input_digests(config, founder, {"weights": (arguments.weights,)})
    digest = digest_file(arguments.output)
    record = make_record(digest, inputs, config.seed, "cpu", time.time() - started, 0.0)
    write_json(arguments.record, {"record": record.model_dump(mode="json")})
    print(f"{founder.name}: {describe(found)}")


def describe(found: FounderCheck) -> str:
    """One line."""
    generated = "" if found.generated is None else f", {found.generated} greedy tokens are `generate`'s"
    pinned = ", its template's date is pinned" if found.date_pinned else ""
    return (
        f"{found.model_type} of {found.parameters:,} parameters can be raised: trained loss is its own to "
        f"{found.loss_difference:.0e}, logits to {found.logits_difference:.0e}{generated}; texts end with "
        f"{', '.join(found.ends)}{pinned}"
    )


def check_founder(
    directory: Path, target_modules: Collection[str] | str = "all-linear", generated_here: bool = True
) -> FounderCheck:
    """Everything about a model directory. `generated_here`: whether our own engine writes its curricula.

    Errors: LamarckError with the first thing that is wrong.
    """
    weights = model_directory(directory)
    check_model_directory(weights)
    import torch

    from lamarck.engine.hf import HFEngine
    from lamarck.models.chat import opened_reasoning
    from lamarck.models.opening import check_not_tied, first_line, is_tied, open_tokenizer
    from lamarck.models.tokens import answer_tokens, prompt_tokens

    tokenizer = open_tokenizer(weights)
    check_tokenizer(tokenizer, directory)
    prompts = prompt_tokens([prompt for prompt, _ in TEXTS], tokenizer)
    answers = answer_tokens([("", answer) for _, answer in TEXTS], tokenizer, opened_reasoning(tokenizer))

    size = sum(path.stat().st_size for path in weights.glob("*.safetensors")) // 2
    dtype = "bfloat16" if size > LARGE else "float32"
    engine = HFEngine(HFEngineConfig(dtype=dtype, batch_size=len(TEXTS)), weights, None)
    model = engine.model
    rows = model.get_input_embeddings().weight.shape[0]
    highest = max(tokenizer.get_vocab().values())
    if highest >= rows:
        raise LamarckError(
            f"the tokenizer of {directory} has ids up to {highest}, its embedding {rows} rows: it is not this model's"
        )
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if not isinstance(context, int):
        raise LamarckError(f"{directory}/config.json does not say how long a text may be: set max_position_embeddings")
    check_not_tied(model, target_modules)
    longest = max(len(prompt) + len(answer) for prompt, answer in zip(prompts, answers, strict=True))
    if longest + NEW_TOKENS > context:
        raise LamarckError(f"{directory} reads texts of {context} tokens at most, fewer than a short problem takes")

    with torch.inference_mode():
        try:
            loss, loss_difference, logits_difference = _training(model, prompts, answers, tokenizer.eos_token_id)
        except Exception as error:  # whatever an architecture does not have that training needs
            raise LamarckError(
                f"{directory} ({model.config.model_type}) does not train here: {first_line(error)}"
            ) from error
        generated, ties = _generation(engine, prompts, TOLERANCE[dtype]) if generated_here else (None, 0)
    for name, difference in (("loss", loss_difference), ("logits", logits_difference)):
        if not difference <= TOLERANCE[dtype]:  # also where it is no number
            raise LamarckError(
                f"{directory} ({model.config.model_type}) does not train here: the {name} of our trainer differ from "
                f"its own forward pass by {difference:.2g} of the largest, more than rounding does"
            )
    return FounderCheck(
        model_type=str(model.config.model_type),
        parameters=sum(value.numel() for value in model.parameters()),
        context=context,
        dtype=dtype,
        tied=is_tied(model),
        ends=[str(tokenizer.convert_ids_to_tokens(token)) for token in engine.end],
        chat_template=bool(tokenizer.chat_template),
        date_pinned="macro strftime_now" in str(tokenizer.chat_template or ""),
        loss=round(loss, 4),
        loss_difference=float(f"{loss_difference:.1e}"),
        logits_difference=float(f"{logits_difference:.1e}"),
        generated=generated,
        ties=ties,
    )


def check_tokenizer(tokenizer: "PreTrainedTokenizerBase", directory: Path) -> None:
    """What it must do with texts. Errors: LamarckError."""
    from lamarck.models.tokens import prompt_tokens, text_tokens

    end = tokenizer.eos_token_id
    if end is None:
        raise LamarckError(f"the tokenizer of {directory} names no token that ends a text: set eos_token")
    first, other = prompt_tokens(["one", "two"], tokenizer)
    told_apart = len(set(map(tuple, text_tokens(["one", "two"], tokenizer)))) > 1
    if not first or (first == other and told_apart):
        raise LamarckError(f"the chat template of {directory} leaves out what the user says")
    if not tokenizer.chat_template and first[-1] == end:
        raise LamarckError(
            f"the tokenizer of {directory} puts the end of a text behind every prompt, so that no answer could follow: "
            "set add_eos_token to false"
        )
    if type(tokenizer.backend_tokenizer.model).__name__ == "WordLevel":
        return  # its words are all it knows, the control tokens among them
    for token, control in zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True):
        text = f"a {token} b"
        asked = prompt_tokens([text], tokenizer)[0]
        if control in text_tokens([text], tokenizer)[0] or asked.count(control) != first.count(control):
            raise LamarckError(f"the tokenizer of {directory} takes {token!r} in a text for its control token")


def _training(
    model: "torch.nn.Module", prompts: list[list[int]], answers: list[list[int]], end: int
) -> tuple[float, float, float]:
    """(our loss in nats, its difference, that of the logits): of one padded batch against the model's own rows."""
    import torch
    from torch.nn.functional import cross_entropy

    from lamarck.models.logits import logits_at

    examples = [[*prompt, *answer, end] for prompt, answer in zip(prompts, answers, strict=True)]
    longest = max(map(len, examples))
    device = next(model.parameters()).device
    inputs = torch.tensor([row + [end] * (longest - len(row)) for row in examples], device=device)
    places = torch.zeros_like(inputs, dtype=torch.bool)
    for row, (prompt, example) in enumerate(zip(prompts, examples, strict=True)):
        places[row, len(prompt) - 1 : len(example) - 1] = True
    targets = inputs.roll(-1, 1)[places]
    ours = logits_at(model, inputs, places).float()
    loss = float(cross_entropy(ours, targets))

    own, total = [], 0.0
    for prompt, example in zip(prompts, examples, strict=True):
        row = torch.tensor([example], device=device)
        labels = row.clone()
        labels[:, : len(prompt)] = -100
        output = model(input_ids=row, labels=labels, use_cache=False)
        own.append(output.logits[0, len(prompt) - 1 : -1].float())
        total += float(output.loss) * (len(example) - len(prompt))
    theirs = torch.cat(own)
    difference = float((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-9))
    own_loss = total / len(targets)
    return loss, abs(loss - own_loss) / max(abs(own_loss), 1e-9), difference


def _generation(engine: "HFEngine", prompts: list[list[int]], tolerance: float) -> tuple[int, int]:
    """(greedy tokens compared, texts that parted at a tie). Errors: LamarckError where a text is another one."""
    import torch
    from transformers import GenerationConfig

    from lamarck.engine.sampling import Continuation

    greedy = GenerationConfig(
        max_new_tokens=NEW_TOKENS,
        do_sample=False,
        num_beams=1,
        repetition_penalty=1.0,
        eos_token_id=engine.end,
        pad_token_id=engine.end[0],
    )
    ours: list[list[int]] = [[] for _ in prompts]
    compared = ties = 0
    try:
        for step in engine.stream([Continuation(prompt, NEW_TOKENS) for prompt in prompts]):
            for place, token in step:
                ours[place].append(token)
        for prompt, text in zip(prompts, ours, strict=True):
            row = torch.tensor([prompt], device=engine.device)
            mask = torch.ones_like(row)
            whole = engine.model.generate(row, attention_mask=mask, generation_config=greedy)[0].tolist()
            own = [token for token in whole[len(prompt) :] if token not in engine.end]
            compared += len(own)
            if own == text:
                continue
            pairs = enumerate(_side_by_side(own, text, engine.end[0]))
            same, (one, two) = next((place, pair) for place, pair in pairs if pair[0] != pair[1])
            logits = engine.model(input_ids=torch.tensor([[*prompt, *own[:same]]], device=engine.device)).logits[0, -1]
            gap = float((logits[one] - logits[two]).abs() / logits.abs().max())
            if gap > tolerance:
                raise LamarckError(
                    f"our engine's greedy text of this {engine.model.config.model_type} is another than that of "
                    f"`generate` from token {same + 1} on: use `engine: {{kind: vllm}}`"
                )
            ties += 1
    except LamarckError:
        raise
    except Exception as error:  # whatever an architecture does not have that the engine needs
        from lamarck.models.opening import first_line

        raise LamarckError(
            f"our engine cannot continue texts with this {engine.model.config.model_type} ({first_line(error)}): use "
            "`engine: {kind: vllm}`"
        ) from error
    return compared, ties


def _side_by_side(own: list[int], text: list[int], end: int) -> list[tuple[int, int]]:
    """Two texts token by token, the shorter one continued with the end."""
    longest = max(len(own), len(text))
    first, second = (row + [end] * (longest - len(row)) for row in (own, text))
    return list(zip(first, second, strict=True))


if __name__ == "__main__":
    exit_with_sentence(main)
