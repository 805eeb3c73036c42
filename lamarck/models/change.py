"""A child on disk: what was trained, in one of three forms, laid on the founder's weights.

    adapter/    a PEFT adapter
    delta/      the lossless difference to the founder's weights
    weights/    a model directory of its own

Light: torch is imported where weights are read.
"""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamarck.config import Form
from lamarck.errors import LamarckError
from lamarck.files import read_json, write_json
from lamarck.lineage.digest import BESIDE
from lamarck.models.shards import model_directory

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

DELTA = "delta.safetensors"
INDEX = "*.safetensors.index.json"  # says in which of several files a tensor lies: no longer true of one


@dataclass(frozen=True)
class LaidOut:
    """A model directory, and the PEFT adapter to be laid on it, if any.

    A directory that was made for the purpose is gone with this object: hold it as long as its files are read.
    """

    directory: Path
    adapter: Path | None
    held: "tempfile.TemporaryDirectory[str] | None" = None


def form_of(change: Path) -> Form:
    """The form of what was trained, from its files. Errors: LamarckError where they are of no form."""
    if (change / "adapter_config.json").exists():
        return "adapter"
    if (change / DELTA).exists():
        return "delta"
    if (change / "config.json").exists():
        return "weights"
    raise LamarckError(f"{change} is neither an adapter nor a delta nor a model: restore it with `dvc pull`")


def lay_out(weights: Path, change: Path | None) -> LaidOut:
    """The model that `change` makes of the founder's `weights`, as files that any library opens.

    Errors: LamarckError where a delta is damaged or starts from other weights, and as `model_directory`.
    """
    form = None if change is None else form_of(change)
    if form == "weights":
        return LaidOut(change or weights, None)
    founder = model_directory(weights)
    if change is None or form == "adapter":
        return LaidOut(founder, change)
    from lamarck.models.delta import read_delta, tensors_of

    held = tempfile.TemporaryDirectory(prefix="lamarck-model-")
    write_model(founder, read_delta(change / DELTA, tensors_of(founder)), Path(held.name))
    return LaidOut(Path(held.name), None, held)


def write_model(like: Path, tensors: "Mapping[str, torch.Tensor]", output: Path) -> None:
    """Make the directory `output` a model with `tensors`, in their own type; all else is as in the model `like`."""
    from safetensors.torch import save_file

    for pattern in BESIDE:
        for path in like.glob(pattern):
            shutil.copyfile(path, output / path.name)
    for path in output.glob(INDEX):
        path.unlink()
    config: dict[str, Any] = read_json(like / "config.json")
    config.pop("torch_dtype", None)  # its older name
    largest = max(tensors.values(), key=lambda tensor: tensor.numel())
    write_json(output / "config.json", config | {"dtype": str(largest.dtype).removeprefix("torch.")})
    save_file(dict(tensors), output / "model.safetensors", {"format": "pt"})
