"""A lineage of any size, made up: every file as the stages would leave it, the numbers drawn from a seed.

For what only size can show; nothing here has been trained.
"""

import json
import random
import shutil
from pathlib import Path

import numpy as np
import yaml
from safetensors.numpy import save_file

from lamarck.config import load_config
from lamarck.curriculum.item import item_id
from lamarck.files import digest_file, file_digests, write_json, write_jsonl, write_text
from lamarck.gate.approval import Approver
from lamarck.gate.approve import approve
from lamarck.gate.crossing import ParentFiles, propose_cross
from lamarck.gate.plan import PlanInputs, build_plan
from lamarck.gate.planned import plan_digest
from lamarck.lineage.artifacts import CROSS_PLAN, CROSSED, CURRICULUM, PLAN, SCORES, found_kind, scores_digest
from lamarck.lineage.configured import load_config_of
from lamarck.lineage.digest import change_digest, suite_digest, weights_digest
from lamarck.lineage.generation import STUDENT, TRAINING_RECORD, WEIGHTS_RECORD, Generation, description_file
from lamarck.lineage.records import Code, Record
from lamarck.skills import get_skill
from lamarck.suites.suite import Suite, load_suite

ROOT = Path(__file__).parents[3]
SUITE = Path("config/suites/tiny-v3")
SKILLS = {"json_mode": 4, "list_ops": 4, "arithmetic": 4}
LLAMA = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "vocab_size": 131,
    "max_position_embeddings": 128,
}


