"""A founder from a GGUF file, as llama.cpp and its kin hold models: every tensor unpacked into ordinary weights."""

from pathlib import Path
from typing import Any

from lamarck.errors import LamarckError

MAGIC = b"GGUF"


def unpack_gguf(source: Path, output: Path) -> dict[str, Any]:
    """Write the model of the GGUF file `source` into `output` as a model directory, by transformers' dequantisation.

    Quantised tensors become bfloat16; a file in 16 or 32 bits keeps its own type, the widest of its matrices. Returns
    what the file says of itself: name, licence and origin, None where it does not.
    Errors: LamarckError for what is not a GGUF file, and for an architecture or a type that transformers does not read.
    """
    check_gguf(source)
    import torch
    from gguf import GGUFReader, GGUFValueType
    from transformers import GgufConfig

    from lamarck.models.opening import first_line, open_gguf_tokenizer, open_model

    try:
        reader = GGUFReader(source)
        said = {
            name: str(field.contents())
            for name, field in reader.fields.items()
            if name.startswith("general.") and field.types[-1] == GGUFValueType.STRING
        }
        types = {tensor.tensor_type.name for tensor in reader.tensors if len(tensor.shape) > 1}
        dtype = torch.float32 if "F32" in types else torch.float16 if types == {"F16"} else torch.bfloat16
        tokenizer = open_gguf_tokenizer(source)
    except Exception as error:  # the reader's own asserts, transformers' classes: all are about this file
        raise LamarckError(f"{source} does not open as a GGUF model: {first_line(error)}") from error
    unpacked = {"quantization_config": GgufConfig(dequantize=True), "gguf_file": source.name}
    model = open_model(source.parent, dtype=dtype, **unpacked)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config  # it is unpacked now
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)
    return {
        "name": said.get("general.name"),
        "license": said.get("general.license"),
        "origin": said.get("general.base_model.0.repo_url")
        or said.get("general.source.url")
        or said.get("general.url"),
        "quantisation": sorted(types),
    }


def check_gguf(source: Path) -> None:
    """Errors: LamarckError where `source` is not a GGUF file."""
    if not source.is_file():
        raise LamarckError(f"the founder's GGUF file {source} does not exist: set founder.path")
    with source.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise LamarckError(f"{source} is not a GGUF file: it does not begin with {MAGIC.decode()}")
