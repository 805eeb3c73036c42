"""The digest of a model, of a suite, and the name under which a generation is served. Light."""

import re
from pathlib import Path

from lamarck.errors import LamarckError
from lamarck.files import cached_digest, digest_directory, digest_value
from lamarck.lineage.generation import ADAPTER_RECORD, WEIGHTS_RECORD, Generation

WEIGHTS = "*.safetensors"
BESIDE = ("*.safetensors.index.json", "config.json", "generation_config.json", "tokenizer*", "vocab*", "merges.txt",
          "special_tokens_map.json", "added_tokens.json", "chat_template.jinja")  # fmt: skip
NEVER = (".py", ".pyc", ".pkl", ".bin", ".pt", ".pth")  # code, and what runs code when it is opened

SHORT = 8


def short(digest: str) -> str:
    """The part of a digest that a person reads, and types back."""
    return digest[:SHORT]


def weights_digest(weights: Path) -> str:
    """Digest of the founder's model directory, its record left out."""
    return digest_directory(weights, skip=[WEIGHTS_RECORD])


def source_digest(source: Path) -> str:
    """Digest of what becomes a founder: a file, or of a model directory what it needs; the rest decides nothing."""
    if source.is_file():
        return cached_digest(source)
    return digest_value({path.name: cached_digest(path) for path in sorted(model_directory_files(source))})


def model_directory_files(source: Path) -> list[Path]:
    """What a model directory needs to generate text. Pickled weights and Python files are left out on purpose."""
    found = [path for pattern in (WEIGHTS, *BESIDE) for path in source.glob(pattern)]
    return [path for path in found if path.suffix not in NEVER]


def adapter_digest(adapter: Path) -> str:
    """Digest of a PEFT adapter directory, its record left out."""
    return digest_directory(adapter, skip=[ADAPTER_RECORD])


def model_digest(weights: Path, adapter: Path | None) -> str:
    """Digest of gN: the founder's weights and, for N >= 1, its one adapter."""
    return digest_of_parts(weights_digest(weights), None if adapter is None else adapter_digest(adapter))


def digest_of_parts(weights: str, adapter: str | None) -> str:
    """`model_digest` where the digests of its parts are known already."""
    return digest_value({"weights": weights} if adapter is None else {"weights": weights, "adapter": adapter})


def generation_digest(generation: Generation) -> str:
    return model_digest(generation.weights, generation.adapter if generation.number else None)


def served_name(generation: Generation, model: str) -> str:
    """What a server calls a generation whose model has the digest `model`: g2-0123456789ab."""
    return f"{generation.name}-{model[:12]}"


def is_name_of(name: str, model: str) -> bool:
    """Whether a served model's name says that it is the one with the digest `model`."""
    return re.fullmatch(rf"(?:[\w-]+/)*g\d+-{model[:12]}", name) is not None


FROZEN = "FROZEN"
NOT_MEASURED = ("README.md", "ERRATA.md", FROZEN)  # of a suite's files, those that change no score


def suite_digest(suite: Path) -> str:
    """One digest over every file of a suite: tasks, held-out items, weights. Errors: LamarckError if absent."""
    if not (suite / "suite.yaml").exists():
        raise LamarckError(f"{suite} is not a suite: it has no suite.yaml")
    return digest_directory(suite, skip=NOT_MEASURED)