def write_lineage(generations: int, candidates: int, items: int, outcomes: int) -> None:
    """Into the working directory: a main lineage and control arm of `generations`, and `candidates` of one generation
    each under search/; `items` a curriculum and at most `outcomes` a task of the suite."""
    for part in ("default.yaml", "machines.yaml", "strategies", SUITE.relative_to("config")):
        Path("config", part).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / "config" / part).is_dir() else shutil.copyfile
        copy(ROOT / "config" / part, Path("config") / part)
    config = yaml.safe_load(Path("config/default.yaml").read_text()) | {"generations": generations}
    write_text(Path("config/default.yaml"), yaml.safe_dump(config))
    suite = load_suite(SUITE)
    _write_founder(suite, outcomes)
    for number in range(1, generations + 1):
        for arm in (Generation(number), Generation(number, "control")):
            _write_child(suite, arm, items, outcomes)
    for candidate in range(candidates):
        _write_child(suite, Generation(1, f"search/r1/c{candidate:03}"), items // 10, outcomes)


def synthetic_record(digest: str, inputs: dict[str, str], seconds: float) -> Record:
    """Without asking git and the packages a thousand times what they are."""
    return Record(
        digest=digest,
        inputs=inputs,
        seed=1,
        code=Code(commit="0" * 40, dirty=False),
        versions={"lamarck": "0.1.0"},
        device="cpu",
        wall_seconds=seconds,
        device_seconds=seconds,
    )


def _write_founder(suite: Suite, outcomes: int) -> None:
    for directory in (Generation(0).weights, STUDENT):
        directory.mkdir(parents=True)
        save_file({"a": np.zeros((3, 4), np.float32)}, directory / "model.safetensors")
        write_json(directory / "config.json", LLAMA)
        record = synthetic_record(weights_digest(directory), {}, 100.0)
        source = {"kind": "tiny", "files": file_digests(directory), "record": record.model_dump(mode="json")}
        write_json(directory / WEIGHTS_RECORD, source)
    _write_scores(suite, Generation(0), outcomes)


def _write_child(suite: Suite, child: Generation, items: int, outcomes: int) -> None:
    rng = random.Random(child.name)
    _write_curriculum(rng, child, items)
    if not child.is_control:
        _write_plan(child)
    write_json(child.change / "adapter_config.json", {"r": 16})
    write_text(child.change / "adapter_model.safetensors", child.name)
    inputs = found_kind(child).piece_digests(None, child) | {"recipe": "0" * 64}
    training = {
        "generation": child.name,
        "record": synthetic_record(change_digest(child.change), inputs, 15.0).model_dump(mode="json"),
        "log": [
            {
                "step": step,
                "loss": rng.gauss(0.3, 0.05),
                "learning_rate": 3e-3 * (1 - step / 300),
                "tokens_per_second": rng.uniform(25_000, 35_000),
                "memory_bytes": 500_000_000 + 300_000 * step,
            }
            for step in range(0, 300, 3)
        ],
        "budget": {"ceiling_device_seconds": 120.0, "used_device_seconds": 15.0, "stopped_by": "steps"},
        "recipe": {"steps": 300},
        "steps": 300,
        "examples": items,
        "tokens": 450_000,
        "tokens_per_second": rng.uniform(25_000, 35_000),
        "peak_memory_bytes": 600_000_000,
    }
    write_json(child.change / TRAINING_RECORD, training)
    _write_scores(suite, child, outcomes)


def write_cross(child: Generation, parents: tuple[str, str], outcomes: int) -> None:
    """A child of two generations that are there, with its plan, a human's yes, and the average of both beside it."""
    overlay = {"generations": child.number}
    write_text(
        description_file(child.lineage),
        yaml.safe_dump({"parents": {child.number: list(parents)}} | {"overlay": overlay}),
    )
    config = load_config_of(Path("config/default.yaml"), child)
    first, other = (ParentFiles(each.weights, each.change, each.plan) for each in child.parents)
    plan = propose_cross(config, child, (first, other))
    write_json(child.plan, plan.model_dump(mode="json"))
    record = synthetic_record(digest_file(child.plan), CROSS_PLAN.piece_digests(None, child), 0.1)
    write_json(child.plan.with_name("plan.record.json"), {"record": record.model_dump(mode="json")})
    approve(child, plan_digest(plan), Approver(name="A Tester"))
    for arm in (child, child.control):
        write_text(arm.change / "adapter_model.safetensors", arm.name)
        write_text(arm.change / "README.md", arm.name)
        training = {
            "generation": arm.name,
            "record": synthetic_record(change_digest(arm.change), CROSSED.piece_digests(None, arm), 1.0).model_dump(
                mode="json"
            ),
            "parents": [parent.model_dump(mode="json") for parent in plan.parents],
            "crossing": arm.crossing.model_dump(mode="json"),
            "rank": 32,
            "residual": None,
            "budget": {"ceiling_device_seconds": 120.0, "used_device_seconds": 1.0, "stopped_by": "end"},
        }
        write_json(arm.change / TRAINING_RECORD, training)
        _write_scores(load_suite(SUITE), arm, outcomes)


def _write_plan(child: Generation) -> None:
    adapter, previous = (child.parent.change, child.parent.plan) if child.parent.number else (None, None)
    config = load_config(Path("config/default.yaml"))
    plan = build_plan(config, child, PlanInputs(child.weights, adapter, child.curriculum, previous, None))
    write_json(child.plan, plan.model_dump(mode="json"))
    record = synthetic_record(digest_file(child.plan), PLAN.piece_digests(None, child), 0.1)
    write_json(child.plan.with_name("plan.record.json"), {"record": record.model_dump(mode="json")})
    approve(child, plan_digest(plan), Approver(name="A Tester"))


def _write_curriculum(rng: random.Random, child: Generation, items: int) -> None:
    cells = [(skill, difficulty) for skill, most in SKILLS.items() for difficulty in range(1, most + 1)]
    rows = []
    for place in range(items):
        skill, difficulty = cells[place % len(cells)]
        problem = get_skill(skill).sample(rng, difficulty)
        rows.append(
            {
                "id": item_id(skill, problem.prompt, problem.completion),
                "skill": skill,
                "difficulty": difficulty,
                "prompt": problem.prompt,
                "completion": problem.completion,
                "teacher": {"generation": child.parent.name, "digest": "0" * 64},
                "verdict": {"verified": not child.is_control, "by": skill, "score": 1.0},
                "strategy": "0" * 64,
            }
        )
    write_jsonl(child.curriculum, rows)
    inputs = CURRICULUM.piece_digests(None, child) | {"strategy": "0" * 64}
    card = {
        "generation": child.name,
        "parent": child.parent.name,
        "strategy": "config/strategies/frontier.yaml",
        "items": items,
        "sampled": 3 * items,
        "answered": items,
        "kept": items,
        "replayed": 0,
        "anchors": 0,
        "to_write": 0,
        "acceptance": 0.25,
        "contamination": 3,
        "dropped": {"wrong": 2 * items},
        "cells": [
            {
                "skill": skill,
                "difficulty": difficulty,
                "sampled": 400,
                "verified": 200,
                "pass_rate": rng.random(),
                "asked": items // len(cells),
                "kept": items // len(cells),
            }
            for skill, difficulty in cells
        ],
        "measures": {"vendi": rng.uniform(100, 150), "novelty": rng.random()},
        "warnings": [],
        "record": synthetic_record(digest_file(child.curriculum), inputs, 20.0).model_dump(mode="json"),
    }
    write_json(child.card, card)
    write_text(child.dataset_card, f"The curriculum {digest_file(child.curriculum)}.\n")


def _write_scores(suite: Suite, generation: Generation, outcomes: int) -> None:
    rng = random.Random(generation.name)
    weights = suite.weights
    rows, tasks = [], {}
    for tier, names in weights.items():
        for task in names:
            count = min(outcomes, len(suite.items.get(task, ())) or 50)
            scores = [float(rng.random() < min(0.9, 0.4 + 0.01 * generation.number)) for _ in range(count)]
            for index, score in enumerate(scores):
                text = json.dumps([task, index, rng.random()])
                rows.append(
                    {"task": task, "index": index, "item": f"{index}", "prompt": task, "target": "1", "answer": text}
                    | {"score": score}
                )
            tasks[task] = {"tier": tier, "score": 100 * sum(scores) / count, "n": count, "stderr": 3.0}
    tiers = {
        tier: {
            "score": sum(weight * tasks[task]["score"] for task, weight in names.items()) / sum(names.values()),
            "weight": getattr(suite.tiers, tier).weight,
        }
        for tier, names in weights.items()
    }
    total = sum(each["weight"] for each in tiers.values())
    scores_file = {
        "generation": generation.name,
        "partial": False,
        "score": sum(each["weight"] * each["score"] for each in tiers.values()) / total,
        "bits_per_byte": 1.05,
        "suite": {"name": suite.name, "digest": suite_digest(SUITE)},
        "tiers": tiers,
        "tasks": tasks,
    }
    write_json(generation.scores, scores_file)
    write_jsonl(generation.samples, rows)
    digest = scores_digest(digest_file(generation.scores), digest_file(generation.samples))
    record = synthetic_record(digest, SCORES.piece_digests(None, generation), 8.0)
    write_json(generation.scores_record, {"record": record.model_dump(mode="json")})
