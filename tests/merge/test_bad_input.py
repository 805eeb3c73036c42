"""Each thing that can be wrong with a merge is one sentence, found before weights are read where headers show it."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lamarck import merge
from lamarck.errors import LamarckError
from lamarck.merge.estimate import check_room
from lamarck.merge.load import substitute
from tests.merge.models import CONFIG, WORDS, make_model, tensors_of, write_model, write_words

# ruff: noqa: E501
TIES: dict[str, Any] = {
    "merge_method": "ties",
    "base_model": "base",
    "models": [{"model": "a", "parameters": {"weight": 0.5}}, {"model": "b", "parameters": {"weight": 0.7}}],
}
LINEAR = {"merge_method": "linear", "models": TIES["models"]}
STACK = {"merge_method": "passthrough", "slices": [{"sources": [{"model": "a", "layer_range": [0, 2]}]}]}
SLICED = {
    "merge_method": "slerp", "base_model": "a", "parameters": {"t": 0.5},
    "slices": [{"sources": [{"model": "a", "layer_range": [0, 2]}, {"model": "b", "layer_range": [1, 3]}]}],
}  # fmt: skip


def refused(document: Any, models: Path, folder: Path, run: bool = False) -> str:
    """The sentence about a document, or several."""
    documents = document if isinstance(document, list) else [document]
    file = folder / "merge.yaml"
    file.write_text("---\n".join(yaml.safe_dump(each) for each in documents))
    with pytest.raises(LamarckError) as caught:
        if run:
            merge.run(file, folder / "out", models=models)
        else:
            merge.check(file, models)
    assert not (folder / "out").exists()
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def changed(document: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return document | changes


def first_model(**parameters: Any) -> list[dict[str, Any]]:
    return [{"model": "a", "parameters": parameters}, {"model": "b", "parameters": {"weight": 0.7}}]


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (changed(TIES, merge_method="tise"), "there is no merge method 'tise': did you mean 'ties'?"),
        (changed(TIES, base_modle="base"), "unknown key 'base_modle': did you mean 'base_model'?"),
        (changed(TIES, tokenizer={"source": "union"}), "tokenizer: mergekit reads it, and it is not supported here: say tokenizer_source"),
        (changed(SLICED, compat="mergekit", slices=[{**SLICED["slices"][0], "base_model": "b"}]), "slices.0.base_model: mergekit reads it, and it is not supported here"),  # type: ignore[index]
        (changed(TIES, models=first_model(wieght=1)), "unknown parameter 'models.0.parameters.wieght': did you mean 'weight'?"),
        (changed(TIES, parameters={"epsilon": 0.1}), "parameters.epsilon: ties has no such parameter"),
        (changed(LINEAR, models=[{"model": "a", "weight": 1.0}]), "unknown key 'models.0.weight': parameters of linear stand under parameters"),
        (changed(SLICED, slices=[{**SLICED["slices"][0], "t": [0, 1]}]), "unknown key 'slices.0.t': parameters of slerp stand under parameters"),  # type: ignore[index]
        (changed(LINEAR, models=[{"model": "bsae", "parameters": {"weight": 1}}]), "there is no model and no document 'bsae': did you mean 'base'?"),
        (changed(TIES, models=first_model()), "ties needs weight for a"),
        (changed(TIES, models=first_model(weight="much")), "models.0.parameters.weight: 'much' is not a number"),
        (changed(TIES, parameters={"density": 1.2}), "parameters.density: 1.2 lies outside 0..1"),
        (changed(TIES, parameters={"density": [0.5, -0.1]}), "parameters.density: -0.1 lies outside 0..1"),
        (changed(TIES, parameters={"normalize": 0.5}), "parameters.normalize: 0.5 is neither true nor false"),
        (changed(TIES, merge_method="della", parameters={"density": 0.9}), "density 0.9 -/+ epsilon 0.15 for"),
        (changed(LINEAR, models=first_model(weight=-0.7)), "sum to 0, and are to be divided by their sum"),
        (changed(TIES, base_model=None), "base_model is missing: ties needs one"),
        (changed(TIES, models=[]), "give either models or slices"),
        (changed(LINEAR, slices=STACK["slices"]), "give either models or slices"),
        (changed(TIES, merge_method="slerp", parameters={"t": 1}, models=[{"model": m} for m in "abc"]), "slerp takes 1 model beside the base, not 3"),
        (changed(TIES, dtype="int8"), "dtype: Input should be 'float32', 'bfloat16' or 'float16'"),
        (changed(STACK, slices=[{"sources": [{"model": "a", "layer_range": [2, 9]}]}]), "layer_range [2, 9] of a: it has layers 0 to 3"),
        (changed(STACK, slices=[{"sources": [{"model": "a", "layer_range": [2, 2]}]}]), "layer_range [2, 2] of a"),
        (changed(SLICED, base_model="c"), "the base c is not among its sources"),
        (changed(SLICED, slices=[{"sources": [{"model": "a", "layer_range": [0, 2]}, {"model": "b", "layer_range": [0, 3]}]}]), "its sources have different numbers of layers"),
        (changed(LINEAR, compat="mergkit"), "compat: there is no 'mergkit': did you mean 'mergekit'?"),
        (changed(LINEAR, models=[{"model": "a", "parameters": {"weight": 1}}, {"model": "more", "parameters": {"weight": 1}}]), "the tokenizers of a and more differ: say tokenizer_source"),
        ([changed(LINEAR, name="x", models=[{"model": "y", "parameters": {"weight": 1}}]), changed(LINEAR, name="y", models=[{"model": "x", "parameters": {"weight": 1}}])], "the documents need each other: y -> x -> y"),
        ([changed(LINEAR, name="x"), changed(LINEAR, name="x")], "two documents are named 'x'"),
        ([changed(LINEAR, name="x"), LINEAR], "document 2 has no name"),
        ({"models": []}, "merge_method is missing"),
        ("words", "a document is a mapping"),
    ],
)  # fmt: skip
def test_a_document_that_cannot_be_merged(document: Any, sentence: str, models: Path, tmp_path: Path) -> None:
    assert sentence in refused(document, models, tmp_path)


def both(models: Path, other: Path) -> dict[str, Any]:
    """A linear merge of a and the model in `other`."""
    named = [
        {"model": str(models / "a"), "parameters": {"weight": 1}},
        {"model": str(other), "parameters": {"weight": 1}},
    ]
    return {"merge_method": "linear", "models": named}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model_type": "mistral"}, "other architectures cannot be merged"),
        ({"intermediate_size": 16}, "the shapes of model.layers.0.mlp.down_proj.weight differ"),
        ({"num_hidden_layers": 3}, "the models have different numbers of layers"),
        ({"tie_word_embeddings": True}, "ties its output head to the embedding and"),
        ({"quantization_config": {"bits": 4}}, "is quantised: merge the model that it was quantised from"),
        ({"auto_map": {}}, "remote code is never run"),
    ],
)  # fmt: skip
def test_a_model_that_does_not_fit(changes: dict[str, Any], sentence: str, models: Path, tmp_path: Path) -> None:
    other = make_model(tmp_path / "other", 7, **changes)
    assert sentence in refused(both(models, other), models, tmp_path)


def test_a_model_with_a_tensor_less(models: Path, tmp_path: Path) -> None:
    tensors = tensors_of(models / "b")
    del tensors["model.layers.2.mlp.up_proj.weight"]
    write_model(tmp_path / "other", tensors, CONFIG)
    write_words(tmp_path / "other", WORDS)
    assert "has no tensor for model.layers.2.mlp.up_proj.weight" in refused(
        both(models, tmp_path / "other"), models, tmp_path
    )


def test_a_model_that_is_cut_short(models: Path, tmp_path: Path) -> None:
    other = make_model(tmp_path / "other", 7)
    whole = (other / "model.safetensors").read_bytes()
    (other / "model.safetensors").write_bytes(whole[:-100])
    assert "is not a whole safetensors file" in refused(both(models, other), models, tmp_path)


def test_a_format_that_can_carry_code_is_not_opened(models: Path, tmp_path: Path) -> None:
    other = make_model(tmp_path / "other", 7)
    (other / "model.safetensors").rename(other / "pytorch_model.bin")
    sentence = refused(both(models, other), models, tmp_path)
    assert "only pytorch_model.bin: convert it to safetensors; other formats are never loaded" in sentence


def test_integers_are_no_weights(models: Path, tmp_path: Path) -> None:
    tensors = tensors_of(models / "b")
    tensors["model.norm.weight"] = tensors["model.norm.weight"].to(torch.int8)
    write_model(tmp_path / "other", tensors, CONFIG)
    assert "model.norm.weight is I8: only F32, BF16, F16 can be merged" in refused(
        both(models, tmp_path / "other"), models, tmp_path
    )


def test_a_model_that_is_not_a_number_is_named_with_its_tensor(models: Path, tmp_path: Path) -> None:
    other = make_model(tmp_path / "other", 7)
    tensors = tensors_of(other)
    tensors["model.layers.1.mlp.up_proj.weight"][3, 2] = float("nan")
    write_model(other, tensors, CONFIG)
    sentence = refused(both(models, other), models, tmp_path, run=True)
    assert re.search(r"other: model.layers.1.mlp.up_proj.weight holds NaN or infinity", sentence)


def test_weights_that_leave_the_range_of_floats(models: Path, tmp_path: Path) -> None:
    sentence = refused(
        changed(TIES, parameters={"lambda": 1e38, "normalize": False}, models=first_model(weight=1e38)),
        models,
        tmp_path,
        run=True,
    )
    assert "came out as NaN or infinity" in sentence


def test_what_is_there_is_not_overwritten(models: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "merge.yaml").write_text(yaml.safe_dump(LINEAR))
    with pytest.raises(LamarckError, match="is there already"):
        merge.run(tmp_path / "merge.yaml", tmp_path / "kept", models=models)


def test_a_disk_without_room_is_found_out_first() -> None:
    check_room(10, 10, Path("/there"))
    with pytest.raises(LamarckError, match=r"writes up to 88.6 GB and /there has 5.0 GB free"):
        check_room(88_600_000_000, 5_000_000_000, Path("/there"))


def test_broken_yaml_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(LamarckError, match="does not exist"):
        merge.check(tmp_path / "none.yaml")
    (tmp_path / "merge.yaml").write_text("models: [a")
    with pytest.raises(LamarckError, match="is not valid YAML"):
        merge.check(tmp_path / "merge.yaml")
    # PyYAML would go by the second one.
    (tmp_path / "merge.yaml").write_text("merge_method: linear\nmodels: []\nmerge_method: ties\n")
    with pytest.raises(LamarckError, match=r"is not valid YAML: 'merge_method' stands there twice.* line 3"):
        merge.check(tmp_path / "merge.yaml")
    (tmp_path / "merge.yaml").write_text("---\n---\n")
    with pytest.raises(LamarckError, match="there is no document in it"):
        merge.check(tmp_path / "merge.yaml")


def test_a_record_says_nothing_of_documents_that_are_not_there(models: Path, tmp_path: Path) -> None:
    (tmp_path / "d.yaml").write_text(yaml.safe_dump(changed(LINEAR, name="doc")))
    for record, sentence in (
        ({"aliases": {"A": "doc"}}, "aliases: no document names 'A'"),
        ({"compat": {"dok": "mergekit"}}, "compat: there is no document 'dok': did you mean 'doc'?"),
        ({"result": "dok"}, "result: there is no document 'dok': did you mean 'doc'?"),
        ({"modles": {}}, "unknown key 'modles': did you mean 'models'?"),
    ):
        (tmp_path / "m.yaml").write_text(yaml.safe_dump({"documents": ["d.yaml"], **record}))
        with pytest.raises(LamarckError, match=re.escape(sentence)):
            merge.check(tmp_path / "m.yaml", models)


def test_variables_stand_for_values_and_parts_of_texts() -> None:
    assert substitute({"weight": "${w}", "model": "${who}-7b"}, {"w": 0.5, "who": "a"}, "f") == {
        "weight": 0.5,
        "model": "a-7b",
    }
    with pytest.raises(LamarckError, match="there is no variable 'wieght': did you mean 'weight'"):
        substitute(["${wieght}"], {"weight": 1}, "f")
