"""What is measured, and that it cannot be had for nothing."""

import math
import random

import pytest
import torch

from lamarck.arch.model import build_model
from lamarck.errors import LamarckError
from lamarck.evolve.file import InstalledText, Probes
from lamarck.evolve.measure import bits_per_byte, kept_bytes
from lamarck.evolve.probes import ASKED, CHANCE, KEYS, MARK, accuracy, mixed, probe_rows
from lamarck.evolve.text import END, Bytes, Rows, installed_files
from lamarck.evolve.training import rate
from tests.arch.kinds import genome_of
from tests.evolve.small import SEED, numpys_text
from tests.evolve.training import taught

CPU = torch.device("cpu")
DATA = SEED.data.model_copy(update={"seq_len": 48, "batch_size": 16})


@pytest.fixture(scope="module")
def text() -> Bytes:
    return Bytes(InstalledText.model_validate(numpys_text()), DATA)


class Says(torch.nn.Module):
    """A model whose logits are given by its input alone; as much of a transformers model as measuring needs."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.table = logits  # (vocab, vocab)

    def forward(self, ids: torch.Tensor, labels: torch.Tensor | None = None, **unused: object) -> object:
        from lamarck.arch.model import GenomeOutput, shifted_loss

        logits = self.table[ids]
        return GenomeOutput(None if labels is None else shifted_loss(logits, labels), logits)


def test_uniform_guesses_take_the_logarithm_of_the_vocabulary(text: Bytes) -> None:
    found = bits_per_byte(Says(torch.zeros(257, 257)), text.blocks, CPU)
    assert len(found) == 16 and found == pytest.approx([math.log2(257)] * 16)


def test_copying_the_current_token_earns_nothing(text: Bytes) -> None:
    """An unshifted loss, as that of the sources, would call it perfect."""
    copies = torch.eye(257) * 20
    assert min(bits_per_byte(Says(copies), text.blocks, CPU)) > math.log2(257)
    unshifted = torch.nn.functional.cross_entropy(
        copies[text.blocks[0].ids].flatten(0, 1), text.blocks[0].ids.flatten()
    )
    assert float(unshifted) < 1e-5


def test_nothing_to_measure_on_is_an_error(text: Bytes) -> None:
    """In the sources zero batches were a perplexity of 1."""
    model = Says(torch.zeros(257, 257))
    with pytest.raises(LamarckError, match="no held-out block"):
        bits_per_byte(model, (), CPU)
    empty = Rows(text.blocks[0].ids, torch.full_like(text.blocks[0].ids, -100), 10)
    with pytest.raises(LamarckError, match="no token to predict"):
        bits_per_byte(model, (empty,), CPU)


def test_held_out_text_is_not_learned_from(text: Bytes) -> None:
    """Docstrings are copied from file to file: a held-out line of some length that is learned elsewhere is left out."""
    learned = set(bytes(text._learned.tolist()).split(b"\n"))
    held = bytes(text._held.tolist()).split(b"\n")
    assert len(held) > 5000 and not [line for line in held if len(line.strip()) >= 20 and line in learned]
    assert all(row[0] == END for block in text.blocks for row in block.ids.tolist())
    assert text.blocks[0].bytes == 4 * 47
    first, again, other = text.batch(1, 5), text.batch(1, 5), text.batch(1, 6)
    assert torch.equal(first.ids, again.ids) and not torch.equal(first.ids, other.ids)


def test_bytes_are_their_own_tokens(text: Bytes) -> None:
    tokenizer = text.tokenizer()
    words = 'for each in range(3): "déjà vu"\n\ttoken <|end|> '
    ids = tokenizer(words, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert ids == list(words.encode()) and tokenizer.decode(ids) == words
    assert tokenizer.eos_token_id == END


def test_a_text_that_is_not_the_pinned_one_is_refused() -> None:
    pinned = numpys_text()
    for change, sentence in (
        ({"version": "1.0"}, "is pinned: install that"),
        ({"distribution": "no-such-package"}, "is not installed"),
        ({"sha256": "0" * 64}, "not the pinned"),
        ({"files": "no-such-file"}, "not the pinned"),
    ):
        with pytest.raises(LamarckError, match=sentence):
            installed_files(InstalledText.model_validate(pinned | change))


PROBES = Probes(share=0.5, gap=24, pairs=3)


def test_probes_ask_for_what_stands_a_gap_before() -> None:
    passkeys = probe_rows("passkey", PROBES, 48, 50, 0)
    for row in passkeys.ids.tolist():
        assert row[0] == END and row[-2] == MARK and row[-2 - PROBES.gap] == row[-1] and row.count(MARK) == 2
    assert (passkeys.labels != -100).sum(1).tolist() == [1] * 50
    for row in probe_rows("recall", PROBES, 48, 50, 0).ids.tolist():
        key = row[-2]
        assert key in KEYS and row[row.index(key) + 1] == row[-1]
        assert PROBES.gap <= len(row) - 2 - (row.index(key) + 1) <= PROBES.gap + 2 * (PROBES.pairs - 1)
    rows = mixed(Rows(torch.zeros(8, 48, dtype=torch.long), torch.zeros(8, 48, dtype=torch.long)), PROBES, 0, 0)
    assert (rows.ids[:, 0] == END).sum() == 4 and rows.ids.shape == (8, 48)


def test_a_window_below_the_gap_must_fail() -> None:
    """One layer that sees all learns the passkey in a few hundred steps; the same with a window can only guess."""
    attention = {"kind": "MHA", "heads": 2, "head_dim": 16, "rope": "none"}
    block = {"attn": attention, "ffn": {"type": "dense", "hidden": 32}}
    narrow = {"attn": {**attention, "sparsity": "sliding", "window": PROBES.gap - 1}, "ffn": block["ffn"]}
    found = {}
    for name, each in (("all", block), ("window", narrow)):
        genome = genome_of(each, emb={"dim": 32, "vocab": 257, "init_std": 0.1})
        model = taught(build_model(genome, 0), lambda step: probe_rows("passkey", PROBES, 48, 16, 1000 + step), 150)
        found[name] = accuracy(model, probe_rows("passkey", PROBES, 48, ASKED, 1), CPU)
    luck = 4 * math.sqrt(CHANCE * (1 - CHANCE) / ASKED)
    assert found["all"] > 0.9, found
    assert found["window"] < CHANCE + luck, found


def test_memory_is_that_of_weights_and_cache() -> None:
    from lamarck.arch.costs import cost

    model = build_model(SEED, 0)
    computed = cost(SEED, 48)
    assert kept_bytes(model, 48, CPU) == 4 * computed.parameters + computed.cache


def test_a_short_training_is_the_beginning_of_a_full_one() -> None:
    rates = [rate(step, 100, 10) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9:80] == pytest.approx([1.0] * 71)
    assert rates[-1] == pytest.approx(0.1 + 0.9 / 20) and rates == sorted(rates[:10]) + rates[10:]


def test_seeds_of_the_dice_are_named() -> None:
    """The same name gives the same rows, whatever else was drawn before."""
    first = probe_rows("recall", PROBES, 48, 4, 7).ids
    random.random()
    assert torch.equal(first, probe_rows("recall", PROBES, 48, 4, 7).ids)
