"""Imports that take seconds. Light."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def heavy_imports() -> Iterator[None]:
    """Import without the garbage collector: what is imported stays, and it would look through all of that again and
    again, a fifth of the time that torch and transformers take. Every later collection leaves it out, too."""
    before = len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > before:
            gc.freeze()
        gc.enable()
