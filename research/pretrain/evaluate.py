"""The metric, val_bpb: bits per byte of text that no experiment had. None of the candidate's code is in its room.

    val_bpb = nats of all targets / (ln 2 x bytes of all targets), targets without bytes (BOS) left out

The candidate says logits, never a loss: what they are worth is computed here. It sees whole rows, so a model could look
at the token that it is to say. Therefore half of the rows are asked about once more with another end, anywhere in the
stream: whatever it said before that end, and just there, has to be the same.
"""

import json
import os
import random
import secrets
import struct
import sys
from pathlib import Path

import numpy as np

ROWS, LENGTH, BATCH = 96, 128, 16
TOLERANCE = 0.002  # of a logit: rows are summed in another order beside other rows
DATA = Path("data")


def main() -> None:
    bytes_of = np.array(json.loads((DATA / "token_bytes.json").read_text()))
    tokens = np.frombuffer((DATA / "evaluation.bin").read_bytes(), dtype=np.uint16).astype(np.int32)
    rows = tokens[: ROWS * (LENGTH + 1)].reshape(ROWS, LENGTH + 1)
    others = tokens[ROWS * (LENGTH + 1) :]
    rng = random.Random(secrets.randbits(64))  # where the ends are, nobody can know
    checked = rng.sample(range(ROWS), ROWS // 2)
    ends = {row: rng.randrange(1, LENGTH - 1) for row in checked}
    asked = [(row, False) for row in range(ROWS)] + [(row, True) for row in checked]
    rng.shuffle(asked)
    said: dict[tuple[int, bool], np.ndarray] = {}
    nats = np.zeros(ROWS)
    with os.fdopen(3, "rb", closefd=False) as answers, os.fdopen(os.dup(3), "wb") as questions:
        for start in range(0, len(asked), BATCH):
            batch = asked[start : start + BATCH]
            inputs = np.stack([_input(rows[row], ends[row] if again else None, others, rng) for row, again in batch])
            logits = _ask(questions, answers, inputs, len(bytes_of))
            for (row, again), each in zip(batch, logits, strict=True):
                if not again:
                    nats[row] = _nats(each, rows[row, 1:], bytes_of)
                if row in ends:
                    said[row, again] = each[: ends[row] + 1]
    for row in checked:
        if not np.abs(said[row, False] - said[row, True]).max() <= TOLERANCE:
            sys.exit("ValueError: the model looks at what it is to say")
    targets = rows[:, 1:]
    print(f"val_bpb: {nats.sum() / (np.log(2) * bytes_of[targets].sum()):.6f}")


def _input(row: np.ndarray, end: int | None, others: np.ndarray, rng: random.Random) -> np.ndarray:
    """A row without its last token; behind `end`, where there is one, comes another passage."""
    if end is None:
        return row[:-1]
    start = rng.randrange(len(others) - LENGTH)
    return np.concatenate([row[: end + 1], others[start : start + LENGTH - end - 1]])


def _ask(questions: object, answers: object, inputs: np.ndarray, vocabulary: int) -> np.ndarray:
    """(rows, tokens) -> logits (rows, tokens, vocabulary)."""
    rows, length = inputs.shape
    questions.write(struct.pack("<ii", rows, length) + inputs.astype(np.int32).tobytes())  # type: ignore[attr-defined]
    questions.flush()  # type: ignore[attr-defined]
    size = 4 * rows * length * vocabulary
    content = answers.read(size)  # type: ignore[attr-defined]
    if len(content) != size:
        sys.exit("ValueError: the candidate stopped answering")
    logits = np.frombuffer(content, dtype=np.float32).reshape(rows, length, vocabulary).astype(np.float64)
    if not np.isfinite(logits).all():
        sys.exit("ValueError: the candidate's logits are no numbers")
    return logits


def _nats(logits: np.ndarray, targets: np.ndarray, bytes_of: np.ndarray) -> float:
    """Cross-entropy of the targets that have bytes, summed."""
    highest = logits.max(axis=-1)
    total = np.log(np.exp(logits - highest[:, None]).sum(axis=-1)) + highest
    each = total - np.take_along_axis(logits, targets[:, None].astype(np.int64), axis=-1)[:, 0]
    return float(each[bytes_of[targets] > 0].sum())


if __name__ == "__main__":
    main()
