"""What vLLM asks for on a CPU: what is needed, whatever the machine has; one sentence where it does not fit."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lamarck.engine.vllm_memory import GIB, PROCESS, Need, TooLittleMemory, cache_bytes, parameters
from tests.tiny import PROMPTS

MIB = 2**20
# Of Llama 3.2 1B in bfloat16, whose config.json says: 16 layers, 8 heads of keys and values, of 64 numbers each.
TOKEN = 16 * 2 * 8 * 64 * 2
LLAMA = Need(front=1, workers=1, weights=2 * GIB, step=GIB, token=TOKEN, length=1000, block=128)


def test_the_cache_is_counted_in_whole_blocks() -> None:
    assert TOKEN == 32 * 1024
    # 1,000 tokens take eight blocks of 128, and vLLM keeps one block in all.
    assert LLAMA.cache(1) == 9 * 128 * TOKEN == 36 * MIB
    assert LLAMA.cache(64) == (64 * 8 + 1) * 4 * MIB
    assert LLAMA.cache(64) > 64 * 1000 * TOKEN, "tokens alone would not do: the last block of each text is open"


def test_the_need_has_every_process_in_it() -> None:
    assert LLAMA.total(64) == PROCESS + 3 * GIB + LLAMA.cache(64)
    split = LLAMA._replace(workers=2, token=TOKEN // 2)
    assert split.processes == 3
    assert split.total(64) == 3 * PROCESS + 2 * GIB + 2 * (GIB + split.cache(64))
    assert LLAMA._replace(front=2).total(64) == LLAMA.total(64) + PROCESS


@pytest.mark.parametrize("need", [LLAMA, LLAMA._replace(workers=2, token=TOKEN // 2)])
def test_so_many_texts_fit_and_not_one_more(need: Need) -> None:
    available = need.total(10)
    assert need.fitting(64, available) == 10
    assert need.fitting(64, available - 1) == 9
    assert need.fitting(5, available) == 5
    assert need.fitting(64, need.total(1) - 1) == need.fitting(64, 0) == 0


def test_what_is_asked_for_does_not_depend_on_what_there_is() -> None:
    needed = LLAMA.total(64)
    assert {cache_bytes(LLAMA, 64, 64, available) for available in (needed, 2 * needed, 1000 * needed)} == {
        LLAMA.cache(64)
    }


def test_where_it_does_not_fit_one_sentence_says_what_is_missing() -> None:
    with pytest.raises(TooLittleMemory) as few:
        cache_bytes(LLAMA, 64, 64, LLAMA.total(10))
    assert str(few.value) == (
        "vLLM needs 5.75 GiB for 64 texts of 1000 tokens side by side (1 process 0.75 GiB, weights 2.00 GiB, a step "
        "1.00 GiB, cache 2.00 GiB), and 1.69 GiB of that are missing: set engine.batch_size to 10"
    )
    assert cache_bytes(LLAMA, 10, 10, LLAMA.total(10)) == LLAMA.cache(10), "what it advises fits"
    with pytest.raises(TooLittleMemory, match=r"3 processes .* missing: lower engine\.max_length, or free memory$"):
        cache_bytes(LLAMA._replace(workers=2), 64, 64, LLAMA.total(0))


def test_a_server_has_as_many_texts_at_work_as_leave_room_for_others() -> None:
    assert cache_bytes(LLAMA, 64, 1, LLAMA.total(64)) == LLAMA.cache(64)
    assert cache_bytes(LLAMA, 1000, 1, 2 * LLAMA.total(10)) == LLAMA.cache(10)
    assert cache_bytes(LLAMA, 64, 1, LLAMA.total(1)) == LLAMA.cache(1)
    with pytest.raises(TooLittleMemory, match=r"for 1 text of 1000 tokens"):
        cache_bytes(LLAMA, 64, 1, LLAMA.total(1) - 1)


def test_parameters_are_counted_from_the_headers(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(3, 5), "b": torch.zeros((), dtype=torch.int8)}, tmp_path / "1.safetensors", {"x": "y"})
    save_file({"c": torch.zeros(7, dtype=torch.bfloat16)}, tmp_path / "2.safetensors")
    assert parameters(tmp_path) == 15 + 1 + 7


# The memory node of a machine of 2 GiB. By any share of that below a third the process itself would not fit.
NODE = """\
Node 0 MemTotal:        2097152 kB
Node 0 MemFree:         {free} kB
Node 0 Active(file):          0 kB
Node 0 Inactive(file):        0 kB
Node 0 SReclaimable:          0 kB
"""
ON_NODE = """
import sys
from pathlib import Path
from lamarck.config.engine import VLLMEngineConfig
from lamarck.engine.vllm import VLLMEngine
from lamarck.errors import LamarckError
from tests.tiny import PROMPTS
try:
    engine = VLLMEngine(VLLMEngineConfig(kind="vllm", python=sys.argv[1], batch_size=8), Path(sys.argv[2]), None)
except LamarckError as error:
    sys.exit(f"error: {error}")
print("answered", len(engine.generate(PROMPTS, max_new_tokens=5)))
"""


@pytest.mark.parametrize("free_mib", [1024, 256])
def test_on_a_machine_with_little_memory(vllm_python: Path, tiny_model: Path, tmp_path: Path, free_mib: int) -> None:
    """vLLM reads what its node has from /sys: here from a file of ours, laid over that one in a mount namespace."""
    node = Path("/sys/devices/system/node/node0/meminfo")
    bubblewrap = shutil.which("bwrap")
    laid: list[str | Path] = [bubblewrap or "", *("--dev-bind", "/", "/"), "--ro-bind", tmp_path / "meminfo", node]
    (tmp_path / "meminfo").write_text(NODE.format(free=free_mib * 1024))
    if not (bubblewrap and node.exists() and not subprocess.run([*laid, "true"], check=False).returncode):
        pytest.skip("bubblewrap cannot lay a file over /sys here")
    command = [*laid, sys.executable, "-c", ON_NODE, vllm_python, tiny_model]
    # An older setting of vLLM's, in GiB, which it would obey and then refuse.
    environment = os.environ | {"VLLM_CPU_KVCACHE_SPACE": "100000"}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if free_mib > PROCESS / MIB:
        assert (ran.returncode, ran.stdout) == (0, f"answered {len(PROMPTS)}\n"), ran.stderr
    else:
        last = ran.stderr.splitlines()[-1]
        assert ran.returncode == 1 and last.startswith("error: vLLM needs 0.7"), ran.stderr
        assert last.endswith("missing: lower engine.max_length, or free memory")
