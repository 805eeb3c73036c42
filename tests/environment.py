"""Processes that the tests start, as in the default environment: without bitsandbytes, which peft imports wherever it
finds it, for more than a second of every process that trains or generates.
"""

import os
from pathlib import Path

DEFAULT_ENVIRONMENT = Path(__file__).with_name("default_environment")


def in_default_environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(DEFAULT_ENVIRONMENT), os.environ["PYTHONPATH"]])}
