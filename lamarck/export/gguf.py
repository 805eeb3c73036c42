"""GGUF, the file of llama.cpp and what is built on it, through llama.cpp's own converter. Light."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal

from lamarck.below import below
from lamarck.errors import LamarckError

GgufType = Literal["bf16", "q8_0"]
CONVERTER = "convert_hf_to_gguf.py"
CONVERTER_VARIABLE = "LAMARCK_GGUF_CONVERTER"


def find_converter() -> Path:
    """Named by LAMARCK_GGUF_CONVERTER, else on the path. Errors: LamarckError that says where it is to be had."""
    named = os.environ.get(CONVERTER_VARIABLE)
    if named and not Path(named).is_file():
        raise LamarckError(f"{CONVERTER_VARIABLE} names {named}, which is not a file")
    found = named or shutil.which(CONVERTER)
    if found is None:
        raise LamarckError(
            f"--gguf needs llama.cpp's {CONVERTER} (https://github.com/ggml-org/llama.cpp): put it on your PATH, or "
            f"name it in {CONVERTER_VARIABLE}"
        )
    return Path(found).absolute()


def convert(converter: Path, model: Path, output: Path, kind: GgufType = "bf16") -> None:
    """Write `model`, a model directory, as one GGUF file: in 16 bits, or quantised to 8 (q8_0).

    Errors: LamarckError with the last thing that the converter said.
    """
    # Where it is no program of its own, it needs at least torch, transformers and gguf: this environment's.
    program = [str(converter)] if os.access(converter, os.X_OK) else [sys.executable, str(converter)]
    command = [*program, str(model), "--outfile", str(output), "--outtype", kind]
    with below(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout
        said = [line for line in process.stdout if line.strip()]
    if process.returncode or not output.exists():
        why = said[-1].strip() if said else f"exit {process.returncode}, no words"
        raise LamarckError(f"{converter.name} failed: {why}")
