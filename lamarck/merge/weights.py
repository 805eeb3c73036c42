"""Models as files: their headers, read without a byte of weights, and one tensor at a time."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lamarck.errors import LamarckError
from lamarck.files import read_json

if TYPE_CHECKING:
    from torch import Tensor

# Names in safetensors headers (https://huggingface.co/docs/safetensors) of what can be merged, and PyTorch's.
DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
UNSAFE = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.gguf")


@dataclass(frozen=True)
class Header:
    """Shape and dtype of a tensor; the file that it lies in and where, None where it is still to be made."""

    shape: tuple[int, ...]
    dtype: str
    file: Path | None = None
    offset: int = 0

    @property
    def elements(self) -> int:
        count = 1
        for length in self.shape:
            count *= length
        return count

    @property
    def bytes(self) -> int:
        return self.elements * BYTES[self.dtype]


@dataclass(frozen=True)
class ModelView:
    """What is known of a model before its weights are read. `directory` None: it is still to be made, or elsewhere."""

    name: str
    config: dict[str, Any]
    tensors: dict[str, Header]
    directory: Path | None
    vocabulary: dict[str, int] | None = None  # token -> id, added tokens included; None where it is not known

    @property
    def tied(self) -> bool:
        return bool(self.config.get("tie_word_embeddings", False))


def open_model(name: str, directory: Path) -> ModelView:
    """Read config.json and the headers of the safetensors files.

    Errors: LamarckError where the directory has none, only formats that can carry code, files that are cut short or
    missing, or weights that are quantised.
    """
    if not (directory / "config.json").is_file():
        raise LamarckError(f"{name}: {directory} is not a model directory: it has no config.json")
    config = read_json(directory / "config.json")
    if "auto_map" in config:
        raise LamarckError(
            f"{name}: {directory} needs its own Python code to load (auto_map): remote code is never run"
        )
    if "quantization_config" in config:
        raise LamarckError(f"{name} is quantised: merge the model that it was quantised from")
    files = sorted(directory.glob("*.safetensors"))
    if not files:
        unsafe = [path.name for pattern in UNSAFE for path in directory.glob(pattern)]
        found = f"only {', '.join(sorted(unsafe))}" if unsafe else "no weights"
        raise LamarckError(
            f"{name}: {directory} has {found}: convert it to safetensors; other formats are never loaded"
        )
    return ModelView(name, config, _headers(name, directory, files), directory, read_vocabulary(directory))


def read_vocabulary(directory: Path) -> dict[str, int] | None:
    """Token -> id of the tokenizer in a directory, by id; None where it has none in the one format that is read."""
    path = directory / "tokenizer.json"
    if not path.is_file():
        return None
    from tokenizers import Tokenizer

    try:
        tokens: dict[str, int] = Tokenizer.from_file(str(path)).get_vocab()
    except Exception as error:  # tokenizers raises nothing narrower
        raise LamarckError(f"{path} is not a valid tokenizer: {error}") from error
    # The library gives them in another order every time.
    return dict(sorted(tokens.items(), key=lambda each: each[1]))


def _headers(name: str, directory: Path, files: list[Path]) -> dict[str, Header]:
    from safetensors import SafetensorError, safe_open

    index = directory / "model.safetensors.index.json"
    listed: dict[str, str] = read_json(index)["weight_map"] if index.exists() else {}
    missing = sorted(set(listed.values()) - {path.name for path in files})
    if missing:
        raise LamarckError(f"{name}: {directory} lacks {missing[0]}, which {index.name} names: fetch it again")
    tensors: dict[str, Header] = {}
    for path in files:
        if listed and path.name not in listed.values():
            continue
        try:
            with safe_open(path, "pt"):  # it checks that the file is whole and consistent
                tensors |= _read_header(name, path)
        except SafetensorError as error:
            raise LamarckError(f"{name}: {path} is not a whole safetensors file ({error}): fetch it again") from error
    absent = sorted(set(listed) - set(tensors))
    if absent:
        raise LamarckError(
            f"{name}: {directory} lacks the tensor {absent[0]}, which {index.name} names: fetch it again"
        )
    return tensors


def _read_header(model: str, path: Path) -> dict[str, Header]:
    """The tensors of a safetensors file: eight bytes with the length of a JSON text, that text, the data."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        entries = json.loads(file.read(length))
    tensors = {}
    for name, entry in entries.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in DTYPES:
            raise LamarckError(f"{model}: {name} is {entry['dtype']}: only {', '.join(DTYPES)} can be merged")
        offset = 8 + length + entry["data_offsets"][0]
        tensors[name] = Header(tuple(entry["shape"]), DTYPES[entry["dtype"]], path, offset)
    return tensors


def planned_model(name: str, config_path: Path) -> ModelView:
    """A model that is not here, from its config.json: names and shapes as transformers would make them."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = read_json(config_path)
    kind = config.get("dtype") or config.get("torch_dtype") or "float32"
    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(
                AutoConfig.for_model(**config), trust_remote_code=False, dtype=getattr(torch, kind)
            )
    except (KeyError, ValueError, AttributeError) as error:
        raise LamarckError(f"{config_path} does not describe a causal language model: {error}") from error
    tensors = {key: Header(tuple(value.shape), kind) for key, value in model.state_dict().items()}
    if config.get("tie_word_embeddings"):
        tensors.pop("lm_head.weight", None)
    return ModelView(name, config, tensors, None)


def read_tensor(header: Header, name: str, model: str, dtype: str) -> "Tensor":
    """A tensor as `dtype`, owned by the caller. Read, not mapped: the memory is what the tensors take, and a file that
    is cut short while it is read is an error, not a crash.

    Errors: LamarckError where the file is shorter than its header said, or the tensor holds NaN or infinity.
    """
    import torch

    from lamarck.merge.blocks import is_finite

    assert header.file is not None
    tensor = torch.empty(header.shape, dtype=getattr(torch, header.dtype))
    with header.file.open("rb", buffering=0) as file:
        file.seek(header.offset)
        space = memoryview(tensor.view(-1).view(torch.uint8).numpy())
        while space:
            count = file.readinto(space)  # at most 2 GB at once
            if not count:
                raise LamarckError(f"{model}: {header.file} ends within {name}: it changed while it was read")
            space = space[count:]
    if not is_finite(tensor):
        raise LamarckError(f"{model}: {name} holds NaN or infinity: the model is broken, so nothing is merged with it")
    return tensor.to(getattr(torch, dtype))


def count_bytes(tensors: dict[str, Header]) -> int:
    return sum(header.bytes for header in tensors.values())


def write_safetensors_header(tensors: dict[str, Header]) -> bytes:
    """The first bytes of a safetensors file that holds `tensors` one after the other, in this order."""
    names = {kind: name for name, kind in DTYPES.items()}
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, header in tensors.items():
        end = offset + header.bytes
        entries[name] = {"dtype": names[header.dtype], "shape": list(header.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
