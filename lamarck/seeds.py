"""Seeds that follow from names: no draw in one stage can shift the draws of another."""

import hashlib


def seed_for(seed: int, *names: str) -> int:
    """A seed below 2**31 for the draw that `names` describe, e.g. seed_for(0, "g1", "curriculum")."""
    text = "\0".join([str(seed), *names])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
