"""How a child's learning rate rises and falls. Light."""

from lamarck.config import Recipe


def share_of_rate(step: int, steps: int, recipe: Recipe) -> float:
    """Share of the learning rate at a step of so many: linear warm-up, a plateau, linear decay to nearly nothing."""
    warm = (step + 1) / recipe.warmup_steps if recipe.warmup_steps else 1.0
    decay_steps = recipe.decay_share * steps
    decay = (steps - step) / decay_steps if decay_steps else 1.0
    return min(1.0, warm, decay)
