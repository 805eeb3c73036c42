"""Lamarck raises models: a parent writes the curriculum, a human approves the run, training makes the child."""

__version__ = "0.1.0"
