"""What was answered before a kill is not asked again; what another run answered is not believed."""

import json
from pathlib import Path
from typing import Any

import pytest

from lamarck.engine.remembering import Remembering
from lamarck.errors import LamarckError
from lamarck.files import digest_value
from lamarck.seal import SECRET


class Counting:
    """A model that answers with the prompt and the seed, and dies on the prompt `die`."""

    device_name = "cpu"

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def generate(self, prompts: list[str], **settings: Any) -> list[str]:
        self.calls.append(prompts)
        if "die" in prompts:
            raise KeyboardInterrupt
        settings["on_done"](len(prompts))
        return [f"{prompt} {settings['seed']}" for prompt in prompts]

    def loglikelihoods(self, texts: list[str]) -> list[float]:
        self.calls.append(texts)
        return [float(len(text)) for text in texts]


def remembering(file: Path, run: str = "run") -> tuple[Remembering, Counting]:
    model = Counting()
    return Remembering(model, file, run, chunk_tokens=20), model


@pytest.fixture
def killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The answers of a run that was killed in its second chunk of two prompts."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "answers.jsonl"
    engine, _ = remembering(file)
    assert engine.loglikelihoods(["abc"]) == [3.0]
    with pytest.raises(KeyboardInterrupt):
        engine.generate(["a", "b", "die"], max_new_tokens=10)
    return file


def test_a_killed_run_goes_on(killed: Path) -> None:
    killed.write_text(killed.read_text() + '["cut o')
    for calls in ([["c"]], []):
        engine, model = remembering(killed)
        done: list[int] = []
        assert engine.generate(["a", "b", "c"], max_new_tokens=10, on_done=done.append) == ["a 0", "b 0", "c 0"]
        assert engine.loglikelihoods(["abc"]) == [3.0]
        assert (sum(done), model.calls) == (3, calls)


@pytest.mark.parametrize("change", [{"seed": 1}, {"temperature": 1.0}, {"max_new_tokens": 9}])
def test_another_question_is_asked(killed: Path, change: dict[str, Any]) -> None:
    engine, model = remembering(killed)
    engine.generate(["a", "b"], **{"max_new_tokens": 10, **change})
    assert model.calls == [["a", "b"]]


def test_another_runs_answers_are_thrown_away(killed: Path) -> None:
    engine, model = remembering(killed, "another run")
    engine.generate(["a", "b"], max_new_tokens=10)
    assert model.calls == [["a", "b"]]
    assert '"a 0"' in killed.read_text()
    assert len(killed.read_text().splitlines()) == 3


def test_it_is_counted_how_often_a_run_went_on(killed: Path) -> None:
    assert [remembering(killed)[0].resumed for _ in range(3)] == [1, 2, 3]
    assert remembering(killed, "another run")[0].resumed == 0


def test_forged_answers_are_not_the_models(killed: Path) -> None:
    """A line that names the right question, with better answers under it."""
    settings = {"max_new_tokens": 10, "temperature": 0.0, "top_p": 1.0, "seed": 0, "forms": None}
    right = digest_value([["a", "b"], settings])
    lines = killed.read_text().splitlines()
    (row,) = (row for row in lines if json.loads(row)[0] == right)
    *_, sealed = json.loads(row)
    for forged in ([right, ["A", "B"]], [right, ["A", "B"], sealed], [right, ["A", "B"], None], [["deep"], 1, sealed]):
        killed.write_text("\n".join([lines[0], json.dumps(forged)]) + "\n")
        with pytest.raises(LamarckError, match="were not written by this checkout"):
            remembering(killed)
    killed.write_text("\n".join([lines[0], row]) + "\n")
    engine, model = remembering(killed)
    assert engine.generate(["a", "b"], max_new_tokens=10) == ["a 0", "b 0"]
    assert model.calls == []


def test_answers_of_another_checkout_are_refused(killed: Path) -> None:
    SECRET.unlink()
    with pytest.raises(LamarckError, match="were not written by this checkout"):
        remembering(killed)
