"""The digest of a model, of a suite, and the name under which a generation is served. Light."""

import json
import re
from pathlib import Path

from lamarck.errors import LamarckError
from lamarck.files import cached_digest, canonical_json, digest_bytes, digest_directory, digest_text, digest_value
from lamarck.lineage.generation import TRAINING_RECORD, WEIGHTS_RECORD, Generation

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


def change_digest(change: Path) -> str:
    """Digest of what was trained (an adapter, a delta or whole weights), its record left out."""
    return digest_directory(change, skip=[TRAINING_RECORD])


def model_digest(weights: Path, change: Path | None) -> str:
    """Digest of gN: the founder's weights and, for N >= 1, what was trained."""
    return digest_of_parts(weights_digest(weights), None if change is None else change_digest(change))


def digest_of_parts(weights: str, change: str | None) -> str:
    """`model_digest` where the digests of its parts are known already."""
    # Under this name whatever its form is: every child's digest from before there were others has it.
    return digest_value({"weights": weights} if change is None else {"weights": weights, "adapter": change})


def generation_digest(generation: Generation) -> str:
    return model_digest(generation.weights, generation.change if generation.number else None)


def served_name(generation: Generation, model: str) -> str:
    """What a server calls a generation whose model has the digest `model`: g2-0123456789ab."""
    return f"{generation.name}-{model[:12]}"


def is_name_of(name: str, model: str) -> bool:
    """Whether a served model's name says that it is the one with the digest `model`."""
    return re.fullmatch(rf"(?:[\w-]+/)*g\d+-{model[:12]}", name) is not None


NOT_OF_TRAINING = ("writing_seconds", "evaluating_seconds")


def training_digest(plan: bytes) -> str:
    """Digest of what a plan, given as its bytes, says about the training itself.

    What the child may spend once it is there can be raised without training again. Where a plan says nothing of that,
    this is the digest of the bytes.

    Errors: LamarckError for bytes that are no plan.
    """
    try:
        said = json.loads(plan)
        left = {name: value for name, value in said["budget"].items() if name not in NOT_OF_TRAINING}
        return digest_bytes(plan) if left == said["budget"] else digest_text(canonical_json(said | {"budget": left}))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise LamarckError("a plan is damaged: delete it and run snakemake again") from error


FROZEN = "FROZEN"
NOT_MEASURED = ("README.md", "ERRATA.md", FROZEN)  # of a suite's files, those that change no score


def suite_digest(suite: Path) -> str:
    """One digest over every file of a suite: tasks, held-out items, weights. Errors: LamarckError if absent."""
    if not (suite / "suite.yaml").exists():
        raise LamarckError(f"{suite} is not a suite: it has no suite.yaml")
    return digest_directory(suite, skip=NOT_MEASURED)
