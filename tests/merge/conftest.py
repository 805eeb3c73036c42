"""Models that every test of merging may read."""

from pathlib import Path

import pytest

from tests.merge.models import make_model

# Another tokenizer: some words less, some more, in another order.
OTHER_WORDS = ["<pad>", "<eos>", "<unk>", "x0", "x1", "w5", "w3", "w1", "w7", "x2"]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """base, a, b and c of one tokenizer, more of another; float32."""
    root = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("base", "a", "b", "c")):
        make_model(root / name, seed)
    make_model(root / "more", 4, OTHER_WORDS)
    return root
