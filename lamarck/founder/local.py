"""A founder that exists already: a model directory on this machine, or a pinned revision on the hub."""

import shutil
from pathlib import Path

from lamarck.errors import LamarckError
from lamarck.files import read_json, write_json
from lamarck.lineage.digest import BESIDE, WEIGHTS, model_directory_files
from lamarck.models.shards import SHARDS, list_shards

CARD = "README.md"
TOKENIZERS = ("tokenizer.json", "tokenizer.model")


def copy_founder(source: Path, output: Path) -> None:
    """Copy a model directory into `output`: links would let an edit of the source change a lineage.

    Errors: LamarckError where the directory, its safetensors weights, its config or its tokenizer is missing.
    """
    check_model_directory(source)
    _copy(source, output)


def check_model_directory(source: Path) -> None:
    _check_description(source)
    if not any(source.glob(WEIGHTS)):
        raise LamarckError(f"{source} has no safetensors weights; pickled ones are never loaded: convert them first")


def _check_description(source: Path) -> None:
    if not source.is_dir():
        raise LamarckError(f"the founder's model directory {source} does not exist: set founder.path")
    if not (source / "config.json").is_file():
        raise LamarckError(f"{source} is not a model directory: it has no config.json")
    if not any((source / name).is_file() for name in TOKENIZERS):
        raise LamarckError(f"{source} has no tokenizer: it needs one of {', '.join(TOKENIZERS)}")
    config = read_json(source / "config.json")
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise LamarckError(f"{source / 'config.json'} does not describe a model: it names no model_type")
    if "auto_map" in config:
        raise LamarckError(f"{source} needs its own Python code to load (auto_map): remote code is never run")


def name_founder(repo: str, revision: str, output: Path) -> str | None:
    """A pinned revision on the hub into `output`: all but the weights themselves, which are named there (shards.py).

    The token, if one is needed, comes from HF_TOKEN. Returns the licence that its card names.
    Errors: LamarckError where it cannot be had, or is not a model directory.
    """
    from huggingface_hub import ModelCard

    from lamarck.models.hub import connect, refusals_as_sentences

    with refusals_as_sentences(repo, "read"):
        found = connect(repo).snapshot_download(repo, revision=revision, allow_patterns=[*BESIDE, CARD])
    fetched = Path(str(found))
    _check_description(fetched)
    _copy(fetched, output)
    write_json(output / SHARDS, list_shards(repo, revision).model_dump(mode="json"))
    card = fetched / CARD
    licence: str | None = ModelCard.load(card).data.get("license") if card.exists() else None
    return licence


def _copy(source: Path, output: Path) -> None:
    for path in model_directory_files(source):
        shutil.copyfile(path, output / path.name)
