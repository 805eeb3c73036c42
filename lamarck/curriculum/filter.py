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
        self.prompts = {" ".join(prompt.split()) for prompt in held_out}
        self.grams = {gram for prompt in self.prompts for gram in grams(prompt)}

    def overlaps(self, prompt: str) -> bool:
        words = prompt.split()
        if " ".join(words) in self.prompts:
            return True
        covered: set[int] = set()
        for start, gram in enumerate(grams(prompt)):
            if gram in self.grams:
                covered.update(range(start, start + GRAM))
        return len(covered) > len(words) / 2


def distinct_ngrams(texts: Iterable[str], size: int) -> float:
    """distinct-n (Li et al. 2016, arXiv:1510.03055): different n-grams / all n-grams; 0 where there are none."""
    all_grams = [gram for text in texts for gram in grams(text, size)]
    return round(len(set(all_grams)) / len(all_grams), 6) if all_grams else 0.0
