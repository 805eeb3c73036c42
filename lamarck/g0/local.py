"""A founder that exists already: a model directory on this machine, or a pinned revision on the hub."""

import json
import shutil
from pathlib import Path

from lamarck.errors import LamarckError

# What a model directory needs to generate text. Pickled weights and Python files are left behind on purpose.
WANTED = ("*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json", "tokenizer*", "vocab*",
          "merges.txt", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja")  # fmt: skip
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


def fetch_founder(repo: str, revision: str, output: Path) -> None:
    """Download a pinned revision from the hub into `output`. The token, if one is needed, comes from HF_TOKEN."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        fetched = snapshot_download(repo, revision=revision, allow_patterns=list(WANTED))
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        raise LamarckError(f"{repo} at {revision[:8]} cannot be fetched: {str(error).splitlines()[0]}") from error
    copy_founder(Path(fetched), output)
