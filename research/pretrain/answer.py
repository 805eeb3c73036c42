"""In the candidate's room: answers the evaluator's questions with the trained model. Descriptor 3 leads to it.

A question is two numbers, rows and tokens, and that many tokens (int32 all); an answer is the logits (float32).
"""

import os
import struct

import numpy as np
import torch
import train

model = train.load(".")
with os.fdopen(3, "rb", closefd=False) as questions, os.fdopen(os.dup(3), "wb") as answers, torch.inference_mode():
    while head := questions.read(8):
        rows, length = struct.unpack("<ii", head)
        tokens = np.frombuffer(questions.read(4 * rows * length), dtype=np.int32).reshape(rows, length)
        logits = model(torch.from_numpy(tokens.astype(np.int64)))
        answers.write(logits.float().contiguous().numpy().tobytes())
        answers.flush()
