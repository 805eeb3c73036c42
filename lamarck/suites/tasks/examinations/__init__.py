"""Examinations of tasks that were frozen before answer and tests had rooms of their own. Light.

Those tasks hold tests that would share a process with the answer. Each has a file here, NAME.py, that tests the same in
two rooms; its first line names the digest of the tests that it stands for. The files run in the examiner's room only.
"""

import hashlib
from pathlib import Path


def shipped(name: str, *frozen: str) -> str:
    """The examination that stands for a task's frozen tests. Errors: ValueError where none does."""
    file = Path(__file__).with_name(f"{name}.py")
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    digest = hashlib.sha256("\0".join(frozen).encode()).hexdigest()
    if not text.partition("\n")[0].endswith(digest):
        raise ValueError(
            "tests that would share a process with the answer: write an `examination`, as those in "
            "lamarck/suites/tasks/examinations"
        )
    return text
