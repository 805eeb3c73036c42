"""What of a model's text is its answer: nothing of its reasoning, and the last of its code."""

import pytest

from lamarck.engine.answer import answer_of, code_of


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("42", "42"),
        ("<think>6 * 7</think>42", "42"),
        ("6 * 7, so 41?\n</think>\n\n42\n", "42"),
        ("<think>a</think>b<think>c</think>d", "d"),
        ("<think>the answer is 42, surely", ""),
        ("<think>41</think>", ""),
        ("", ""),
    ],
)
def test_answer_of(text: str, answer: str) -> None:
    assert answer_of(text) == answer


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("```python\nx = 1\n```", "x = 1\n"),
        ("First:\n```python\nx = 1\n```\nNo, better:\n```\nx = 2\n```\nDone.", "x = 2\n"),
        ("x = 1", "x = 1"),
        ("```python\nx = 1", "```python\nx = 1"),
        ("say ``` and\n```py\nx = '```'\n```", "x = '```'\n"),
    ],
)
def test_code_of(answer: str, code: str) -> None:
    assert code_of(answer) == code
