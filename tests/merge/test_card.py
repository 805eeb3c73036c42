"""The model card's recipe as it stands, in both readings, on tiny stand-ins."""

import shlex
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lamarck import merge
from lamarck.cli.merging import merges
from lamarck.files import file_digests, read_json
from lamarck.merge.checked import Checked

MERGEKIT = Path("config/merges/lamarck-14b-v0.3.yaml")
AS_WRITTEN = Path("config/merges/lamarck-14b-v0.3-as-written.yaml")
CONVERGE = "lamarck-14b-converge"


def readmes_command() -> list[list[str]]:
    """The line of README.md that makes the card's recipe: of each of its commands the words behind `lamarck merge`."""
    [line] = [each for each in Path("README.md").read_text().splitlines() if each.startswith("lamarck merge")]
    return [shlex.split(each)[2:] for each in line.split("&&")]


def invoke(words: list[str], places: dict[str, Path]) -> None:
    """As it is typed, but for where it reads and writes."""
    done = CliRunner().invoke(merges, [str(places.get(word, word)) for word in words])
    assert done.exit_code == 0, done.output


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root: Path = tmp_path_factory.mktemp("stand-ins")
    invoke(readmes_command()[0], {"/tmp/models": root})
    assert len(list(root.glob("*/*/config.json"))) == 11
    return root


def shared_values(checked: Checked, document: str) -> Mapping[str, float]:
    """Tensor -> t."""
    layout = next(each for each in checked.layouts if each.document.name == document)
    return {output.name: float(output.shared["t"]) for output in layout.outputs}


def by_layer(values: Mapping[str, float]) -> list[float]:
    return [round(values[f"model.layers.{layer}.mlp.up_proj.weight"], 3) for layer in range(48)]


def test_mergekit_gives_slerp_other_values_than_the_card_says(stand_ins: Path) -> None:
    values = shared_values(merge.check(MERGEKIT, stand_ins), CONVERGE)
    eight = [0, 0.514, 0.743, 0.8, 0.8, 0.771, 0.657, 0.4]
    assert by_layer(values) == [0, 0.4, 0, 0.64, 0.8, 0.8, 0.72, 0.4, *eight * 5]
    assert [values[name] for name in ("model.embed_tokens.weight", "model.norm.weight", "lm_head.weight")] == [0, 0, 0]


def test_as_written_gives_slerp_what_the_card_says(stand_ins: Path) -> None:
    values = shared_values(merge.check(AS_WRITTEN, stand_ins), CONVERGE)
    ramp = [0.6, 0.614, 0.629, 0.643, 0.657, 0.671, 0.686, 0.7]
    last = [0.6, 0.571, 0.543, 0.514, 0.486, 0.457, 0.429, 0.4]
    assert by_layer(values) == [0, 0, 0, 0.12, 0.24, 0.36, 0.48, 0.6, *ramp, *[0.7] * 16, *ramp[::-1], *last]
    assert [values[name] for name in ("model.embed_tokens.weight", "model.norm.weight", "lm_head.weight")] == [
        0,
        0.4,
        0.4,
    ]


