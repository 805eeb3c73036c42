"""What the tests that need a GPU share."""

import pytest
import torch

needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(),
    reason="a GPU is needed, and none is seen here: run `make test-gpu` where there is one",
)
