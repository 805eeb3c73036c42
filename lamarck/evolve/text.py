"""What candidates read: rows to learn from, and held-out blocks on which they are measured.

Bits per byte: the nats of every token that is predicted, over the bytes that these tokens stand for, so that models
with other tokens can be compared. Whole files are held out, and lines of theirs that stand in a learned file as well
are left out.
"""

import fnmatch
import hashlib
import importlib.metadata
import math
import random
from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from lamarck.arch.genome import Data
from lamarck.arch.model import IGNORED
from lamarck.errors import LamarckError
from lamarck.evolve.file import InstalledText, Text, WorldText
from lamarck.seeds import seed_for

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

BLOCKS = 16  # of held-out text: what candidates are compared on, pair by pair
BLOCK_ROWS = 4
HELD_OUT_OF = 20  # of so many files one is held out
SHORT_LINE = 20  # bytes
LEAST_BYTES = 2_000_000
END = 256  # behind the 256 bytes: it begins every row, and ends every text
PROMPT_SHARE = 0.1  # of a problem's words that count in the loss: they are random, its answer is not


@dataclass(frozen=True)
class Rows:
    """ids and labels: (rows, tokens); a label is -100 where nothing is to be predicted. `bytes`: of what is."""

    ids: torch.Tensor
    labels: torch.Tensor
    bytes: int = 0


class Bytes:
    """Files of an installed package, a byte a token."""

    vocab = 257

    def __init__(self, text: InstalledText, data: Data) -> None:
        self.data = data
        self._learned, self._held = _learned_and_held(text)
        need = BLOCKS * BLOCK_ROWS * (data.seq_len - 1)
        if len(self._held) < need:
            raise LamarckError(
                f"text: {text.distribution} has {len(self._held):,} held-out bytes, and {need:,} are needed: name more "
                "files, or a smaller data.seq_len"
            )

    def batch(self, seed: int, step: int) -> Rows:
        """The rows of a step of a training."""
        rng = random.Random(seed_for(seed, "rows", str(step)))
        size = self.data.seq_len - 1
        starts = [rng.randrange(len(self._learned) - size) for _ in range(self.data.batch_size)]
        return _whole([self._learned[start : start + size] for start in starts])

    @cached_property
    def blocks(self) -> tuple[Rows, ...]:
        """Held-out rows from all over the held-out files, the same for every candidate."""
        size = self.data.seq_len - 1
        count = BLOCKS * BLOCK_ROWS
        stride = (len(self._held) - size) // max(1, count - 1)
        rows = [self._held[place * stride : place * stride + size] for place in range(count)]
        return tuple(_whole(rows[place * BLOCK_ROWS : (place + 1) * BLOCK_ROWS]) for place in range(BLOCKS))

    def tokenizer(self) -> "PreTrainedTokenizerFast":
        """Bytes as tokens: the id of a byte is the byte."""
        from tokenizers import Tokenizer, decoders
        from tokenizers.models import BPE
        from tokenizers.pre_tokenizers import ByteLevel
        from transformers import PreTrainedTokenizerFast
        from transformers.convert_slow_tokenizer import bytes_to_unicode

        letters = {letter: byte for byte, letter in bytes_to_unicode().items()}
        made = Tokenizer(BPE(vocab={**letters, "<|end|>": END}, merges=[]))
        made.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=False)
        made.decoder = decoders.ByteLevel()
        return PreTrainedTokenizerFast(
            tokenizer_object=made, eos_token="<|end|>", pad_token="<|end|>", clean_up_tokenization_spaces=False
        )


class World:
    """The problems of a tiny world, a word a token."""

    def __init__(self, text: WorldText, data: Data) -> None:
        from lamarck.config import load_config
        from lamarck.config.tiny import TinyFounder
        from lamarck.founder.tokenizer import build_tokenizer
        from lamarck.skills import get_tagged_skill
        from lamarck.skills.base import PROMPT_END
        from lamarck.suites.suite import held_out_prompts, load_suite

        config = load_config(Path(text.configfile))
        if not isinstance(config.founder, TinyFounder):
            raise LamarckError(f"text.configfile: the founder of {text.configfile} is {config.founder.kind}, not tiny")
        self.data, self.world = data, config.founder
        self._exclude = held_out_prompts(load_suite(Path(config.suite)))
        words = [PROMPT_END, *(word for name in self.world.skills for word in get_tagged_skill(name).vocabulary())]
        self._tokenizer = build_tokenizer(words)
        self._ids = self._tokenizer.get_vocab()
        self.vocab = len(self._tokenizer)
        self._held = self._problems(0, "held out", BLOCKS * BLOCK_ROWS, frozenset())
        self._held_prompts = frozenset(prompt for prompt, _ in self._held)

    def _problems(self, seed: int, what: str, count: int, also: frozenset[str]) -> list[tuple[str, str]]:
        from lamarck.skills.corpus import corpus

        drawn = corpus(self.world, seed_for(seed, what), self._exclude | also)
        return [(problem.prompt, problem.completion) for _, problem in islice(drawn, count)]

    def batch(self, seed: int, step: int) -> Rows:
        problems = self._problems(seed, f"rows {step}", self.data.batch_size, self._held_prompts)
        return self._rows(problems, random.Random(seed_for(seed, "counted", str(step))))

    @cached_property
    def blocks(self) -> tuple[Rows, ...]:
        return tuple(
            self._rows(self._held[place * BLOCK_ROWS : (place + 1) * BLOCK_ROWS], None) for place in range(BLOCKS)
        )

    def _rows(self, problems: list[tuple[str, str]], rng: random.Random | None) -> Rows:
        """Padded on the right. `rng` chooses the problems' words that count; without it every word does."""
        end, pad = self._ids[self._tokenizer.eos_token], self._ids[self._tokenizer.pad_token]
        ids, labels, size = [], [], 0
        for prompt, completion in problems:
            asked, answered = prompt.split(), completion.split()
            row = [self._ids[word] for word in (*asked, *answered)] + [end]
            size += len(f"{prompt} {completion}\n".encode()) - len(asked[0].encode())
            ids.append(row[: self.data.seq_len])
            counted = [rng is None or rng.random() < PROMPT_SHARE for _ in asked] + [True] * (len(answered) + 1)
            labels.append(
                [token if keep else IGNORED for token, keep in zip(row, counted, strict=True)][: self.data.seq_len]
            )
        longest = max(map(len, ids))
        return Rows(
            torch.tensor([row + [pad] * (longest - len(row)) for row in ids]),
            torch.tensor([row + [IGNORED] * (longest - len(row)) for row in labels]),
            size,
        )

    def tokenizer(self) -> "PreTrainedTokenizerFast":
        return self._tokenizer


