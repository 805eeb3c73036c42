"""Runs in the examiner's room, for ml_diagnosis: what the scripts left, against the check.

The check is a model's, so it does not run: plain_expression.py carries it out, over plain data. Prints one line of
JSON: the cases with what was found about each.
"""

import hashlib
import json
import math
import random
import socket
from pathlib import Path
from typing import Any

import torch
from plain_data import NotPlain, encoded, receive  # type: ignore[import-not-found]
from plain_expression import NotPlainExpression, holds  # type: ignore[import-not-found]

CHANNEL = 3
NOISES = 8
TASK = Path(__file__).parent


def noise(value: Any) -> Any:
    """Something of the same kind and shape that says nothing."""
    if type(value) is torch.Tensor:
        if value.is_floating_point():
            return torch.randn_like(value)
        most = 1 if value.dtype is torch.bool or not value.numel() else 2 * max(map(abs, map(int, value.aminmax()))) + 1
        largest = 1 if value.dtype is torch.bool else torch.iinfo(value.dtype).max - 1
        return torch.randint_like(value, 0, min(most, largest) + 1)
    if type(value) in (list, tuple):
        return type(value)(noise(each) for each in value)
    if type(value) is dict:
        return {key: noise(each) for key, each in value.items()}
    if type(value) is bool:
        return random.random() < 0.5
    if type(value) is int:
        return random.randint(0, 2 * abs(value) + 1)
    return random.gauss(0, 1) if type(value) is float else value


class Check:
    def __init__(self, code: str, names: list[str]) -> None:
        self._code, self._names = code, names

    def holds(self, values: Any) -> bool:
        """Whether it holds for the values that were left. Errors: NotPlainExpression."""
        if type(values) is not dict or sorted(values) != sorted(self._names):
            return False
        return holds(self._code, {**values, "torch": torch, "math": math})

    def blind(self, values: dict[str, Any]) -> bool:
        """Whether it holds for noise as well."""
        return all(self.holds({name: noise(each) for name, each in values.items()}) for _ in range(NOISES))


def found(said: Any, check: Check) -> dict[str, Any] | None:
    """What one case comes to; None where its words are no report of a case."""
    if type(said) is not dict:
        return None
    if said.get("case") == "dropped":
        left = said.get("left")
        return {"case": "dropped", "holds": type(left) is not list or any(map(check.holds, left))}
    if said.get("case") not in ("broken", "repaired") or type(said.get("failed")) is not bool:
        return None
    case = {"case": said["case"], "failed": said["failed"]}
    if said["failed"]:
        case |= {"last": str(said.get("last")), "holds": check.holds(said.get("values"))}
    elif said["case"] == "repaired":
        values, unreached = said.get("values"), said.get("unreached")
        case |= {"values": None, "holds": check.holds(values), "blind": False}
        case["unreached"] = unreached if type(unreached) is list and all(type(n) is int for n in unreached) else [0]
        if type(values) is dict:
            case["values"] = hashlib.sha256(json.dumps(encoded(values)).encode()).hexdigest()
            case["blind"] = case["holds"] and check.blind(values)
    return case


def main() -> None:
    order = json.loads((TASK / "check.json").read_text(encoding="utf-8"))
    check = Check(order["check"], order["names"])
    cases: list[dict[str, Any]] = []
    reason = ""
    random.seed(0)
    torch.manual_seed(0)
    with socket.socket(fileno=CHANNEL) as scripts:
        try:
            while len(cases) < order["cases"]:
                case = found(receive(scripts), check)
                if case is None:
                    break
                cases.append(case)
        except NotPlainExpression as error:
            reason = str(error)
        except (NotPlain, EOFError, OSError):
            pass
    print(json.dumps({"cases": cases, "reason": reason}))


if __name__ == "__main__":
    main()
