"""A founder that exists already: a model directory on this machine, or a pinned revision on the hub."""

import json
import shutil
from pathlib import Path

from lamarck.errors import LamarckError

# What a model directory needs to generate text. Pickled weights and Python files are left behind on purpose.
WANTED = ("*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json", "tokenizer*", "vocab*",
          "merges.txt", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja")  # fmt: skip
CARD = "README.md"
TOKENIZERS = ("tokenizer.json", "tokenizer.model")


def copy_founder(source: Path, output: Path) -> None:
    """Copy a model directory into `output`: links would let an edit of the source change a lineage.

    Errors: LamarckError where the directory, its safetensors weights, its config or its tokenizer is missing.
    """
    check_model_directory(source)
    for pattern in WANTED:
        for path in sorted(source.glob(pattern)):
            shutil.copyfile(path, output / path.name)


def check_model_directory(source: Path) -> None:
    if not source.is_dir():
        raise LamarckError(f"the founder's model directory {source} does not exist: set founder.path")
    if not (source / "config.json").is_file():
        raise LamarckError(f"{source} is no model directory: it has no config.json")
    if not any(source.glob("*.safetensors")):
        raise LamarckError(f"{source} has no safetensors weights; pickled ones are never loaded: convert them first")
    if not any((source / name).is_file() for name in TOKENIZERS):
        raise LamarckError(f"{source} has no tokenizer: it needs one of {', '.join(TOKENIZERS)}")
    try:
        config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise LamarckError(f"{source / 'config.json'} is not valid JSON: {error}") from error
    if "auto_map" in config:
        raise LamarckError(f"{source} needs its own Python code to load (auto_map): remote code is never run")


def fetch_founder(repo: str, revision: str, output: Path) -> str | None:
    """Download a pinned revision from the hub into `output`. The token, if one is needed, comes from HF_TOKEN.

    Returns the licence that its card names. Errors: LamarckError where it cannot be had, or is no model directory.
    """
    from huggingface_hub import ModelCard

    from lamarck.hub.client import connect, refusals_as_sentences

    with refusals_as_sentences(repo, "read"):
        fetched = connect(repo).snapshot_download(repo, revision=revision, allow_patterns=[*WANTED, CARD])
    copy_founder(Path(fetched), output)
    card = Path(fetched) / CARD
    licence: str | None = ModelCard.load(card).data.get("license") if card.exists() else None
    return licence
