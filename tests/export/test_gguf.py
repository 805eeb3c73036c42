"""GGUF through a converter from outside: found, run, and quoted where it fails."""

import os
from pathlib import Path

import pytest

from lamarck.errors import LamarckError
from lamarck.export.gguf import CONVERTER, CONVERTER_VARIABLE, convert, find_converter

# llama.cpp's own needs a tokenizer that it knows, which the tiny world's is not: this one has its arguments.
CONVERTER_SCRIPT = """#!/usr/bin/env python3
import argparse, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("model", type=pathlib.Path)
parser.add_argument("--outfile", type=pathlib.Path)
parser.add_argument("--outtype", choices=["f32", "f16", "bf16", "q8_0", "auto"])
arguments = parser.parse_args()
assert (arguments.model / "model.safetensors").exists()
arguments.outfile.write_bytes(b"GGUF" + arguments.outtype.encode())
"""


def write_converter(directory: Path, text: str = CONVERTER_SCRIPT) -> Path:
    script = directory / CONVERTER
    script.write_text(text)
    script.chmod(0o755)
    return script


@pytest.mark.parametrize("named", ["on the path", "by its variable"])
def test_it_comes_from_the_converter_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    script = write_converter(tmp_path)
    if named == "on the path":
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    else:
        monkeypatch.setenv(CONVERTER_VARIABLE, str(script))
    (tmp_path / "model.safetensors").touch()
    convert(find_converter(), tmp_path, tmp_path / "g2.gguf")
    assert (tmp_path / "g2.gguf").read_bytes() == b"GGUFbf16"


def test_one_that_is_not_a_program_runs_in_this_environment(tmp_path: Path) -> None:
    script = write_converter(tmp_path)
    script.chmod(0o644)
    (tmp_path / "model.safetensors").touch()
    convert(script, tmp_path, tmp_path / "g2.gguf")
    assert (tmp_path / "g2.gguf").exists()


def test_one_that_fails_is_quoted(tmp_path: Path) -> None:
    script = write_converter(tmp_path, "#!/usr/bin/env python3\nraise NotImplementedError('BPE pre-tokenizer')\n")
    with pytest.raises(LamarckError, match="failed: NotImplementedError: BPE pre-tokenizer"):
        convert(script, tmp_path, tmp_path / "g2.gguf")


def test_without_one_it_says_where_it_is_to_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LamarckError, match=r"needs llama\.cpp's convert_hf_to_gguf\.py"):
        find_converter()
    monkeypatch.setenv(CONVERTER_VARIABLE, "nowhere.py")
    with pytest.raises(LamarckError, match=r"names nowhere\.py, which is not a file"):
        find_converter()
