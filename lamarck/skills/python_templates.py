"""Problems of python_code from templates: steps over numbers, words or stock, chained. Light."""

import random
from collections.abc import Sequence
from typing import NamedTuple


class TemplateStep(NamedTuple):
    """A part of a template; one that returns another type than it takes can only be the last."""

    name: str
    rule: str
    code: str
    returns: str = ""


# The templates, by argument and its type: every sequence of steps that has an effect.
STEPS: dict[tuple[str, str], list[TemplateStep]] = {
    ("values", "list[int]"): [
        TemplateStep("drop_small", "leave out the numbers below {k}", "[each for each in values if each >= {k}]"),
        TemplateStep("sort_down", "sort the numbers from largest to smallest", "sorted(values, reverse=True)"),
        TemplateStep(
            "raise_odd", "add {k} to every odd number", "[each + {k} if each % 2 else each for each in values]"
        ),
        TemplateStep("cap", "replace every number above {k} by {k}", "[min(each, {k}) for each in values]"),
        TemplateStep("total", "return the sum of the numbers plus {k}", "sum(values) + {k}", "int"),
    ],
    ("text", "str"): [
        TemplateStep(
            "flip", "write every word backwards and leave it in its place", "' '.join(w[::-1] for w in text.split())"
        ),
        TemplateStep(
            "head", "keep only the first {k} words, or all when there are fewer", "' '.join(text.split()[:{k}])"
        ),
        TemplateStep(
            "drop_short", "leave out words shorter than {k}", "' '.join(w for w in text.split() if len(w) >= {k})"
        ),
        TemplateStep("mark", "replace every letter e by the digit {k}", "text.replace('e', '{k}')"),
        TemplateStep(
            "sizes", "return the length of every word plus {k}", "[len(w) + {k} for w in text.split()]", "list[int]"
        ),
    ],
    ("stock", "dict[str, int]"): [
        TemplateStep("drop_low", "leave out entries below {k}", "{{key: n for key, n in stock.items() if n >= {k}}}"),
        TemplateStep("restock", "add {k} to every number", "{{key: n + {k} for key, n in stock.items()}}"),
        TemplateStep(
            "brief", "leave out keys longer than {k}", "{{key: n for key, n in stock.items() if len(key) <= {k}}}"
        ),
        TemplateStep("names", "return the keys in alphabetical order, {k} at most", "sorted(stock)[:{k}]", "list[str]"),
    ],
}
WORDS = "pear lemon fig elder cherry date melon apple nut tangerine kiwi leek beet pea greens celery ice tea".split()


class SampledFunction(NamedTuple):
    """A function that was drawn: its signature, its rules, and seven calls with their values."""

    signature: str
    rules: list[str]
    facts: list[str]
    code: str


def sample(rng: random.Random, number: int) -> SampledFunction:
    """A function of `number` steps, each of which the facts from the third on tell from its absence."""
    while True:
        (argument, kind), steps = rng.choice(list(STEPS.items()))
        chosen = rng.sample(steps, number)
        constants = [rng.randint(2, 9) for _ in chosen]
        codes = [step.code.format(k=k) for step, k in zip(chosen, constants, strict=True)]
        given = [_given(rng, argument) for _ in range(7)]
        if not any(step.returns for step in chosen[:-1]) and _all_matter(argument, codes, given):
            break
    rules = [step.rule.format(k=k) for step, k in zip(chosen, constants, strict=True)]
    said = [f"Then {rule}." if place else f"{rule.capitalize()}." for place, rule in enumerate(rules)]
    name = "_".join(step.name for step in chosen)
    signature = f"def {name}({argument}: {kind}) -> {chosen[-1].returns or kind}"
    facts = [f"{name}({each!r}) == {_run(argument, codes, each)!r}" for each in given]
    body = "".join(f"    {argument} = {code}\n" for code in codes[:-1])
    return SampledFunction(signature, said, facts, f"{signature}:\n{body}    return {codes[-1]}")


def _given(rng: random.Random, argument: str) -> object:
    """A value for a template's argument."""
    match argument:
        case "values":
            return [rng.randint(-9, 20) for _ in range(rng.randint(4, 8))]
        case "text":
            return " ".join(rng.choices(WORDS, k=rng.randint(3, 8)))
    return {word: rng.randint(0, 20) for word in rng.sample(WORDS, rng.randint(3, 6))}


def _run(argument: str, codes: Sequence[str], value: object) -> object:
    for code in codes:  # a template's own expressions, never a model's
        value = eval(code, {argument: value})
    return value


def _all_matter(argument: str, codes: Sequence[str], given: Sequence[object]) -> bool:
    """Whether the tests are different, ask for different results, and tell the steps from those with any one, or all,
    left out."""
    shorter = [[], *([*codes[:place], *codes[place + 1 :]] for place in range(len(codes)))]
    tests = [(value, _run(argument, codes, value)) for value in given[2:]]
    told = all(any(_run(argument, each, value) != right for value, right in tests) for each in shorter)
    results = {repr(right) for _, right in tests}
    return told and len(results) > 2 and len({repr(value) for value in given}) == len(given)
