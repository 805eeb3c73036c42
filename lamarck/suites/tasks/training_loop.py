"""PEFT training scripts: an adapter must come out that loads, was trained, and learned what was asked. Light.

The script runs once on a tiny random Llama and ten samples (training_room.py). Rungs:

- parses: it is Python.
- imports: it imports peft, and torch or transformers.
- lora_config: it builds a config class of peft that the task names, or loads the adapter that the task gives.
- trains: it calls an optimizer's step or a trainer's train.
- completes: it runs to its end, with exit code 0, and leaves an adapter.
- loads: in a second room, where nothing of the answer runs, the adapter loads on the base model (training_check.py),
  has the shape that the task asks for, was trained, and either lowers the loss as asked or, for a recipe that leaves
  nothing open, has the weights to which our own replay of the recipe comes.

Without `parses` no other rung is climbed, and without `completes` not `loads`.
"""

import ast
import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from lamarck.config.section import Section
from lamarck.engine.answer import code_of
from lamarck.judging.outer_room import WITH_PEFT
from lamarck.judging.sandbox import MIB, OUT, TASK, Limits, Sandbox
from lamarck.suites.tasks.base import EngineeringTask
from lamarck.suites.tasks.training_room import room, tokens

LIMITS = Limits(seconds=120, memory_bytes=6144 * MIB)
ARGUMENTS = (f"{TASK}/model", f"{TASK}/data.jsonl", f"{OUT}/adapter")
CHECK = Path(__file__).with_name("training_check.py")
LOADERS = {"PeftModel", "PeftModelForCausalLM", "AutoPeftModelForCausalLM", "LoraConfig", "PeftConfig"}
_OPTIMIZER = re.compile(r"optim|adam|sgd|adagrad|adadelta|adafactor|rmsprop|rprop|lion|lbfgs|muon", re.IGNORECASE)


class Adapter(Section):
    """The adapter that must come out: same tensors, same scale."""

    config: Literal["LoraConfig", "IA3Config"] = "LoraConfig"
    settings: dict[str, int | bool | tuple[int, ...] | tuple[str, ...]] = Field(description="Of peft's config class.")


class Loss(Section):
    """How the mean losses of tokens must move, as shares of the base model's."""

    completion_below: float = Field(gt=0, le=1)
    prompt_above: float = Field(0.0, ge=0, description="A prompt must stay about as unlikely as it was.")


class Replay(Section):
    """A recipe that leaves nothing open: plain optimizers, no weight decay, float32."""

    optimizer: Literal["sgd", "adamw"]
    rates: tuple[float, ...] = Field(min_length=1, description="The learning rate of each step.")
    batches: tuple[tuple[int, ...], ...] = Field(min_length=1, description="Samples of each step, taken in turn.")
    weights: tuple[float, ...] = Field((1.0,) * 10, min_length=10, max_length=10, description="Of a sample's tokens.")
    completion_only: bool = False
    ratio_b: float = Field(1.0, gt=0, description="How many times the rate lora_B learns at.")


class Expect(Section):
    adapter: Adapter
    loss: Loss | None = None
    replay: Replay | None = None

    @model_validator(mode="after")
    def _one(self) -> "Expect":
        if (self.loss is None) == (self.replay is None):
            raise ValueError("expect needs either loss or replay")
        return self


