"""What a training script finds in its room: a tiny random Llama, ten samples, and half-finished work to go on from.

Built with the libraries' own classes, from fixed seeds, once a process. Light: torch comes with the first call.
"""

import functools
import json
import random
import string
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from lamarck.judging.sandbox import TASK
from lamarck.suites.tasks.training_check import train

SEED = 20260101
PAD, END = "<pad>", "<eos>"
# The state of the checkpoint: `DONE` of `PLANNED` steps are done, each on the two samples that follow, in file order.
DONE, PLANNED, PAIR, RATE = 3, 10, 2, 0.01
# Answers are judged in several threads, which share torch's seed and the first import of transformers.
_BUILDING = threading.RLock()


class Sample(NamedTuple):
    prompt: str
    completion: str


@functools.cache
def samples() -> tuple[Sample, ...]:
    """Ten samples of two sorts and many lengths; nothing in one helps with another."""
    source = random.Random(SEED)
    made = []
    for number in range(10):
        word = "".join(source.choices(string.ascii_lowercase, k=source.randint(3, 12)))
        if number in (2, 5, 9):
            made.append(Sample(f"shout: {word}\n", f"{word.upper()}!!"))
        else:
            made.append(Sample(f"reverse the word {word}\n", word[::-1]))
    return tuple(made)


def tokens() -> tuple[tuple[list[int], list[int]], ...]:
    """Of each sample, its prompt's tokens, and its completion's with the end-of-text token."""
    with _BUILDING:
        return _tokens()


def room(given: Literal["nothing", "adapter", "checkpoint"]) -> Mapping[str, bytes]:
    """Every file of the room by its name: the model, the data, and what is given besides."""
    with _BUILDING:
        return _room(given)


@functools.cache
def _tokens() -> tuple[tuple[list[int], list[int]], ...]:
    tokenizer = _tokenizer()
    return tuple(
        (tokenizer(sample.prompt)["input_ids"], [*tokenizer(sample.completion)["input_ids"], tokenizer.eos_token_id])
        for sample in samples()
    )


@functools.cache
def _room(given: Literal["nothing", "adapter", "checkpoint"]) -> Mapping[str, bytes]:
    lines = [json.dumps(sample._asdict()) + "\n" for sample in samples()]
    files = {"data.jsonl": "".join(lines).encode(), **_model()}
    return files if given == "nothing" else {**files, **_half_trained(given)}


@functools.cache
def _tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast

    # One token a byte: any text has tokens, and those of two texts joined are those of each, joined.
    vocabulary = [PAD, END, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    model = Tokenizer(BPE({token: number for number, token in enumerate(vocabulary)}, []))
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=model, pad_token=PAD, eos_token=END)


@functools.cache
def _base() -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=512,
        # Large enough that an adapter can move the output far: with the usual 0.02 nothing could be learned.
        initializer_range=0.15,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return LlamaForCausalLM(config)


@functools.cache
def _model() -> Mapping[str, bytes]:
    with tempfile.TemporaryDirectory() as directory:
        _base().save_pretrained(directory)
        _tokenizer().save_pretrained(directory)
        return _read(Path(directory), "model")


@functools.cache
def _half_trained(name: str) -> Mapping[str, bytes]:
    """An adapter on its way to `PLANNED` steps; as a checkpoint, with its optimizer's state and its step."""
    import copy

    import torch
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    config.base_model_name_or_path = str(TASK / "model")
    plan = {
        "optimizer": "adamw",
        "rates": [RATE * (1 - step / PLANNED) for step in range(DONE)],
        "batches": [range(PAIR * step, PAIR * (step + 1)) for step in range(DONE)],
        "weights": [1.0] * len(samples()),
        "completion_only": False,
        "ratio_b": 1.0,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = get_peft_model(copy.deepcopy(_base()), config)
    state = train(model, tokens(), plan)
    with tempfile.TemporaryDirectory() as directory:
        model.save_pretrained(directory)
        Path(directory, "README.md").unlink()  # an empty card
        if name == "checkpoint":
            torch.save(state, Path(directory, "optimizer.pt"))
            Path(directory, "state.json").write_text(json.dumps({"step": DONE}), encoding="utf-8")
        return _read(Path(directory), name)


def _read(directory: Path, name: str) -> dict[str, bytes]:
    return {f"{name}/{file.name}": file.read_bytes() for file in sorted(directory.iterdir()) if file.is_file()}