def test_both_readings_say_line_by_line_what_they_ignore_and_assume() -> None:
    """All of it, and nothing else; the text only where it is what matters."""
    della = ("reason-della", "prose-della", "converge-della")
    both = {f"{name}: parameters.rescale: warning" for name in della}
    both |= {f"{name}: parameters.int8_mask: ignored" for name in (*della, "finalize")}
    both |= {
        "prose-della: models.2: assumed: underwoods/medius-erebus-magnum-14b gives no weight nor density: weight 0.5",
        "finalize: models: warning: ties of one model at density 1 is merges/lamarck-14b-converge itself",
        "card.yaml: document 6: ignored: it is empty",
        "reason-della: sometimesanotion/lamarck-14b-reason-model_stock: read as: the document lamarck-14b-reason-stock",
        "prose-della: sometimesanotion/lamarck-14b-prose-model_stock: read as: the document lamarck-14b-prose-stock",
        "converge-della: sometimesanotion/lamarck-14b-reason-della: read as: the document lamarck-14b-reason-della",
        "converge-della: sometimesanotion/lamarck-14b-prose-della: read as: the document lamarck-14b-prose-della",
        "converge: merges/lamarck-14b-converge-della: read as: the document lamarck-14b-converge-della",
        "finalize: merges/lamarck-14b-converge: read as: the document lamarck-14b-converge",
    }
    mergekit = {f"converge: slices.{i}.t: ignored: mergekit drops the unknown key 't' in silence" for i in range(7)} | {
        "converge: parameters.t: assumed: it runs over the layers of each of the 7 slices anew, not once",
        "converge-della: models.1: ignored: arcee-ai/Virtuoso-Small is the base: it does not differ from itself",
    }
    as_written = {f"converge: slices.{i}.t: read as: a parameter: slices.{i}.parameters.t" for i in range(7)} | {
        "converge: parameters.t: ignored: every slice gives its own",
        "converge-della: models.1: read as: the base does not differ from itself, but its weight counts",
    }
    for file, own in ((MERGEKIT, mergekit), (AS_WRITTEN, as_written)):
        notes = [str(note).removeprefix("lamarck-14b-") for note in merge.check(file).notes]
        notes = [note for note in notes if "its shape is taken from a config.json" not in note]
        assert [sum(note.startswith(line) for note in notes) for line in (*both, *own)] == [1] * len(both | own)
        assert len(notes) == len(both | own)


def test_the_base_among_the_models_counts_only_as_written(stand_ins: Path) -> None:
    for file, weight in ((MERGEKIT, 0.0), (AS_WRITTEN, 0.5)):
        checked = merge.check(file, stand_ins)
        layout = next(each for each in checked.layouts if each.document.name == "lamarck-14b-converge-della")
        assert {output.base_weight for output in layout.outputs} == {weight}
        assert {len(output.pieces) for output in layout.outputs} == {2}


def test_the_readmes_command_makes_the_recipe_twice_with_the_same_bytes(stand_ins: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    for name in ("one", "two"):
        invoke(readmes_command()[1], {"/tmp/models": stand_ins, "/tmp/merged": tmp_path / name})
    digests = file_digests(tmp_path / "one")
    assert digests == file_digests(tmp_path / "two")
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("one", "two")] == []
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "one")
    model, loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "one", output_loading_info=True)
    assert not loaded["missing_keys"] and not loaded["unexpected_keys"] and not loaded["mismatched_keys"]
    prompt = tokenizer("2 + 2 =", return_tensors="pt")
    assert tokenizer.decode(prompt.input_ids[0]) == "2 + 2 ="
    assert model.generate(**prompt, max_new_tokens=4, do_sample=False).shape[1] > prompt.input_ids.shape[1]
    assert (tmp_path / "one" / "tokenizer.json").read_bytes() == (
        stand_ins / "Qwen" / "Qwen2.5-14B-Instruct" / "tokenizer.json"
    ).read_bytes()
    check_card(tmp_path / "one")


def check_card(directory: Path) -> None:
    """The card draws every ancestor, and the record names the digest of each of their files."""
    card = (directory / "README.md").read_text()
    record = read_json(directory / "merge.json")
    for name in ("arcee-ai/Virtuoso-Small", "CultriX/Qwen2.5-14B-Wernicke", "lamarck-14b-prose-stock"):
        assert f'"{name}' in card
    assert "base_model_relation: merge" in card and "model-index" in card
    assert len(record["inputs"]) == 11
    assert all(len(digest) == 64 for files in record["inputs"].values() for digest in files.values())
    assert record["result"] == "lamarck-14b-finalize"


def test_the_merge_is_planned_at_its_real_size() -> None:
    plan = merge.plan(MERGEKIT)
    assert [step.method for step in plan.steps] == [
        "model_stock",
        "della",
        "model_stock",
        "della",
        "della",
        "slerp",
        "ties",
    ]
    assert plan.steps[0].parameters == 14_770_033_664  # Qwen2.5-14B: its weights are 29.5 GB in bfloat16
    assert plan.steps[0].written_bytes == 2 * 14_770_033_664
    embedding = 152064 * 5120 * 2
    assert plan.memory_bytes == (6 + 2) * embedding  # five models and the base of the larger stock
    assert 80e9 < plan.disk_bytes < 120e9
    assert plan.seconds > sum(step.read_bytes for step in plan.steps) / plan.disk_bytes_per_second