class TrainingLoop(EngineeringTask):
    """A script, run as `python script.py MODEL_DIR DATA_FILE OUTPUT_DIR`, that trains an adapter."""

    rungs: ClassVar[tuple[str, ...]] = ("parses", "imports", "lora_config", "trains", "completes", "loads")

    kind: Literal["training_loop"]
    given: Literal["nothing", "adapter", "checkpoint"] = Field("nothing", description="What else lies in /task.")
    expect: Expect

    def judge(self, answer: str, sandbox: Sandbox) -> dict[str, bool]:
        code = code_of(answer)
        tree = _parsed(code)
        if tree is None:
            return dict.fromkeys(self.rungs, False)
        completes, loads = self._run(code, sandbox)
        imported = _imported(tree)
        packages = {name.partition(".")[0] for name in imported.values()}
        return {
            "parses": True,
            "imports": "peft" in packages and not packages.isdisjoint({"torch", "transformers"}),
            "lora_config": any(self._configures(call.func, imported) for call in _calls(tree)),
            "trains": _trains(tree),
            "completes": completes,
            "loads": loads,
        }

    def _configures(self, called: ast.expr, imported: dict[str, str]) -> bool:
        """Whether this builds the task's config or, where the task gives an adapter, loads it."""
        package, *path = _full_name(called, imported).split(".")
        if package == "peft" and path[-1:] == [self.expect.adapter.config]:
            return True
        loads = package == "peft" and path[-1:] == ["from_pretrained"] and not LOADERS.isdisjoint(path[-2:-1])
        return self.given != "nothing" and (loads or _last(called) == "load_adapter")

    def _run(self, code: str, sandbox: Sandbox) -> tuple[bool, bool]:
        """Whether the script ran to its end and left an adapter, and whether that is the one expected."""
        files: dict[str, str | bytes] = dict(room(self.given))
        room_files = files | {"script.py": code}
        run = sandbox.python(room_files, "script.py", LIMITS, *ARGUMENTS, imports=WITH_PEFT, archived=True)
        if not run.succeeded:
            return False, False
        nonce = secrets.token_hex(16)
        expect = self.expect.model_dump(mode="json") | {"given": self.given, "samples": tokens()}
        files |= {"archive.tar": run.archive, "nonce": nonce, "expect.json": json.dumps(expect)}
        files |= {"check.py": CHECK.read_text(encoding="utf-8")}
        said = sandbox.python(files, "check.py", LIMITS, imports=WITH_PEFT).stdout.splitlines()
        return f"{nonce} left" in said, f"{nonce} holds" in said


def _parsed(code: str) -> ast.Module | None:
    """The program's tree; None if it is no Python, or no statement."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return tree if tree.body else None


def _calls(tree: ast.Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _imported(tree: ast.Module) -> dict[str, str]:
    """Local name -> full name of what was imported. A star import stands under `*` and its module."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = alias.name.partition(".")[0]
                names[alias.asname or root] = alias.name if alias.asname else root
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                local = f"*{node.module}" if alias.name == "*" else alias.asname or alias.name
                names[local] = f"{node.module}.{alias.name}"
    return names


def _full_name(node: ast.expr, imported: dict[str, str]) -> str:
    """What a dotted name in the program means; empty if it is none or was not imported."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    origin = imported.get(node.id, f"peft.{node.id}" if "*peft" in imported else "")
    return ".".join([origin, *parts]) if origin else ""


def _trains(tree: ast.Module) -> bool:
    """Whether an optimizer's step or a trainer's train is called: known by their names, or by what made them."""
    makers = {
        _last(target): _last(node.value.func)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        for target in node.targets
    }
    for call in _calls(tree):
        if not isinstance(call.func, ast.Attribute):
            continue
        owners = [_last(each) for each in (call.func.value, *call.args)]
        if call.func.attr == "step" and any(_is_optimizer(each, makers) for each in owners):
            return True
        if call.func.attr == "train" and "trainer" in f"{owners[0]} {makers.get(owners[0], '')}".lower():
            return True
    return False


def _is_optimizer(name: str, makers: dict[str, str]) -> bool:
    known = f"{name} {makers.get(name, '')}"
    return "sched" not in known.lower() and ("opt" in name.lower() or bool(_OPTIMIZER.search(known)))


def _last(node: ast.expr) -> str:
    """The last name of an expression such as self.optimizers[0] or torch.optim.SGD(...)."""
    while isinstance(node, ast.Subscript | ast.Call | ast.Starred):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
