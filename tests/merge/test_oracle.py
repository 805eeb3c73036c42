"""Our methods and mergekit's, on the same tiny Llamas: method by method, parameter by parameter."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from lamarck import merge
from lamarck.files import read_json
from lamarck.merge import make
from lamarck.merge.methods import METHODS
from tests.merge.cases import DETERMINISTIC, RANDOM
from tests.merge.models import tensors_of
from tests.merge.oracle import ask_mergekit, forced_draws, forced_uniforms

CLOSE = 1e-6


def run(case: dict[str, Any], models: Path, folder: Path) -> dict[str, Tensor]:
    file = folder / "merge.yaml"
    file.write_text(yaml.safe_dump(case))
    merge.run(file, folder / "ours", models=models)
    return tensors_of(folder / "ours")


def furthest(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> float:
    """The largest difference of an element."""
    assert ours.keys() == theirs.keys()
    assert all(ours[name].dtype == theirs[name].dtype for name in ours)
    return max(float((ours[name].float() - theirs[name].float()).abs().max()) for name in ours)


@pytest.mark.parametrize("name", [name for name in DETERMINISTIC if name != "tokenizer of both"])
def test_deterministic_methods_are_mergekits(name: str, models: Path, tmp_path: Path) -> None:
    case = DETERMINISTIC[name]
    assert furthest(run(case, models, tmp_path), ask_mergekit(case, models, tmp_path / "theirs")) <= CLOSE


@pytest.mark.parametrize("name", RANDOM)
def test_random_methods_are_mergekits_under_a_forced_mask(
    name: str, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make, "draw_for", lambda *names: forced_uniforms)
    with forced_draws():
        theirs = ask_mergekit(RANDOM[name], models, tmp_path / "theirs")
    assert furthest(run(RANDOM[name], models, tmp_path), theirs) <= CLOSE


def test_a_union_gives_every_token_the_embedding_that_mergekit_gives_it(models: Path, tmp_path: Path) -> None:
    # The order of the added tokens is mergekit's own affair: it differs from run to run.
    case = DETERMINISTIC["tokenizer of both"]
    theirs = ask_mergekit(case, models, tmp_path / "theirs")
    ours = run(case, models, tmp_path)
    places = [vocabulary(tmp_path / name) for name in ("ours", "theirs")]
    assert places[0].keys() == places[1].keys()
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        first, second = (
            tensors[name][[place[token] for token in sorted(place)]]
            for tensors, place in zip((ours, theirs), places, strict=True)
        )
        assert float((first - second).abs().max()) <= CLOSE
    assert read_json(tmp_path / "ours" / "config.json")["vocab_size"] == len(places[0])


def test_tokens_that_no_model_has_are_zero_and_that_is_said(models: Path, tmp_path: Path) -> None:
    case = DETERMINISTIC["tokenizer of a model that is not merged"]
    rows = run(case, models, tmp_path)["model.embed_tokens.weight"]
    nobodys = {token: row for token, row in vocabulary(tmp_path / "ours").items() if token.startswith("x")}
    assert {row for row in range(len(rows)) if not rows[row].any()} == set(nobodys.values())
    notes = [str(note) for note in merge.check(tmp_path / "merge.yaml", models).notes]
    assert any("warning: no model has a row for 3 tokens, such as 'x0': theirs is zero" in note for note in notes)


def vocabulary(directory: Path) -> dict[str, int]:
    tokenizer = read_json(directory / "tokenizer.json")
    return tokenizer["model"]["vocab"] | {entry["content"]: entry["id"] for entry in tokenizer["added_tokens"]}


def test_every_parameter_of_every_method_is_compared() -> None:
    """Each with a value that is not what holds without it; those of a model also with one of that model alone."""
    compared = [(case["merge_method"], *each) for case in (DETERMINISTIC | RANDOM).values() for each in said(case)]
    for method in METHODS.values():
        for name, declared in method.parameters.items():
            values = [
                (value, at) for other, parameter, value, at in compared if (other, parameter) == (method.name, name)
            ]
            assert any(value != declared.default for value, _ in values), (method.name, name)
            if declared.per_model:
                assert any(at in ("models", "sources") for _, at in values), (method.name, name)


def said(value: Any, at: str = "") -> Iterator[tuple[str, Any, str]]:
    """(parameter, its value, what it is one of: models, sources, slices...) wherever a document gives one."""
    if isinstance(value, list):
        for part in value:
            yield from said(part, at)
    elif isinstance(value, dict):
        for name, part in value.items():
            if name == "parameters":
                yield from ((parameter, given, at) for parameter, given in part.items())
            else:
                yield from said(part, name)


def test_a_method_without_its_sign_election_is_found_out(models: Path, tmp_path: Path) -> None:
    # The same comparison, with a wrong implementation: ties without consensus.
    case = DETERMINISTIC["ties, density 1"]
    wrong = run(case | {"merge_method": "task_arithmetic", "parameters": {"normalize": True}}, models, tmp_path)
    assert furthest(wrong, ask_mergekit(case, models, tmp_path / "theirs")) > 1000 * CLOSE


def test_without_the_draws_of_the_mask_the_comparison_fails(models: Path, tmp_path: Path) -> None:
    with forced_draws():
        theirs = ask_mergekit(RANDOM["dare_linear"], models, tmp_path / "theirs")
    assert furthest(run(RANDOM["dare_linear"], models, tmp_path), theirs) > 1000 * CLOSE
    assert torch.bernoulli(torch.ones(3)).sum() == 3  # mergekit draws again as it did
