"""Every path to an optimizer step: what it is allowed by."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from lamarck.config.tiny import SkillShare, TinyFounder
from lamarck.errors import LamarckError
from lamarck.founder.tiny import pretrain
from lamarck.gate.allowance import FOUNDER, IN_SANDBOX, STUDENT, excepted

ROOT = Path(__file__).parents[2]
CALLS = {"step", "backward", "grad"}
MAKERS = {"Adam", "AdamW", "SGD", "Adafactor", "Muon", "LBFGS", "RMSprop", "build_optimizer", "Trainer", "SFTTrainer"}
# Steps of another kind, of an engine that generates and of a decoder of tokens; a part of a backward pass that reaches
# no weight; and a maker: who calls it is looked at.
NO_OPTIMIZER = {
    "lamarck/engine/vllm_worker.py: _run",
    "lamarck/serve/text.py: add",
    "lamarck/train/head.py: forward",
    "lamarck/train/optimizer.py: build_optimizer",
}
ALLOWANCE = "Allowance"
# Made where a human's answer was checked, and nowhere else.
ADMITTED = "Admitted"


def called(node: ast.AST) -> Iterator[str]:
    """Names of what is called within `node`, without the objects that it belongs to."""
    for each in ast.walk(node):
        if isinstance(each, ast.Call):
            if isinstance(each.func, ast.Attribute):
                yield each.func.attr
            elif isinstance(each.func, ast.Name):
                yield each.func.id


def functions(tree: ast.Module) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def trains(node: ast.AST) -> bool:
    return any(name in CALLS or name in MAKERS for name in called(node))


def is_allowed(function: ast.FunctionDef) -> bool:
    """It takes an allowance, and works within it; or it asks for one of the exceptions before it begins."""
    names = set(called(function))
    taken = [each for each in function.args.args if each.annotation and ast.unparse(each.annotation) == ALLOWANCE]
    return bool(taken and "spending" in names) or "excepted" in names


def forbidden(name: str, source: str) -> list[str]:
    """The functions of a file that train and are not allowed to; and whatever trains outside of a function."""
    if name.startswith(IN_SANDBOX):
        return []
    tree = ast.parse(source)
    found = [
        f"{name}: {function.name}" for function in functions(tree) if trains(function) and not is_allowed(function)
    ]
    outside = [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef) and trains(node)]
    found += [f"{name}: line {node.lineno}" for node in outside]
    return [each for each in found if each not in NO_OPTIMIZER]


def sources() -> dict[str, str]:
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted((ROOT / "lamarck").rglob("*.py"))
    }


def test_every_path_to_an_optimizer_step_is_allowed_by_the_gate() -> None:
    assert [each for name, source in sources().items() for each in forbidden(name, source)] == []
    training = {name for name, source in sources().items() if any(map(trains, functions(ast.parse(source))))}
    assert training >= {"lamarck/train/loop.py", "lamarck/founder/tiny.py"}


def test_allowances_are_made_at_the_gate_alone() -> None:
    made = {name for name, source in sources().items() if ALLOWANCE in called(ast.parse(source))}
    assert made == {"lamarck/gate/allowance.py"}
    assert {name for name, source in sources().items() if ADMITTED in called(ast.parse(source))} == {
        "lamarck/gate/check.py"
    }
    asking = {name for name, source in sources().items() if "excepted" in called(ast.parse(source))}
    assert asking == {"lamarck/founder/tiny.py", "lamarck/eval/student_training.py"}


@pytest.mark.parametrize(
    "source",
    [
        "def quickly(model):\n    optimizer = torch.optim.AdamW(model.parameters())\n",
        "def quickly(optimizer, allowance: Allowance):\n    optimizer.step()\n",
        "class Quick:\n    def ly(self, loss):\n        loss.backward()\n",
        "def outer(allowance: Allowance):\n    pass\ndef inner(loss, values):\n    torch.autograd.grad(loss, values)\n",
        "Trainer(model).train()\n",
    ],
)
def test_a_path_past_the_gate_is_found(source: str) -> None:
    assert forbidden("lamarck/new.py", source)


def test_exceptions_have_their_own_ceilings(tmp_path: Path) -> None:
    for what in (FOUNDER, STUDENT):
        excepted(what, what.steps, what.parameters)
        for steps, parameters in ((what.steps + 1, 1), (1, what.parameters + 1)):
            with pytest.raises(LamarckError, match="gets without an approval"):
                excepted(what, steps, parameters)
    skills = {"json_mode": SkillShare(share=1, weights=(1,))}
    large = TinyFounder(kind="tiny", skills=skills, steps=FOUNDER.steps + 1, decay_steps=0)
    with pytest.raises(LamarckError, match="a tiny founder"):
        pretrain(large, frozenset(), tmp_path, 0, lambda steps: pytest.fail("it trains"))
