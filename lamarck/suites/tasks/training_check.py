"""Is an adapter that a training script left what its task asked for? Runs alone, in a sandbox, without the project.

It finds in /task what was expected (expect.json), the archive of what was left, a fresh base model, and a number used
once (nonce). It prints "NONCE left" if an adapter is in the archive, and "NONCE holds" if that adapter is as expected.
"""

import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

TASK = Path("/task")
LEFT = Path("/tmp/adapter")
FILES = ("adapter_config.json", "adapter_model.safetensors")
# How far two runs of one recipe may end apart, as a share of the way that training went. Another order of additions
# makes a hundred-thousandth; the slightest mistake that a task looks for makes a tenth.
APART = 0.02

Samples = Sequence[tuple[Sequence[int], Sequence[int]]]  # tokens of each prompt and of its completion


def main() -> None:
    nonce = (TASK / "nonce").read_text(encoding="utf-8")
    expect = json.loads((TASK / "expect.json").read_text(encoding="utf-8"))
    if unpack():
        print(nonce, "left", flush=True)
        if as_expected(expect):
            print(nonce, "holds", flush=True)


def unpack() -> bool:
    """Take an adapter's two files, and nothing else, from the archive: no link, no pickle. False if one is missing."""
    LEFT.mkdir()
    with tarfile.open(TASK / "archive.tar") as archive:
        for member in archive:
            name = member.name.removeprefix("./adapter/")
            content = archive.extractfile(member) if member.isreg() and name in FILES else None
            if content:
                (LEFT / name).write_bytes(content.read())
    return all((LEFT / name).exists() for name in FILES)


def as_expected(expect: Mapping[str, Any]) -> bool:
    """The adapter loads on the base, has the expected shape, was trained, and learned what the task says."""
    import torch
    from peft import PeftModel, get_peft_model_state_dict

    samples, plan, bounds = expect["samples"], expect["replay"], expect["loss"]
    wanted = start(expect)
    untrained = _copied(get_peft_model_state_dict(untouched(expect), save_embedding_layers=False))
    before = losses(wanted, samples)
    loaded = PeftModel.from_pretrained(base(), LEFT).eval()
    tensors = get_peft_model_state_dict(loaded, save_embedding_layers=False)
    if {name: each.shape for name, each in tensors.items()} != {name: each.shape for name, each in untrained.items()}:
        return False
    # Twice: a config may say what its layers do not do, and layers may do by other settings what the task asks for.
    if _scales(loaded) != _scales(wanted) or not _configured(loaded, expect["adapter"]["settings"]):
        return False
    if not all(bool(each.isfinite().all()) for each in tensors.values()):
        return False
    # lora_A is random from the start; everything else has one value until it is trained.
    if any("lora_A" not in name and torch.equal(each, untrained[name]) for name, each in tensors.items()):
        return False
    if bounds:
        after = losses(loaded, samples)
        return bool(after[1] < bounds["completion_below"] * before[1] and after[0] > bounds["prompt_above"] * before[0])
    begun = _copied(get_peft_model_state_dict(wanted, save_embedding_layers=False))
    state = TASK / "checkpoint" / "optimizer.pt"
    train(wanted, samples, plan, torch.load(state) if state.exists() else None)
    ended = get_peft_model_state_dict(wanted, save_embedding_layers=False)
    return _distance(tensors, ended) <= APART * _distance(begun, ended)


def base() -> Any:
    from transformers import LlamaForCausalLM

    return LlamaForCausalLM.from_pretrained(TASK / "model")


def untouched(expect: Mapping[str, Any]) -> Any:
    """The adapter that the task asks for, before any training, drawn from the seed that the tasks name."""
    import peft
    import torch

    config = getattr(peft, expect["adapter"]["config"])(**expect["adapter"]["settings"])
    model = base()
    torch.manual_seed(0)
    return peft.get_peft_model(model, config).eval()


def start(expect: Mapping[str, Any]) -> Any:
    """Where training starts: from what the task gives, or from an untouched adapter."""
    from peft import PeftModel

    if expect["given"] == "nothing":
        return untouched(expect)
    return PeftModel.from_pretrained(base(), TASK / expect["given"], is_trainable=True).eval()


def losses(model: Any, samples: Samples) -> tuple[float, float]:
    """Mean loss of a prompt's token, and of a completion's."""
    import torch

    with torch.no_grad():
        each = [(_surprise(model, prompt, completion), len(prompt) - 1) for prompt, completion in samples]
    prompts = torch.cat([surprise[:split] for surprise, split in each])
    completions = torch.cat([surprise[split:] for surprise, split in each])
    return prompts.mean().item(), completions.mean().item()


def train(model: Any, samples: Samples, plan: Mapping[str, Any], state: Any = None) -> Any:
    """Train `model` in place, one step for each of the plan's rates, from an optimizer's `state` if there is one.

    The loss of a step is the mean over all tokens of its batch that count, each with its sample's weight. Returns the
    optimizer's state at the end.
    """
    import torch

    groups: dict[float, list[Any]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(plan["ratio_b"] if "lora_B" in name else 1.0, []).append(parameter)
    kind = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}[plan["optimizer"]]
    optimizer = kind([{"params": each} for each in groups.values()], lr=0.0, weight_decay=0.0)
    if state is not None:
        optimizer.load_state_dict(state)
    for step, rate in enumerate(plan["rates"]):
        total, counted = torch.zeros(()), 0.0
        for number in plan["batches"][step % len(plan["batches"])]:
            prompt, completion = samples[number]
            surprise = _surprise(model, prompt, completion)[len(prompt) - 1 if plan["completion_only"] else 0 :]
            total = total + plan["weights"][number] * surprise.sum()
            counted += plan["weights"][number] * len(surprise)
        optimizer.zero_grad()
        (total / counted).backward()
        for group, ratio in zip(optimizer.param_groups, groups, strict=True):
            group["lr"] = rate * ratio
        optimizer.step()
    return optimizer.state_dict()


def _surprise(model: Any, prompt: Sequence[int], completion: Sequence[int]) -> Any:
    """The loss of every token but the first."""
    import torch

    text = torch.tensor([[*prompt, *completion]])
    chances = model(input_ids=text).logits[0, :-1].log_softmax(-1)
    return -chances.gather(1, text[0, 1:, None])[:, 0]


def _scales(model: Any) -> dict[str, float]:
    return {name: each.scaling["default"] for name, each in model.named_modules() if hasattr(each, "lora_A")}


def _configured(model: Any, settings: Mapping[str, Any]) -> bool:
    """Whether the adapter's numbers and switches are those asked for; lists of layers can be written in many ways."""
    config = model.peft_config["default"]
    return all(getattr(config, name) == value for name, value in settings.items() if isinstance(value, int))


def _copied(tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {name: each.detach().clone() for name, each in tensors.items()}


def _distance(some: Mapping[str, Any], others: Mapping[str, Any]) -> float:
    return float(sum(((each - others[name]) ** 2).sum().item() for name, each in some.items()) ** 0.5)


if __name__ == "__main__":
    main()
