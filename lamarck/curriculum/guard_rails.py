"""What tells a chain of curricula that collapses from one that does not, measured of each one; see limits.py."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from lamarck.curriculum.item import Item
from lamarck.curriculum.near_duplicates import Near, shingles
from lamarck.curriculum.suite_overlap import Contamination, grams

VENDI_SAMPLE = 400  # its kernel is solved whole
REFUSAL = re.compile(
    r"\b(i('m| am) (sorry|unable)|i (can't|cannot|can not|won't)|as an ai|as a language model|here is (a|the|your)"
    r"|sure[,!]|certainly[,!]|of course[,!])",
    re.IGNORECASE,
)


def measure(
    written: Sequence[Item],
    replayed: Sequence[Item],
    anchors: Sequence[Item],
    earlier: Iterable[Sequence[Item]],
    suites: Mapping[str, Contamination],
    acceptance: float,
    cells_asked: int,
) -> dict[str, float]:
    """Measure -> value, of the `written` items and, as an archive to be new against, the `earlier` curricula's own.

    acceptance          items kept / texts and further answers sampled
    replayed            share of the problems that earlier generations wrote
    anchored            share of the problems that come from the founder's own data
    near_duplicates     share of the items that are near an earlier one of the same curriculum
    novelty             share of the items that are near none of the archive
    vendi               effective number of different items in a sample (Friedman & Dieng 2022, arXiv:2210.02410)
    distinct_1, _2      different words, word pairs / all
    vocabulary          different words
    coverage            effective share of the cells asked for, by the entropy of the items over them
    prompt_words, completion_words    mean lengths
    boilerplate         share of the items that refuse, apologise or chat
    overlap_SUITE       share of the items that are copies of a suite's held-out problems
    overlap             the largest of these
    """
    prompts = [item.prompt for item in written]
    problems = len(written) + len(replayed) + len(anchors)
    index = Near()
    novel = 0
    for curriculum in earlier:
        for item in curriculum:
            index.add(item.prompt)
    archive = index.size
    near = 0
    for prompt in prompts:
        matches = index.matches(prompt)
        index.add(prompt)
        novel += not any(match < archive for match in matches)
        near += any(match >= archive for match in matches)
    found = {
        "acceptance": acceptance,
        "replayed": len(replayed) / problems,
        "anchored": len(anchors) / problems,
        "near_duplicates": near / len(prompts),
        "novelty": novel / len(prompts),
        "vendi": vendi(evenly(prompts, VENDI_SAMPLE)),
        "distinct_1": distinct_ngrams(prompts, 1),
        "distinct_2": distinct_ngrams(prompts, 2),
        "vocabulary": float(len({word for prompt in prompts for word in prompt.split()})),
        "coverage": _effective(Counter((item.skill, item.difficulty) for item in written)) / cells_asked,
        "prompt_words": _mean_words(prompts),
        "completion_words": _mean_words([item.completion for item in written]),
        "boilerplate": sum(bool(REFUSAL.search(f"{item.prompt} {item.completion}")) for item in written) / len(prompts),
    }
    for name, contamination in suites.items():
        copied = sum(contamination.copied(item.skill, item.prompt) is not None for item in written)
        found[f"overlap_{name}"] = copied / len(prompts)
    found["overlap"] = max((value for name, value in found.items() if name.startswith("overlap_")), default=0.0)
    return {name: round(value, 6) for name, value in found.items()}


def evenly(texts: Sequence[str], number: int) -> Sequence[str]:
    """So many of the texts, or all there are, from the first cell to the last alike."""
    return [texts[place * len(texts) // number] for place in range(number)] if len(texts) > number else texts


def vendi(texts: Sequence[str]) -> float:
    """exp of the entropy of the eigenvalues of K/n, K the cosine similarities of the texts' shingles: n where no two
    share one, 1 where all are the same."""
    vocabulary: dict[str, int] = {}
    rows = [Counter(vocabulary.setdefault(gram, len(vocabulary)) for gram in shingles(text)) for text in texts]
    vectors = np.zeros((len(rows), len(vocabulary)))
    for row, counts in enumerate(rows):
        vectors[row, list(counts)] = list(counts.values())
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    values = np.linalg.eigvalsh(vectors @ vectors.T / len(rows))
    positive = values[values > 1e-12]
    return float(np.exp(-(positive * np.log(positive)).sum()))


def distinct_ngrams(texts: Iterable[str], size: int) -> float:
    """distinct-n (Li et al. 2016, arXiv:1510.03055): different n-grams / all n-grams; 0 where there are none."""
    all_grams = [gram for text in texts for gram in grams(text, size)]
    return len(set(all_grams)) / len(all_grams) if all_grams else 0.0


def _effective(counts: Mapping[object, int]) -> float:
    """exp of the entropy: as many as there would be if all were equally frequent."""
    whole = sum(counts.values())
    return math.exp(-sum(count / whole * math.log(count / whole) for count in counts.values()))


def _mean_words(texts: Sequence[str]) -> float:
    return sum(len(text.split()) for text in texts) / len(texts)
