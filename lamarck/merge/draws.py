"""Uniform numbers for the methods that drop parameters at random.

The rule: the numbers of one tensor of one source come from a Philox generator whose key is
seed_for(seed, document, output tensor, position of the source). Nothing else enters, so tensors may be merged in any
order, or again after an interruption, and each gets the same numbers.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor

from lamarck.seeds import seed_for

# Given a number of elements, the next that many uniform numbers in [0, 1), float32.
Draw = Callable[[int], Tensor]


def draw_for(seed: int, document: str, tensor: str, source: int) -> Draw:
    """The draws of the `source`-th source of an output tensor; elements are asked for in the order they lie in."""

    @cache
    def generator() -> np.random.Generator:
        """Made when it is first asked: most methods draw nothing."""
        return np.random.Generator(np.random.Philox(key=seed_for(seed, document, tensor, str(source))))

    return lambda count: torch.from_numpy(generator().random(count, dtype=np.float32))
