"""The Open LLM Leaderboard's benchmarks, on stand-ins for their data: lm-eval's own prompts and metrics."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from lamarck.config.engine import HFEngineConfig
from lamarck.engine.hf import HFEngine
from lamarck.eval.leaderboard import BENCHMARKS, BY_KEY, _index, _scored, configs, sit
from lamarck.files import write_json, write_jsonl
from lamarck.hub.card import _leaderboard_results
from lamarck.lineage.digest import model_digest
from lamarck.lineage.generation import Generation

MUSR = {"narrative": "Mia and Leo met.", "question": "Who?", "choices": "['Mia', 'Leo']", "answer_choice": "Mia"}
GPQA = {"Question": "One?", "Correct Answer": "1", **{f"Incorrect Answer {n}": str(n + 1) for n in (1, 2, 3)}}
MMLU = {"question": "One?", "options": ["1", "2", "3"], "answer": "A", "answer_index": 0, "category": "math"}
IFEVAL = {"key": 1, "prompt": "Use no comma.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{"n": None}]}
MATH = {"problem": "1 + 1?", "solution": "\\boxed{2}", "level": "Level 5", "type": "Algebra"}
# Benchmark -> packages of which lm-eval's asks some that are no dependency of ours.
FURTHER = {"ifeval": ("immutabledict", "langdetect", "nltk", "pkg_resources"), "math": ("math_verify", "sympy")}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for split in ("murder_mysteries", "object_placements", "team_allocation"):
        write_jsonl(root / f"musr/default/{split}.jsonl", [MUSR, MUSR | {"answer_choice": "Leo"}])
    for subset in ("gpqa_main", "gpqa_diamond", "gpqa_extended"):
        write_jsonl(root / f"gpqa/{subset}/train.jsonl", [GPQA] * 2)
    write_jsonl(root / "mmlu_pro/default/test.jsonl", [MMLU] * 2)
    write_jsonl(root / "mmlu_pro/default/validation.jsonl", [MMLU] * 5)
    for config in configs(BY_KEY["bbh"]).values():
        choice = config["doc_to_choice"][0]
        write_jsonl(root / f"bbh/{config['dataset_name']}/test.jsonl", [{"input": "Which?", "target": choice}])
    write_jsonl(root / "ifeval/default/train.jsonl", [IFEVAL])
    for subject in (
        *("algebra", "counting_and_probability", "geometry", "intermediate_algebra", "number_theory", "prealgebra"),
        "precalculus",
    ):
        write_jsonl(root / f"math/{subject}/test.jsonl", [MATH, MATH | {"level": "Level 4"}])
    return root


def test_it_runs_on_files_alone(data: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    engine = HFEngine(HFEngineConfig(), model, None)
    engine.model.config.max_position_embeddings = 4096  # an answer may have 1,280 tokens
    keys = [benchmark.key for benchmark in BENCHMARKS]
    found = sit(engine.model, engine.tokenizer, data, keys)
    lacking = {key for key, packages in FURTHER.items() if not all(map(find_spec, packages))}
    assert found["benchmarks"].keys() == set(keys) - lacking
    assert found["errors"].keys() == lacking and found["partial"] == bool(lacking)
    assert all("pip install 'lm_eval[ifeval,math]' 'setuptools<81'" in why for why in found["errors"].values())
    if "math" not in lacking:
        assert [each["n"] for each in found["benchmarks"]["math"]["tasks"].values()] == [1] * 7, "level 5 alone"
    assert len(found["benchmarks"]["bbh"]["tasks"]) == 24
    assert all(0 <= figures["value"] <= 100 for figures in found["benchmarks"].values())
    # Of two choices one is taken for both questions: half are right, which is what chance gets.
    mysteries = found["benchmarks"]["musr"]["tasks"]["leaderboard_musr_murder_mysteries"]
    assert mysteries == {"value": 0.5, "n": 2}
    shutil.rmtree(data / "musr")
    again = sit(engine.model, engine.tokenizer, data, ["musr"])
    assert "murder_mysteries.jsonl does not exist: bring the data of" in again["errors"]["musr"]
    assert again["data"] != found["data"]


def results(values: dict[str, tuple[float, int, Any]], metric: str = "acc_norm") -> dict[str, Any]:
    return {
        "results": {name: {f"{metric},none": value} for name, (value, _, _) in values.items()},
        "n-samples": {name: {"effective": number} for name, (_, number, _) in values.items()},
        "configs": {name: {"doc_to_choice": choices} for name, (_, _, choices) in values.items()},
    }


@pytest.mark.parametrize(
    ("key", "values", "expected"),
    [
        # Chance is half of two choices and a quarter of four: (.75 - .5) / .5 and (.25 - .25) / .75, counted alike.
        ("bbh", {"a": (0.75, 10, ["yes", "no"]), "b": (0.25, 90, list("ABCD"))}, 25),
        ("bbh", {"a": (0.3, 10, ["yes", "no"])}, 0),
        ("gpqa", {"a": (1.0, 10, list("ABCD")), "b": (0.25, 30, list("ABCD"))}, 25),
        ("musr", {"leaderboard_musr_object_placements": (0.6, 10, "{{choices}}")}, 50),
    ],
)
def test_chance_is_zero(key: str, values: dict[str, tuple[float, int, Any]], expected: float) -> None:
    assert _scored(BY_KEY[key], results(values))["value"] == pytest.approx(expected)


def test_strict_accuracy_is_the_mean_of_both(model: Path) -> None:
    found = results({"leaderboard_ifeval": (0.4, 10, None)}, "inst_level_strict_acc")
    found["results"]["leaderboard_ifeval"]["prompt_level_strict_acc,none"] = 0.2
    assert _scored(BY_KEY["ifeval"], found)["value"] == pytest.approx(30)


def test_a_model_card_takes_what_this_very_model_scored(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import ModelCardData

    monkeypatch.chdir(tmp_path)
    founder = Generation(0)
    shutil.copytree(model, founder.weights)
    sat = {"generation": "g0", "benchmarks": {"bbh": {"value": 12.3456, "tasks": {}}}, "errors": {"math": "no data"}}
    sat |= {"partial": True, "chat_template": False, "data": "0" * 64}
    write_json(founder.leaderboard, sat | {"model": model_digest(founder.weights, None)})
    data = ModelCardData(model_name="m", eval_results=_leaderboard_results(founder))
    (entry,) = yaml.safe_load(data.to_yaml())["model-index"]
    # As the hub's own leaderboard writes it into a model's card.
    assert entry["results"] == [
        {
            "task": {"type": "text-generation", "name": "Text Generation"},
            "dataset": {"name": "BBH (3-Shot)", "type": "BBH", "args": {"num_few_shot": 3}},
            "metrics": [{"type": "acc_norm", "value": 12.35, "name": "normalized accuracy"}],
        }
    ]
    config = json.loads((founder.weights / "config.json").read_text())
    write_json(founder.weights / "config.json", config | {"rms_norm_eps": 1e-3})
    assert _leaderboard_results(founder) == [], "scores of another model are not its own"


def test_every_benchmark_is_one_of_lm_evals() -> None:
    assert len(BENCHMARKS) == 6
    assert all(each.group in _index() for each in BENCHMARKS)
