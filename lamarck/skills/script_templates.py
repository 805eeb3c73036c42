"""Problems of ml_diagnosis from templates: short scripts, each with faults that can be put into it. Light."""

import random
from typing import NamedTuple


class Fault(NamedTuple):
    right: str
    broken: str
    at: str  # a part of the line that fails
    error: str  # the last line of the trace
    cause: str


class Script(NamedTuple):
    text: str
    check: str
    faults: list[Fault]


class SampledScript(NamedTuple):
    script: str
    trace: str
    check: str
    cause: str
    repair: str


RANK = Script(
    """\
import torch

features = torch.randn({n}, {d})
weights = torch.randn({d}, {k})
scores = features @ weights
shares = scores.softmax(dim=1)
best = shares.argmax(dim=1)""",
    """\
assert torch.allclose(shares.sum(dim=1), torch.ones({n}), atol=1e-4)
assert torch.equal(best, (features @ weights).argmax(dim=1))""",
    [
        Fault(
            "weights = torch.randn({d}, {k})",
            "weights = torch.randn({k}, {d})",
            "scores =",
            "RuntimeError: mat1 and mat2 shapes cannot be multiplied ({n}x{d} and {k}x{d})",
            "weights has its two sizes the wrong way round, so the {d} features of a row meet {k} rows of weights.",
        ),
        Fault(
            "features @ weights",
            "features.T @ weights",
            "scores =",
            "RuntimeError: mat1 and mat2 shapes cannot be multiplied ({d}x{n} and {d}x{k})",
            "The features are transposed, although their rows already are the examples.",
        ),
        Fault(
            "softmax(dim=1)",
            "softmax(dim=2)",
            "shares =",
            "IndexError: Dimension out of range (expected to be in range of [-2, 1], but got 2)",
            "scores has two dimensions, the classes are dimension 1, and there is no dimension 2.",
        ),
        Fault(
            "shares.argmax(dim=1)",
            "share.argmax(dim=1)",
            "best =",
            "NameError: name 'share' is not defined",
            "The tensor is called shares, with an s; share was never assigned.",
        ),
    ],
)
WORDS = Script(
    """\
import math
import random

words = random.choices("{letters}", k={n}0)
counts = {{}}
for first, second in zip(words, words[1:]):
    counts[first, second] = counts.get((first, second), 0) + 1
total = sum(counts.values())
entropy = -sum(n / total * math.log2(n / total) for n in counts.values())""",
    """\
assert total == {n}0 - 1
assert abs(sum(counts.values()) - total) == 0
assert 0 < entropy <= 2 * math.log2(len("{letters}"))""",
    [
        Fault(
            "sum(counts.values())",
            "sum(counts.values)",
            "total =",
            "TypeError: 'builtin_function_or_method' object is not iterable",
            "values is a method, and without the brackets that call it there is nothing to sum.",
        ),
        Fault(
            "counts.get((first, second), 0) + 1",
            "counts.get((first, second)) + 1",
            "counts[",
            "TypeError: unsupported operand type(s) for +: 'NoneType' and 'int'",
            "A pair that is seen for the first time has no count yet, and get returns None where no default is given.",
        ),
        Fault(
            "counts = {{}}",
            "counts = []",
            "counts[",
            "AttributeError: 'list' object has no attribute 'get'",
            "The counts are looked up by pairs, so they must be a dict and not a list.",
        ),
    ],
)
FIT = Script(
    """\
import torch
from torch import nn

inputs = torch.randn({n}, {d})
truth = torch.randn({d}, 1)
targets = inputs @ truth
model = nn.Linear({d}, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
losses = []
for _ in range({steps}):
    loss = nn.functional.mse_loss(model(inputs), targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())""",
    """\
assert len(losses) == {steps}
assert losses[-1] < 0.5 * losses[0]""",
    [
        Fault(
            "nn.Linear({d}, 1)",
            "nn.Linear({k}, 1)",
            "loss = ",
            "RuntimeError: mat1 and mat2 shapes cannot be multiplied ({n}x{d} and {k}x1)",
            "The layer takes {k} features, while each row of the inputs has {d}.",
        ),
        Fault(
            "(model(inputs), targets)",
            '(model(inputs), targets, reduction="none")',
            "loss.backward()",
            "RuntimeError: grad can be implicitly created only for scalar outputs",
            "Without a reduction the loss has one number an example, and backward needs a single one.",
        ),
        Fault(
            "(model(inputs), targets)",
            "(model(inputs).detach(), targets)",
            "loss.backward()",
            "RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn",
            "detach cuts the prediction off from the weights, so the loss has nothing to send a gradient to.",
        ),
        Fault(
            "model.parameters()",
            "model.parameter()",
            "optimizer = ",
            "AttributeError: 'Linear' object has no attribute 'parameter'",
            "The method that lists the weights of a module is called parameters, in the plural.",
        ),
        Fault(
            "losses = []",
            "losses = ()",
            "losses.append",
            "AttributeError: 'tuple' object has no attribute 'append'",
            "A tuple cannot grow; the losses must be collected in a list.",
        ),
        Fault(
            "loss.item()",
            "loss.items()",
            "losses.append",
            "AttributeError: 'Tensor' object has no attribute 'items'",
            "A tensor's number is read with item, while items belongs to dicts.",
        ),
    ],
)
READER = Script(
    """\
import torch
from torch import nn


class Reader(nn.Module):
    def __init__(self, words, width, classes):
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.head = nn.Linear(width, classes)

    def forward(self, tokens):
        return self.head(self.embed(tokens).mean(dim=1))


tokens = torch.randint(0, {v}, ({n}, {d}))
labels = (tokens.float().mean(dim=1) > {half}).long()
model = Reader({v}, {w}, 2)
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
losses = []
for _ in range({steps}):
    loss = nn.functional.cross_entropy(model(tokens), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
right = (model(tokens).argmax(dim=1) == labels).sum().item()""",
    """\
assert len(losses) == {steps}
assert losses[-1] < 0.8 * losses[0]
assert 0.75 * {n} < right <= {n}""",
    [
        Fault(
            "nn.Linear(width, classes)",
            "nn.Linear(words, classes)",
            "return self.head",
            "RuntimeError: mat1 and mat2 shapes cannot be multiplied ({n}x{w} and {v}x2)",
            "The head reads embedded words, which are {w} wide, and not one number for each word of the vocabulary.",
        ),
        Fault(
            "nn.Embedding(words, width)",
            "nn.Embedding(width, width)",
            "return self.head",
            "IndexError: index out of range in self",
            "The embedding has a row for each of only {w} words, and the tokens go up to {v}.",
        ),
        Fault(
            " > {half}).long()",
            " > {half}).float()",
            "loss = ",
            "RuntimeError: expected target dtype to be Long or Byte, but got Float",
            "Labels that are classes must be whole numbers; as floats of one dimension cross_entropy cannot use them.",
        ),
        Fault(
            "        super().__init__()\n",
            "",
            "self.embed = ",
            "AttributeError: cannot assign module before Module.__init__() call",
            "The module's own set-up never runs, because __init__ does not call the one of nn.Module.",
        ),
        Fault(
            "def forward",
            "def foward",
            "loss = ",
            'NotImplementedError: Module [Reader] is missing the required "forward" function',
            "The method is misspelt foward, so calling the model finds no forward.",
        ),
        Fault(
            "self.embed(tokens)",
            "embed(tokens)",
            "return self.head",
            "NameError: name 'embed' is not defined",
            "The embedding is an attribute of the module and can only be reached through self.",
        ),
    ],
)
# By difficulty, which is the number of their statements.
SCRIPTS = {1: (RANK, WORDS), 2: (FIT,), 3: (READER,)}


