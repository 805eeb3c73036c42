"""What is a copy of a suite's held-out problem: admission.py, and whoever else takes a problem in, refuses it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

from lamarck.errors import Malformed
from lamarck.skills import SKILLS, Skill, get_skill
from lamarck.suites.suite import held_out_prompts, load_suite

GRAM = 8
# Of what varies in a problem more than this, and of words in runs more than this, are a copy. Up to five parts that is
# all of them; the first four steps of a story are no rarity.
COPIED, COPIED_WORDS = 0.8, 0.5


class Overlap(NamedTuple):
    """A held-out problem, and how much of another problem stands in it.

    text      the same words, whatever their case and the white space between them
    varies    parts of what varies in problems of the skill; `share` is of the larger problem's parts
    grams     runs of eight words; `share` is of the other problem's words, in runs of any such held-out problem
    """

    prompt: str
    share: float
    by: Literal["text", "varies", "grams"]


class Contamination:
    """The held-out problems of a suite, and what overlaps them.

    A problem that its skill can read is compared on what varies in it (`Skill.what_varies`), with one held-out problem
    at a time: what all problems of a skill have in common says nothing. Held-out prompts that no skill can read are
    looked for as runs of words: overlap is 8-grams that cover more than half of a problem's words (Tulu 3,
    arXiv:2411.15124, section 3.2).
    """

    def __init__(self, held_out: Iterable[str]) -> None:
        self.prompts = sorted(held_out)
        self._texts = {_folded(prompt): prompt for prompt in self.prompts}
        self._sizes: dict[int, int] = {}  # number of a prompt that a skill can read -> of parts
        self._holders: dict[tuple[str, str], list[int]] = {}  # (skill, part) -> numbers of the prompts that have it
        self._grams: dict[tuple[str, ...], str] = {}
        for number, prompt in enumerate(self.prompts):
            for name, parts in _readings(prompt):
                self._sizes[number] = len(parts)
                for part in parts:
                    self._holders.setdefault((name, part), []).append(number)
            if number not in self._sizes:
                self._grams |= dict.fromkeys(grams(_folded(prompt)), prompt)

    def largest(self, skill: str, prompt: str) -> Overlap | None:
        """The largest overlap of a problem of `skill`, or None. Errors: LamarckError where there is no such skill."""
        folded = _folded(prompt)
        if same := self._texts.get(folded):
            return Overlap(same, 1.0, "text")
        found = [each for each in (self._varies(skill, prompt), self._runs(folded)) if each]
        return max(found, key=lambda each: each.share, default=None)

    def copied(self, skill: str, prompt: str) -> Overlap | None:
        """The overlap for which a problem may not enter a curriculum, None where it may. Errors: as `largest`."""
        found = self.largest(skill, prompt)
        return found if found and found.share > (COPIED_WORDS if found.by == "grams" else COPIED) else None

    def copied_anywhere(self, prompt: str) -> Overlap | None:
        """The overlap of a problem of no known skill, for which it may not enter a curriculum: it is a copy by what
        varies in problems of any skill, or has a held-out problem in it, whatever stands around that."""
        folded = _folded(prompt)
        within = next((held for text, held in self._texts.items() if text in folded), None)
        if within is not None:
            return Overlap(within, 1.0, "text")
        return next((found for name in SKILLS if (found := self.copied(name, prompt))), None)

    def _varies(self, skill: str, prompt: str) -> Overlap | None:
        parts = _remembered_parts(get_skill(skill), prompt)
        shared = Counter(number for part in parts for number in self._holders.get((skill, part), ()))
        shares = {number: count / max(len(parts), self._sizes[number]) for number, count in shared.items()}
        best = max(shares, key=shares.__getitem__, default=None)
        return None if best is None else Overlap(self.prompts[best], shares[best], "varies")

    def _runs(self, folded: str) -> Overlap | None:
        if not self._grams:
            return None
        covered: set[int] = set()
        sources: Counter[str] = Counter()
        for start, gram in enumerate(grams(folded)):
            if source := self._grams.get(gram):
                covered.update(range(start, start + GRAM))
                sources[source] += 1
        return Overlap(sources.most_common(1)[0][0], len(covered) / len(folded.split()), "grams") if covered else None


def contaminations(suite: Path) -> dict[str, Contamination]:
    """Name -> held-out problems, of the suite in directory `suite` and of every one beside it."""
    files = sorted(suite.parent.glob("*/suite.yaml"))
    return {file.parent.name: Contamination(held_out_prompts(load_suite(file.parent))) for file in files}


def kept_out(suites: Mapping[str, Contamination]) -> Contamination:
    """What no curriculum of a lineage may hold: problems of its own suite, and of every one beside that."""
    return Contamination(frozenset[str]().union(*(each.prompts for each in suites.values())))


def grams(text: str, size: int = GRAM) -> list[tuple[str, ...]]:
    """Every run of `size` words of a text, in order."""
    words = text.split()
    return [tuple(words[start : start + size]) for start in range(len(words) - size + 1)]


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _parts(skill: Skill, prompt: str) -> frozenset[str]:
    """What varies in a prompt; nothing where it is no problem of the skill."""
    try:
        return skill.what_varies(prompt)
    except Malformed:
        return frozenset()


# Every suite asks again: of a curriculum's problems, and of its own, which others hold as well.
_remembered_parts = lru_cache(maxsize=1 << 14)(_parts)


@lru_cache(maxsize=1 << 16)
def _readings(prompt: str) -> tuple[tuple[str, frozenset[str]], ...]:
    """(skill, what varies in a prompt), of every skill that can read it."""
    return tuple((name, parts) for name, skill in SKILLS.items() if (parts := _parts(skill, prompt)))
