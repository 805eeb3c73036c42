"""The training stage. This file is light: what stands in it is also needed to plan a run."""

# A step's batch is split by length: short skills beside long ones are mostly padding, and more parts gain no more.
PARTS = 3


def rows_at_once(batch_size: int) -> int:
    """Examples of a step that are computed side by side."""
    return -(-batch_size // PARTS)
