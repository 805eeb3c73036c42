"""What changed from one curriculum to another, in kind and not only in count. Light."""

import re
import statistics
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from pydantic import BaseModel

from lamarck.curriculum.item import Item, mixed_in, own_items
from lamarck.lineage.contents import Card

# A word begins with a letter, or is a run of signs: digits are countless, and no kind of anything.
WORD = re.compile(r"[^\W\d_]\w*|[^\w\s]+")
EXAMPLES = 3


class Side(BaseModel):
    """One curriculum, in the numbers that are set beside the other's: items by where they come from, lengths in words
    of what its own teacher wrote."""

    generation: str
    parent: str
    own: int
    replayed: int
    anchors: int
    to_write: int
    edited: bool
    strategy: str
    measures: dict[str, float]
    prompt_words: tuple[float, int]  # median, longest
    completion_words: tuple[float, int]


class CellChange(BaseModel):
    """A cell on both sides; None where it was not asked for. `shift`: its share of the own items, in points."""

    skill: str
    difficulty: int
    pass_rate: tuple[float | None, float | None]
    kept: tuple[int, int]
    shift: float

    @property
    def kind(self) -> str:
        """gained: only the second has items there; lost: only the first."""
        if not all(self.kept):
            return "gained" if self.kept[1] else "lost" if self.kept[0] else ""
        return ""


class OwnVocabulary(BaseModel):
    """What only one side says: so many different words and word pairs, the most frequent of them with their counts."""

    words: int
    pairs: int
    frequent_words: dict[str, int]
    frequent_pairs: dict[str, int]


class ChangedExample(BaseModel):
    generation: str
    skill: str
    difficulty: int
    prompt: str
    completion: str


class CurriculumDifference(BaseModel):
    first: Side
    second: Side
    cells: list[CellChange]  # those that changed, most first
    unchanged_cells: int
    only_first: OwnVocabulary
    only_second: OwnVocabulary
    examples: list[ChangedExample]  # of the cells that changed most


def difference(
    first: tuple[Card, Sequence[Item]], second: tuple[Card, Sequence[Item]], frequent: int
) -> CurriculumDifference:
    """Compare two curricula, (card, items) each, by what their own teachers wrote; `frequent`: words to name a side."""
    card_1, card_2 = first[0], second[0]
    own_1, own_2 = (own_items(items, card.record.inputs["parent"]) for card, items in (first, second))
    cells = _cells(card_1, own_1, card_2, own_2)
    changed = [cell for cell in cells if cell.kind or cell.shift or cell.pass_rate[0] != cell.pass_rate[1]]
    changed.sort(key=lambda cell: (-abs(cell.shift), cell.skill, cell.difficulty))
    words_1, pairs_1 = _said(own_1)
    words_2, pairs_2 = _said(own_2)
    return CurriculumDifference(
        first=_side(card_1, first[1], own_1),
        second=_side(card_2, second[1], own_2),
        cells=changed,
        unchanged_cells=len(cells) - len(changed),
        only_first=_only(words_1, pairs_1, words_2, pairs_2, frequent),
        only_second=_only(words_2, pairs_2, words_1, pairs_1, frequent),
        examples=[example for cell in changed[:EXAMPLES] for example in _examples(cell, card_1, own_1, card_2, own_2)],
    )


def _side(card: Card, items: Sequence[Item], own: Sequence[Item]) -> Side:
    replayed, anchors = mixed_in(items, card.record.inputs["parent"])
    return Side(
        generation=card.generation,
        parent=card.parent,
        own=len(own),
        replayed=len(replayed),
        anchors=len(anchors),
        to_write=sum(item.task == "write" for item in items),
        edited=card.record.human_edited is not None,
        strategy=card.record.inputs["strategy"],
        measures=card.measures,
        prompt_words=_lengths([item.prompt for item in own]),
        completion_words=_lengths([item.completion for item in own]),
    )


def _lengths(texts: Sequence[str]) -> tuple[float, int]:
    counts = [len(text.split()) for text in texts] or [0]
    return statistics.median(counts), max(counts)


def _cells(card_1: Card, own_1: Sequence[Item], card_2: Card, own_2: Sequence[Item]) -> list[CellChange]:
    rates = [{(cell.skill, cell.difficulty): cell.pass_rate for cell in card.cells} for card in (card_1, card_2)]
    kept = [Counter((item.skill, item.difficulty) for item in own) for own in (own_1, own_2)]
    return [
        CellChange(
            skill=skill,
            difficulty=difficulty,
            pass_rate=(rates[0].get((skill, difficulty)), rates[1].get((skill, difficulty))),
            kept=(kept[0][skill, difficulty], kept[1][skill, difficulty]),
            shift=100 * (_share(kept[1][skill, difficulty], own_2) - _share(kept[0][skill, difficulty], own_1)),
        )
        for skill, difficulty in sorted(rates[0].keys() | rates[1].keys())
    ]


def _share(count: int, own: Sequence[Item]) -> float:
    """Of a curriculum; of an empty one nothing has any."""
    return count / len(own) if own else 0.0


def _said(items: Sequence[Item]) -> tuple[Counter[str], Counter[str]]:
    """Words, and pairs of neighbouring words, of problems and answers, with the number of items that have them."""
    words: Counter[str] = Counter()
    pairs: Counter[str] = Counter()
    for item in items:
        for text in (item.prompt, item.completion):
            found = WORD.findall(text)
            words.update(set(found))
            pairs.update({f"{left} {right}" for left, right in pairwise(found)})
    return words, pairs


def _only(
    words: Counter[str], pairs: Counter[str], other_words: Counter[str], other_pairs: Counter[str], frequent: int
) -> OwnVocabulary:
    """What `words` and `pairs` have and the others have not. A pair with a new word in it is no news of its own."""
    new_words = Counter({word: count for word, count in words.items() if word not in other_words})
    new_pairs = Counter(
        {
            pair: count
            for pair, count in pairs.items()
            if pair not in other_pairs and not any(word in new_words for word in pair.split(" "))
        }
    )
    return OwnVocabulary(
        words=len(new_words),
        pairs=len(new_pairs),
        frequent_words=dict(new_words.most_common(frequent)),
        frequent_pairs=dict(new_pairs.most_common(frequent)),
    )


def _examples(
    cell: CellChange, card_1: Card, own_1: Sequence[Item], card_2: Card, own_2: Sequence[Item]
) -> list[ChangedExample]:
    """One item of a cell: of the second curriculum, or of the first where the second has none."""
    for card, own in ((card_2, own_2), (card_1, own_1)):
        for item in own:
            if (item.skill, item.difficulty) == (cell.skill, cell.difficulty):
                return [
                    ChangedExample(
                        generation=card.generation,
                        skill=item.skill,
                        difficulty=item.difficulty,
                        prompt=item.prompt,
                        completion=item.completion,
                    )
                ]
    return []
