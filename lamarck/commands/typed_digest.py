"""The short digest that a human types to approve a whole plan: given with the command, or asked for. Light."""

from collections.abc import Callable

from lamarck.gate.planned import Planned, plan_digest
from lamarck.lineage.digest import short

# What was typed, or a function that shows a question and returns what is typed then.
Typed = str | Callable[[str], str]


def typed_for(plan: Planned, typed_digest: Typed) -> str:
    if isinstance(typed_digest, str):
        return typed_digest
    return typed_digest(f"To approve all of that, type its short digest ({short(plan_digest(plan))}): ")