Corpus = Bytes | World


def corpus_of(text: Text, data: Data) -> Corpus:
    """Errors: LamarckError where the text is not the pinned one, is too short, or is no tiny world's."""
    return Bytes(text, data) if isinstance(text, InstalledText) else World(text, data)


def licence_of(text: Text) -> str:
    """As the package names it; the tiny world's problems are of this project's own generators."""
    if isinstance(text, WorldText):
        return "Apache-2.0"
    said = importlib.metadata.metadata(text.distribution).json
    return str(said.get("license_expression") or said.get("license") or "unknown").splitlines()[0]


def digest_of(text: Text) -> str:
    """Of what is read. Errors: LamarckError for a configuration that is not valid."""
    from lamarck.config import load_config
    from lamarck.files import digest_value

    if isinstance(text, InstalledText):
        return text.sha256  # which `installed_files` holds it to
    config = load_config(Path(text.configfile))
    return digest_value([config.founder.digest(), config.suite])


def installed_files(text: InstalledText) -> dict[str, bytes]:
    """Name -> bytes of the package's files. Errors: LamarckError where it is not installed, or is another than pinned.

    What an installation writes itself is left out: it differs from machine to machine.
    """
    try:
        distribution = importlib.metadata.distribution(text.distribution)
    except importlib.metadata.PackageNotFoundError as error:
        raise LamarckError(f"text: {text.distribution} is not installed: `make .venv/installed`") from error
    if distribution.version != text.version:
        raise LamarckError(
            f"text: {text.distribution} {distribution.version} is installed, and {text.version} is pinned: install "
            "that, or pin another and its sha256"
        )
    chosen = sorted(
        str(path)
        for path in distribution.files or ()
        if fnmatch.fnmatch(path.name, text.files) and path.hash is not None and not path.name.startswith("__config__")
    )
    contents = {name: Path(str(distribution.locate_file(name))).read_bytes() for name in chosen}
    found = hashlib.sha256(b"".join(contents.values())).hexdigest()
    if found != text.sha256:
        raise LamarckError(f"text: the files of {text.distribution} have the sha256 {found}, which is not the pinned")
    if sum(map(len, contents.values())) < LEAST_BYTES:
        raise LamarckError(f"text: {text.distribution} has less than {LEAST_BYTES:,} bytes of {text.files}: name more")
    return contents


@lru_cache(maxsize=1)
def _learned_and_held(text: InstalledText) -> tuple[torch.Tensor, torch.Tensor]:
    """The tokens of either part; read once in a process. Errors: as `installed_files`."""
    contents = installed_files(text)
    learned = [content for name, content in contents.items() if not _is_held_out(name)]
    known = {line for content in learned for line in content.split(b"\n")}
    held = [_unknown(content, known) for name, content in contents.items() if _is_held_out(name)]
    return _tokens(learned), _tokens(held)


def _is_held_out(name: str) -> bool:
    """Whole files, so that no passage is on both sides."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % HELD_OUT_OF == 0


def _unknown(content: bytes, known: Container[bytes]) -> bytes:
    """Without the lines that are known, but for short ones, such as `return None`, of which all code is made."""
    lines = content.split(b"\n")
    return b"\n".join(line for line in lines if len(line.strip()) < SHORT_LINE or line not in known)


def _tokens(contents: Sequence[bytes]) -> torch.Tensor:
    """All files one behind the other. (tokens,)"""
    parts = [torch.frombuffer(bytearray(content), dtype=torch.uint8).long() for content in contents if content]
    return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.long)


def _whole(rows: list[torch.Tensor]) -> Rows:
    """Rows of text behind the token that begins each; every byte is predicted."""
    ids = torch.stack([torch.cat([torch.tensor([END]), row]) for row in rows])
    return Rows(ids, ids, ids.numel() - len(rows))


def bits(nats: float, size: int) -> float:
    """Bits per byte. Errors: LamarckError for no byte: a mean over nothing is no score."""
    if size < 1:
        raise LamarckError("there is no held-out text to measure on: name more files in `text`")
    return nats / math.log(2) / size
