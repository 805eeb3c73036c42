"""Near duplicates: texts whose runs of characters overlap, found by MinHash and locality-sensitive hashing."""

from rensa import RMinHash, RMinHashLSH

CHARACTERS = 5  # of a shingle
SIMILAR = 0.8  # Jaccard similarity of the shingles of near duplicates (Lee et al. 2022, arXiv:2107.06499)
PERMUTATIONS, BANDS = 128, 16
SEED = 1


class Near:
    """Texts by number, and which of them a text is near."""

    def __init__(self) -> None:
        self._index = RMinHashLSH(threshold=SIMILAR, num_perm=PERMUTATIONS, num_bands=BANDS)
        self._hashes: list[RMinHash] = []

    @property
    def size(self) -> int:
        return len(self._hashes)

    def add(self, text: str) -> None:
        self._insert(_min_hash(text))

    def matches_then_add(self, text: str) -> list[int]:
        """The numbers of the earlier texts that `text` is near; from now on it is one of them."""
        hashed = _min_hash(text)
        matches = [number for number in self._index.query(hashed) if hashed.jaccard(self._hashes[number]) >= SIMILAR]
        self._insert(hashed)
        return matches

    def _insert(self, hashed: RMinHash) -> None:
        self._index.insert(len(self._hashes), hashed)
        self._hashes.append(hashed)


def shingles(text: str) -> list[str]:
    """Runs of characters; a text shorter than one is its own."""
    return [text[start : start + CHARACTERS] for start in range(len(text) - CHARACTERS + 1)] or [text]


def _min_hash(text: str) -> RMinHash:
    hashed = RMinHash(num_perm=PERMUTATIONS, seed=SEED)
    hashed.update(sorted(set(shingles(text))))
    return hashed
