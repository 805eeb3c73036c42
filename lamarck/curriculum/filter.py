"""What may not enter a curriculum: repeats, and anything that overlaps the frozen suite."""

from collections.abc import Iterable

GRAM = 8


def grams(text: str, size: int = GRAM) -> list[tuple[str, ...]]:
    """Every run of `size` words of a text, in order."""
    words = text.split()
    return [tuple(words[start : start + size]) for start in range(len(words) - size + 1)]


class Contamination:
    """Overlap with held-out prompts: 8-grams that cover more than half of a prompt's words (Tulu 3,
    arXiv:2411.15124, section 3.2); for a prompt shorter than that, the same prompt."""

    def __init__(self, held_out: Iterable[str]) -> None:
        self._prompts = {" ".join(prompt.split()) for prompt in held_out}
        self._found: dict[int, frozenset[tuple[str, ...]]] = {}

    def overlaps(self, prompt: str) -> bool:
        return " ".join(prompt.split()) in self._prompts or self.covers_half(prompt, GRAM)

    def covers_half(self, prompt: str, size: int) -> bool:
        """Whether more than half of a prompt's words stand in runs of `size` words that a held-out prompt has too."""
        covered: set[int] = set()
        for start, gram in enumerate(grams(prompt, size)):
            if gram in self._grams(size):
                covered.update(range(start, start + size))
        return len(covered) > len(prompt.split()) / 2

    def _grams(self, size: int) -> frozenset[tuple[str, ...]]:
        if size not in self._found:
            self._found[size] = frozenset(gram for prompt in self._prompts for gram in grams(prompt, size))
        return self._found[size]
