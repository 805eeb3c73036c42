"""The tokens of each step, counted from the configuration: at most, as if every text were as long as it may be."""

from dataclasses import dataclass
from pathlib import Path

from lamarck.config import Config, Recipe
from lamarck.config.strategy import Strategy

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
    cells = sum(len(part.difficulties) for part in strategy.skills.values())
    texts = cells * strategy.probe_samples + round(strategy.size * strategy.samples_per_item)
    longest = strategy.sampling.max_new_tokens
    return TokenWork(texts * (1 + len(strategy.answers.temperatures)) * longest, longest)


def training_work(recipe: Recipe) -> TokenWork:
    return TokenWork(recipe.steps * recipe.batch_size * recipe.max_tokens, recipe.max_tokens)


def evaluation_work(config: Config) -> TokenWork:
    """What the suite asks of the model; its student is small, and not counted."""
    from lamarck.suites.outlook import outlook  # with every skill: a tenth of a second
    from lamarck.suites.suite import load_suite

    asked = outlook(load_suite(Path(config.suite)), tokens_per_second=1, dollars_per_hour=0)
    return TokenWork(asked.tokens, max(ask.answer_tokens for ask in asked.asks))
