"""The one place that opens a model directory: what it says of itself is compared with what lies in it.

transformers fills tensors that it does not find with random numbers, leaves out those that it does not know, and says
so in a notice. Here each of these is an error.
"""

import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamarck.errors import LamarckError
from lamarck.heavy_imports import heavy_imports

if TYPE_CHECKING:
    import torch
    from peft import LoraConfig, PeftModel
    from transformers import GenerationConfig, PreTrainedTokenizerBase

    from lamarck.arch.genome import Genome
    from lamarck.arch.model import GenomeForCausalLM

# What a template that prints the day is told: a model is asked tomorrow as it was taught today.
PINNED_DATE = (2026, 1, 1)
_NAMED = 3  # tensors that a refusal names
_DAY = "strftime_now"


def open_model(directory: Path, **settings: Any) -> "torch.nn.Module":
    """The causal language model that lies in `directory`, with every tensor from its files; `settings` as
    `from_pretrained` takes them (dtype, device_map, quantization_config).

    Errors: LamarckError where it does not open, needs code of its own, or where tensors are missing, unknown or of
    another shape than its config says.
    """
    from transformers import AutoModelForCausalLM

    import lamarck.arch.model  # noqa: F401  # so that transformers knows the models of genomes

    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            directory,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused here, by name
            **settings,
        )
    except Exception as error:  # the file formats' and the checkers' own classes have no common one
        raise LamarckError(does_not_open(directory, error)) from error
    if report["mismatched_keys"]:
        name, found, expected = min(report["mismatched_keys"], key=str)
        raise LamarckError(
            f"{directory} does not open as a model: {name} has the shape {tuple(found)}, its config.json says "
            f"{tuple(expected)}; a vocabulary that was resized needs its vocab_size there"
        )
    for kind, why in (
        ("missing_keys", "and would be random numbers; a shard is missing, or `tie_word_embeddings` is wrong"),
        ("unexpected_keys", "but the architecture in its config.json has no place for them"),
        ("error_msgs", "as transformers says"),
    ):
        if report[kind]:
            where = "lacks" if kind == "missing_keys" else "holds"
            raise LamarckError(f"{directory} does not open as a model: it {where} {_some(report[kind])}, {why}")
    if model.config.get_text_config().tie_word_embeddings and not is_tied(model):
        raise LamarckError(
            f"{directory} does not open as a model: its config.json ties the head to the embedding, its weights are "
            "two different ones; set tie_word_embeddings to false"
        )
    opened: torch.nn.Module = model
    return opened


def open_tokenizer(directory: Path) -> "PreTrainedTokenizerBase":
    """The tokenizer of `directory`; a template that prints the day's date has it pinned.

    Errors: LamarckError where it does not open, or its template takes the date in a way that cannot be pinned.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # as above
        raise LamarckError(f"{directory} does not open as a model: its tokenizer says {first_line(error)}") from error
    if tokenizer.chat_template:
        tokenizer.chat_template = with_pinned_date(tokenizer.chat_template, directory)
    return tokenizer


def open_gguf_tokenizer(file: Path) -> "PreTrainedTokenizerBase":
    """The tokenizer in a GGUF file, its template as it stands there. Errors: as transformers has them."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, local_files_only=True)


def open_genome_model(directory: Path, genome: "Genome | None" = None) -> "GenomeForCausalLM":
    """The model of a genome that lies in `directory`, in the type of its files.

    Errors: LamarckError when it is not one, or is one of another genome than `genome`.
    """
    from lamarck.arch.genome import check_genome
    from lamarck.arch.model import GenomeForCausalLM

    if not (directory / "config.json").exists():
        raise LamarckError(f"{directory} is not a model directory: it has no config.json")
    model = open_model(directory)
    if not isinstance(model, GenomeForCausalLM):
        raise LamarckError(f"{directory} is a {model.config.model_type} model and has no genome")
    if genome is not None and check_genome(model.config.genome, str(directory)).model != genome.model:
        raise LamarckError(f"{directory} holds weights of another genome: train this one anew, or inherit from it")
    return model.eval()


def open_adapter(model: "torch.nn.Module", adapter: Path, **settings: Any) -> "PeftModel":
    """`model` with the PEFT adapter that lies in `adapter` laid on it; `settings` as `PeftModel.from_pretrained`'s."""
    with heavy_imports():
        from peft import PeftModel  # only where there is an adapter

    return PeftModel.from_pretrained(model, str(adapter), local_files_only=True, **settings)


def adapter_settings(adapter: Path) -> "LoraConfig":
    """What the PEFT adapter in `adapter` says of itself."""
    from peft import LoraConfig

    return LoraConfig.from_pretrained(str(adapter))


def generation_config(weights: Path) -> "GenerationConfig":
    """What transformers gives the model of this directory, without loading it."""
    from transformers import AutoConfig, GenerationConfig

    if (weights / "generation_config.json").exists():
        return GenerationConfig.from_pretrained(weights, local_files_only=True)
    return GenerationConfig.from_model_config(AutoConfig.from_pretrained(weights, local_files_only=True))


def with_pinned_date(template: Any, directory: Path) -> Any:
    """A chat template in which `strftime_now` is always the same day. Others come back as they are."""
    if not isinstance(template, str) or _DAY not in template:
        return template
    import datetime

    formats = re.findall(rf"{_DAY}\(\s*(?:'([^']*)'|\"([^\"]*)\")\s*\)", template)
    calls = len(re.findall(rf"{_DAY}\s*\(", template))
    if calls != len(formats):
        raise LamarckError(
            f"the chat template of {directory} prints today's date in a form that it computes, so that the model would "
            "be asked otherwise tomorrow: write the date into the template"
        )
    day = datetime.date(*PINNED_DATE)
    days = {form: day.strftime(form) for pair in formats for form in pair if form}
    return f"{{%- macro {_DAY}(form) -%}}{{{{- {days!r}[form] -}}}}{{%- endmacro -%}}{template}"


def is_tied(model: "torch.nn.Module") -> bool:
    """Whether head and embedding are one tensor."""
    head = model.get_output_embeddings()
    return head is not None and head.weight is model.get_input_embeddings().weight


def check_not_tied(model: "torch.nn.Module", targets: Collection[str] | str) -> None:
    """Adapters on a tied embedding or head: merged for scoring, each would change the other as well.

    `targets`: as recipe.target_modules has them. Errors: LamarckError that names the layer.
    """
    if targets == "all-linear" or not is_tied(model):
        return
    both = (model.get_input_embeddings(), model.get_output_embeddings())
    for name, layer in model.named_modules():
        if any(layer is each for each in both) and any(f".{name}".endswith(f".{target}") for target in targets):
            raise LamarckError(
                f"recipe.target_modules names {name}, but this model's head and embedding are one tensor: the scored "
                "model would not be the one that was trained; name other layers"
            )


def does_not_open(directory: Path, error: BaseException) -> str:
    """One sentence for whatever a library says about a model directory."""
    said = first_line(error)
    if type(error).__name__ == "SafetensorError":
        pointers = "it is cut short, or a pointer that Git LFS has not replaced (`git lfs pull`)"
        said = f"a safetensors file is damaged ({said}): {pointers}"
    return f"{directory} does not open as a model: {said}"


def first_line(error: BaseException) -> str:
    """The lines of a message that say something, as one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) if lines else type(error).__name__


def _some(names: Collection[str]) -> str:
    listed = sorted(map(str, names))
    rest = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return ", ".join(listed[:_NAMED]) + rest
