"""Asserts of a model's, carried out without running them: what they say holds, and what leads out is refused."""

import math

import pytest
import torch

from lamarck.judging.plain_expression import NotPlainExpression, holds

NAMES = {"f": lambda x: x * 2, "x": torch.tensor([1.0, 2.0, 4.0]), "losses": [3.0, 1.0], "torch": torch, "math": math}


@pytest.mark.parametrize(
    ("check", "true"),
    [
        ("assert f(2) == 4", True),
        ("assert f(2) == 5", False),
        ("assert f(2) == 4\nassert f(3) == 7", False),
        ("import math\nassert math.isclose(f(0.1), 0.2)", True),
        ("assert [f(n) for n in range(4) if n % 2] == [2, 6]", True),
        ("assert all(f(a) + b > 0 for a, b in [(1, 2), (3, 4)])", True),
        ("assert {k: f(v) for k, v in {'a': 1}.items()} == {'a': 2}", True),
        ("assert 0 < losses[-1] < 0.5 * losses[0]", True),
        ("assert not losses[:1] and True", False),
        ("assert (1 if f(0) else 2) == 2", True),
        ("assert torch.allclose(x, x.flip(0).flip(0), atol=1e-4)", True),
        ("assert x.sum().item() == 7 and x.shape == (3,) and x[1:].max() == 4", True),
        ("assert torch.equal(x.softmax(dim=0).argmax(), torch.tensor(2))", True),
        ("assert x.dtype == torch.float32", True),
        ("assert f('a').upper() == 'AA'", True),
        ("assert f(1, 2) == 2", False),  # it raises
        ("assert 1 / 0", False),
        ("assert x", False),
    ],
)
def test_an_assert_is_carried_out(check: str, true: bool) -> None:
    assert holds(check, NAMES) is true


@pytest.mark.parametrize(
    "check",
    [
        "assert f.__globals__",
        "assert ().__class__",
        "assert torch.load('/x')",
        "assert torch.ops",
        "assert torch.nn.Module",
        "assert torch.nn.functional.sys",
        "assert x.numpy()",
        "assert x.__reduce_ex__(2)",
        "assert x.apply_(f)",
        "assert x.grad_fn.next_functions",
        "assert '{0.__class__}'.format(x)",
        "assert '%s' % x",
        "assert eval('1')",
        "assert open('/task/check.json')",
        "assert getattr(x, 'numpy')",
        "assert (lambda: 1)()",
        "assert (y := 1)",
        "assert f'{x!r}'",
        "import os\nassert os",
        "from math import sqrt\nassert sqrt(1)",
        "x = 1",
        "assert math.__loader__",
        "assert type(x)",
        "assert print(x)",
        "assert [a for a.b in [1]]",
    ],
)
def test_what_leads_out_is_refused(check: str) -> None:
    with pytest.raises(NotPlainExpression):
        holds(check, NAMES)
