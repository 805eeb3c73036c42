"""Weights that the hub serves: a project names them with their sha256, and the machine that computes with them fetches
them. So 140 GB go straight to a rented GPU, and never through the machine that rents it. Light.
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from lamarck.errors import LamarckError
from lamarck.files import cached_digest, file_digests, read_json
from lamarck.lineage.generation import WEIGHTS_RECORD

SHARDS = "shards.json"


class Shard(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sha256: str
    bytes: int


class Shards(BaseModel):
    """A model's weights at a commit of the hub. `parameters` are counted from the files' headers."""

    model_config = ConfigDict(extra="forbid")

    repo: str
    revision: str
    parameters: int
    files: dict[str, Shard]


def list_shards(repo: str, revision: str) -> Shards:
    """Ask the hub, without fetching them. Errors: LamarckError where it cannot be asked, or has no such weights."""
    from huggingface_hub.errors import NotASafetensorsRepoError, SafetensorsParsingError
    from huggingface_hub.hf_api import RepoFile

    from lamarck.models.hub import connect, refusals_as_sentences

    api = connect(repo)
    with refusals_as_sentences(repo, "read"):
        listed = [entry for entry in api.list_repo_tree(repo, revision=revision) if isinstance(entry, RepoFile)]
        files: dict[str, Shard] = {}
        for entry in listed:
            if not entry.path.endswith(".safetensors"):
                continue
            if entry.lfs is None:  # it lies in git itself, for which the hub knows another digest
                raise LamarckError(
                    f"the hub gives no sha256 of {entry.path} in {repo}: use a copy of it, `kind: local`"
                )
            files[entry.path] = Shard(sha256=entry.lfs.sha256, bytes=entry.lfs.size)
        try:
            parameters = sum(api.get_safetensors_metadata(repo, revision=revision).parameter_count.values())
        except (NotASafetensorsRepoError, SafetensorsParsingError) as error:
            raise LamarckError(
                f"{repo} has no safetensors weights at {revision[:8]}; pickled ones are never loaded"
            ) from error
    return Shards(repo=repo, revision=revision, parameters=parameters, files=files)


def read_shards(weights: Path) -> Shards | None:
    """What of the model directory `weights` lies on the hub; None where all of it is here."""
    path = weights / SHARDS
    if not path.exists():
        return None
    try:
        return Shards.model_validate(read_json(path))
    except ValidationError as error:
        raise LamarckError(f"{path} is damaged: restore it with `dvc pull`, or delete {weights}") from error


def model_directory(weights: Path) -> Path:
    """The directory to load the model of `weights` from, with every file in it.

    What is on the hub comes into this machine's cache of it (HF_HOME), once, and is compared with what `weights` says.
    Errors: LamarckError where it cannot be had, or is something else.
    """
    shards = read_shards(weights)
    if shards is None:
        return weights
    from lamarck.models.hub import connect, refusals_as_sentences

    expected = file_digests(weights, skip=[SHARDS, WEIGHTS_RECORD])
    expected |= {name: shard.sha256 for name, shard in shards.files.items()}
    size = sum(shard.bytes for shard in shards.files.values()) / 1e9
    print(f"{size:.2f} GB of {shards.repo}: what is not here yet comes from the hub", flush=True)
    with refusals_as_sentences(shards.repo, "read"):
        api = connect(shards.repo)
        found = api.snapshot_download(shards.repo, revision=shards.revision, allow_patterns=list(expected))
    fetched = Path(str(found))
    for name, digest in expected.items():
        path = fetched / name
        if not path.exists() or cached_digest(path) != digest:
            raise LamarckError(
                f"{path} is {'not what' if path.exists() else 'not there, but'} {weights} names: delete {fetched}, or "
                f"restore {weights} with `dvc pull`"
            )
    return fetched