def sample(rng: random.Random, difficulty: int) -> SampledScript:
    script = rng.choice(SCRIPTS[difficulty])
    fault = rng.choice(script.faults)
    v = rng.randint(20, 40)
    numbers = {
        "n": rng.randint(40, 90),
        "d": rng.randint(5, 9),
        "k": rng.randint(2, 4),
        "v": v,
        "half": (v - 1) / 2,
        "w": rng.randint(10, 16),
        "steps": rng.randint(40, 60),
        "letters": "abcdefgh"[: rng.randint(3, 8)],
    }
    repair, right, broken = (text.format(**numbers) for text in (script.text, fault.right, fault.broken))
    failing = repair.replace(right, broken, 1)
    return SampledScript(
        script=failing,
        trace=_trace(failing, fault.at, fault.error.format(**numbers)),
        check=script.check.format(**numbers),
        cause=fault.cause.format(**numbers),
        repair=repair,
    )


def _trace(script: str, at: str, error: str) -> str:
    """A trace as Python prints it, of the script's own line that fails."""
    number, line = next((number, line) for number, line in enumerate(script.splitlines(), 1) if at in line)
    function = next((name for name in ("__init__", "forward") if line in _body(script, name)), "<module>")
    calls = {"__init__": "model = ", "forward": "loss = "}
    frames = [(number, line, function)]
    if function in calls:
        caller = next((n, each) for n, each in enumerate(script.splitlines(), 1) if calls[function] in each)
        frames.insert(0, (*caller, "<module>"))
    said = "".join(f'  File "script.py", line {n}, in {name}\n    {each.strip()}\n' for n, each, name in frames)
    return f"Traceback (most recent call last):\n{said}{error}"


def _body(script: str, function: str) -> list[str]:
    """The lines of a method."""
    _, found, rest = script.partition(f"    def {function}(")
    return [line for line in rest.split("\n\n")[0].splitlines()[1:] if found]
