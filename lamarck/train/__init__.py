"""The training stage. This file is light: what stands in it is also needed to plan a run."""

# A step's batch is split by length: short skills beside long ones are mostly padding, and more parts gain no more.
PARTS = 3


def rows_at_once(examples: int) -> int:
    """Of the examples of a step that one process has, those that it computes side by side."""
    return -(-examples // PARTS)
