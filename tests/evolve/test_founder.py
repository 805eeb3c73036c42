"""What evolves may be of any kind: the check that every founder passes, on a model that is no Llama."""

from pathlib import Path

import pytest

from lamarck.arch.genome import Data
from lamarck.arch.model import build_model
from lamarck.errors import LamarckError
from lamarck.evolve.file import InstalledText
from lamarck.evolve.text import Bytes
from lamarck.founder.check import check_founder
from tests.arch.kinds import FFN, MOE, PLAIN, genome_of
from tests.evolve.small import numpys_text


def founder(directory: Path, seq_len: int) -> Path:
    """Experts, a state space and a memory; the head is the embedding, the tokens are bytes."""
    memory = {"type": "retro", "memory_tokens": 3, "stride": 2}
    mixed = {"ssm": {"d_inner": 16, "d_state": 4, "heads": 4, "chunk": 8}, "ffn": FFN, "extras": [memory]}
    genome = genome_of({"attn": PLAIN, "ffn": MOE}, mixed, emb={"dim": 16, "vocab": 257})
    genome = genome.model_copy(update={"data": genome.data.model_copy(update={"seq_len": seq_len})})
    build_model(genome, 0).save_pretrained(directory)
    Bytes(InstalledText.model_validate(numpys_text()), Data(seq_len=48)).tokenizer().save_pretrained(directory)
    return directory


def test_what_is_not_a_llama_can_be_raised(tmp_path: Path) -> None:
    """Our trainer's loss and logits are its own, and our engine's texts those of `generate`, padded and cached."""
    found = check_founder(founder(tmp_path, 256))
    assert (found.model_type, found.context, found.ends) == ("lamarck_genome", 256, ["<|end|>"])
    assert found.generated and found.logits_difference < 1e-5


def test_rows_too_short_for_a_problem_are_said(tmp_path: Path) -> None:
    with pytest.raises(LamarckError, match="reads texts of 48 tokens at most"):
        check_founder(founder(tmp_path, 48))
