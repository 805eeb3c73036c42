"""Settings that are given on the command line, as NAME=VALUE."""

from collections.abc import Sequence
from typing import Any

import yaml

from lamarck.errors import LamarckError


def named_values(given: Sequence[str]) -> dict[str, Any]:
    """Name -> value, as YAML reads it. Errors: LamarckError for anything else."""
    values = {}
    for each in given:
        name, sign, value = each.partition("=")
        if not sign:
            raise LamarckError(f"--set {each}: write NAME=VALUE")
        try:
            values[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise LamarckError(f"--set {each}: {value!r} is not valid YAML") from error
    return values
