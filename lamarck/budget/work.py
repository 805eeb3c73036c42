"""The tokens of each step, counted from the configuration: at most, as if every text were as long as it may be."""

import math
from dataclasses import dataclass
from pathlib import Path

from lamarck.config import Config, Recipe
from lamarck.config.strategy import Strategy, load_strategy

# A step's batch is split by length: short skills beside long ones are mostly padding, and more parts gain no more.
PARTS = 3


def rows_at_once(examples: int) -> int:
    """Of the examples of a step that one process has, those that it computes side by side."""
    return -(-examples // PARTS)


@dataclass(frozen=True)
class TokenWork:
    """Tokens to write or to train on, and the most that one text has."""

    tokens: int
    longest: int


def curriculum_work(strategy: Strategy) -> TokenWork:
    """Every cell's probe, every text that may be asked for, and every further answer to each of them."""
    texts = _cells(strategy) * strategy.probe_samples + round(strategy.size * strategy.samples_per_item)
    longest = strategy.sampling.max_new_tokens
    return TokenWork(texts * (1 + len(strategy.answers.temperatures)) * longest, longest)


def most_items(config: Config, number: int) -> int:
    """Of gN's curriculum: what its teacher solves and is shown again, anchors, and all of these as they are written."""
    strategy, *earlier = (load_strategy(config.strategy_of(each)) for each in range(number, 0, -1))
    written = strategy.size + _cells(strategy)  # each cell's part is rounded up
    solved = written + strategy.replay_per_cell * sum(map(_cells, earlier))
    solved += math.ceil(solved * strategy.anchor_share / (1 - strategy.anchor_share))
    if strategy.target == "capability":
        return solved
    # Drawn one by one: more than this is drawn once in 10^7 curricula (Hoeffding 1963, theorem 1).
    return solved + min(solved, math.ceil(strategy.writing_share * solved + 3 * math.sqrt(solved)))


def _cells(strategy: Strategy) -> int:
    return sum(len(part.difficulties) for part in strategy.skills.values())


def training_work(recipe: Recipe, steps: int) -> TokenWork:
    return TokenWork(steps * recipe.batch_size * recipe.max_tokens, recipe.max_tokens)


def evaluation_work(config: Config) -> TokenWork:
    """What the suite asks of the model; its student is small, and not counted."""
    from lamarck.suites.outlook import outlook  # with every skill: a tenth of a second
    from lamarck.suites.suite import load_suite

    asked = outlook(load_suite(Path(config.suite)), tokens_per_second=1, dollars_per_hour=0)
    return TokenWork(asked.tokens, max(ask.answer_tokens for ask in asked.asks))
