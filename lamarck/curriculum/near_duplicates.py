"""Which texts are nearly those of earlier items: admission.py refuses them."""

from rensa import RMinHash, RMinHashLSH

CHARACTERS = 5  # of a shingle
SIMILAR = 0.8  # Jaccard similarity of the shingles of near duplicates (Lee et al. 2022, arXiv:2107.06499)
# A pair of similarity s shares a band with probability 1 - (1 - s^8)^32: .997 at SIMILAR, .12 at half similarity.
PERMUTATIONS, BANDS = 256, 32
SEED = 1


class Near:
    """Texts by number, and which of them a text is near: candidates by MinHash and locality-sensitive hashing, each of
    which is then compared whole."""

    def __init__(self) -> None:
        self._index = RMinHashLSH(threshold=SIMILAR, num_perm=PERMUTATIONS, num_bands=BANDS)
        self._texts: list[str] = []

    @property
    def size(self) -> int:
        return len(self._texts)

    def add(self, text: str) -> None:
        self._index.insert(len(self._texts), _min_hash(set(shingles(text))))
        self._texts.append(text)

    def matches(self, text: str) -> list[int]:
        """The numbers of the texts that `text` is near."""
        own = set(shingles(text))
        return [number for number in self._index.query(_min_hash(own)) if self._is_near(own, self._texts[number])]

    def _is_near(self, own: set[str], text: str) -> bool:
        other = set(shingles(text))
        shared = len(own & other)
        return shared >= SIMILAR * (len(own) + len(other) - shared)


def shingles(text: str) -> list[str]:
    """Runs of characters; a text shorter than one is its own."""
    return [text[start : start + CHARACTERS] for start in range(len(text) - CHARACTERS + 1)] or [text]


def _min_hash(own: set[str]) -> RMinHash:
    hashed = RMinHash(num_perm=PERMUTATIONS, seed=SEED)
    hashed.update(sorted(own))
    return hashed
