"""What fits where, and what the refusal says; hours and dollars follow from the assumptions that are named."""

import json
import math
from pathlib import Path

import pytest

from lamarck.budget.estimate import duration, estimate_generation, estimate_training
from lamarck.budget.machine import load_catalogue, training_speed
from lamarck.budget.memory import GIB, ROOM, recomputed_layers, training_memory
from lamarck.budget.shape import shape_of_founder
from lamarck.budget.work import most_items, training_work
from lamarck.config import Config, StageMachine, load_config
from lamarck.config.founder import Founder, HubFounder
from lamarck.errors import LamarckError
from lamarck.files import write_json
from lamarck.lineage.generation import WEIGHTS_RECORD
from lamarck.lineage.records import make_record

NOWHERE = Path("nowhere")
SHAPE_8B, SHAPE_70B = (f"deepseek-ai/DeepSeek-R1-Distill-Llama-{size}" for size in ("8B", "70B"))
BIG = load_config(Path("config/70b.yaml"))
SHAPE = shape_of_founder(BIG.founder, NOWHERE)


def changed(**changes: dict[str, object]) -> Config:
    """config/70b.yaml with other keys in its sections."""
    values = BIG.model_dump(mode="json")
    for section, keys in changes.items():
        values[section] |= keys
    return Config.model_validate(values)


def refusal(config: Config) -> str:
    with pytest.raises(LamarckError) as error:
        estimate_generation(config, 1, SHAPE)
    return str(error.value)


def test_qlora_of_the_original_fits_one_card_of_80_gb_with_room_to_spare() -> None:
    _, train, _ = estimate_generation(BIG, 1, SHAPE)
    assert (train.machine.gpu, train.machine.count) == ("H100 SXM", 1)
    assert 41 * GIB < train.memory.total < 72 * GIB  # published: 41 GB with shorter texts, Unsloth


def test_one_gpu_trains_writes_and_serves_the_original() -> None:
    """One shape of machine, so one pod for a whole generation; in all else it is config/70b.yaml."""
    alone = load_config(Path("config/70b-one-gpu.yaml"))
    steps = estimate_generation(alone, 1, SHAPE)
    assert {each.machine.place for each in steps} == {("H200", 1)}
    assert all(each.memory.weights < 68 * GIB for each in steps)
    split = {"engine": BIG.engine.model_copy(update={"tensor_parallel": 1}), "machines": alone.machines}
    assert alone == BIG.model_copy(update=split)


def test_training_in_bfloat16_does_not_fit_that_card_and_the_refusal_says_what_would() -> None:
    said = refusal(changed(recipe={"quantize": "none"}))
    assert said.startswith("train does not fit") and "131 of them for weights" in said
    assert "recipe.quantize: nf4 on one H100 SXM" in said


def with_engine(engine: dict[str, object], gpu: str, count: int = 1) -> Config:
    """config/70b.yaml with another engine, writing on such a machine."""
    values = BIG.model_dump(mode="json")
    values["engine"] = {"dtype": "bfloat16"} | engine
    values["machines"] |= {step: {"gpu": gpu, "count": count} for step in ("curriculum", "eval")}
    return Config.model_validate(values)


def test_an_engine_in_bfloat16_does_not_fit_one_card_of_80_gb_but_several_that_split_it() -> None:
    said = refusal(with_engine({"kind": "hf", "batch_size": 16}, "H100 SXM"))
    assert said.startswith("curriculum does not fit: it needs 165 GiB, 131 of them for weights")
    assert "engine vllm in bfloat16 on 2 x H100 SXM; engine vllm in fp8 on 1 x H100 SXM; as it is on 1 x B200" in said


def test_what_the_refusal_advises_fits() -> None:
    config = with_engine({"kind": "vllm", "tensor_parallel": 2}, "H100 SXM", 2)
    curriculum, _, _ = estimate_generation(config, 1, SHAPE)
    assert curriculum.memory.total <= 79.6 * GIB
    assert curriculum.memory.weights == pytest.approx(70_553_706_496 * 2 / 2)


def test_vllm_has_as_many_texts_at_work_as_fit() -> None:
    few, many = (
        estimate_generation(with_engine({"kind": "vllm", "quantization": "fp8"} | keys, "H200"), 1, SHAPE)
        for keys in ({"memory_share": 0.8}, {"memory_share": 0.9})
    )
    assert few[2].memory.cache < many[2].memory.cache
    assert few[2].speed.tokens_per_second < many[2].speed.tokens_per_second
    # One text more on the whole card would be one too many.
    one = many[2].memory.cache / int(many[2].speed.source.split(", ")[1].split()[0])
    gpu = load_catalogue().gpus["H200"]
    assert many[2].memory.total <= gpu.memory < many[2].memory.total + 1.1 * one


def test_where_not_one_text_fits_vllm_is_refused() -> None:
    said = refusal(with_engine({"kind": "vllm"}, "H100 SXM"))
    assert said.startswith("curriculum does not fit") and "engine vllm in bfloat16 on 2 x H100 SXM" in said


def test_the_gpus_of_a_machine_are_those_that_split_the_model() -> None:
    said = refusal(with_engine({"kind": "vllm", "tensor_parallel": 2}, "H100 SXM", 4))
    assert said == "machines.curriculum.count is 4, but engine.tensor_parallel splits the model over 2: make them equal"


def test_five_long_examples_side_by_side_do_not_fit() -> None:
    assert "recipe.batch_size: 12 on one H100 SXM" in refusal(changed(recipe={"batch_size": 13}))


def test_what_a_server_holds_is_its_own_affair() -> None:
    values = BIG.model_dump(mode="json")
    values["engine"] = {"kind": "server", "url": "http://127.0.0.1:8000/v1", "chat": True}
    values["machines"]["curriculum"] = {"gpu": "H100 SXM", "count": 2, "tokens_per_second": 10_000}
    curriculum, _, _ = estimate_generation(Config.model_validate(values), 1, SHAPE)
    assert curriculum.memory.total == 0
    assert curriculum.hours == pytest.approx(curriculum.tokens / 10_000 / 3600)
    assert curriculum.dollars == pytest.approx(curriculum.hours * 2 * 3.99)


def test_what_no_machine_holds_is_said_to_fit_nowhere() -> None:
    everything = changed(recipe={"quantize": "none", "batch_size": 1, "max_tokens": 131072})
    assert "nothing in config/machines.yaml would" in refusal(everything)


def test_more_gpus_than_a_step_can_use_are_refused() -> None:
    said = refusal(with_engine({"kind": "hf"}, "B200", 2))
    assert said == "machines.curriculum.count is 2, but the engine hf uses one GPU: the others would idle"


def trained_on(gpu: str, count: int, batch_size: int) -> Config:
    return changed(machines={"train": {"gpu": gpu, "count": count}}, recipe={"batch_size": batch_size})


def test_gpus_that_train_together_split_the_frozen_layers() -> None:
    # On GPUs so large that every layer is kept.
    _, alone, _ = estimate_generation(trained_on("B300", 1, 1), 1, SHAPE)
    _, both, _ = estimate_generation(trained_on("B300", 2, 2), 1, SHAPE)
    numbers = SHAPE.linear_parameters / 2  # bytes, at four bits
    assert alone.memory.weights - both.memory.weights == pytest.approx(numbers / 2)
    assert both.memory.activations - alone.memory.activations == pytest.approx(3 * numbers / SHAPE.layers)
    assert both.memory.trained == alone.memory.trained


def test_what_several_gpus_load_must_fit_each_before_they_split_it() -> None:
    _, train, _ = estimate_generation(trained_on("A40", 4, 4), 1, SHAPE)
    assert train.memory.activations == 0
    assert train.memory.weights == pytest.approx(39.5e9, rel=0.01)  # 36.8 GiB: as much as one GPU would hold


def test_gpus_that_train_together_end_at_the_ceiling_of_their_seconds_together() -> None:
    config = trained_on("H100 SXM", 4, 4)
    config = config.model_copy(update={"budget": config.budget.model_copy(update={"device_seconds": 3600})})
    _, train, _ = estimate_generation(config, 1, SHAPE)
    assert (train.hours, train.device_hours) == (0.25, 1)


def test_more_gpus_are_advised_where_they_make_room() -> None:
    said = refusal(changed(recipe={"batch_size": 16}))
    assert "recipe.batch_size: 12 on one H100 SXM; as it is on 2 x H100 SXM; as it is on one " in said


def test_an_unknown_gpu_names_the_known_ones() -> None:
    said = refusal(changed(machines={"train": {"gpu": "H1000"}}))
    assert "no GPU called 'H1000': it has A40, A100 SXM" in said


def test_steps_of_epochs_are_those_of_the_most_items_that_there_may_be() -> None:
    """Counted by hand: g3 of the demo replays 100 of each of 21 cells, twice, and learns at most as many as written.
    Wrong: the recipe's 300 steps, or the items of the strategy's size alone."""
    demo = load_config(Path("config/default.yaml"))
    solved = 5000 + 21 + 2 * 2100
    written = 0.5 * solved + 3 * solved**0.5
    assert most_items(demo, 3) == solved + math.ceil(written)
    assert most_items(demo, 1) < most_items(demo, 2) < most_items(demo, 3)
    config = changed(recipe={"steps": None, "epochs": 2})
    work = training_work(config.recipe, config.recipe.steps_over(most_items(config, 1)))
    _, train, _ = estimate_generation(config, 1, SHAPE)
    assert train.tokens == work.tokens
    assert train.tokens != estimate_generation(BIG, 1, SHAPE)[1].tokens


def test_hours_and_dollars_follow_from_speed_price_and_arms() -> None:
    machine = {"gpu": "H100 SXM", "tokens_per_second": 1000.0, "dollars_per_hour": 2.0}
    config = changed(machines={"train": machine})
    _, alone, _ = estimate_generation(config, 1, SHAPE)
    _, both, _ = estimate_generation(config.model_copy(update={"control": True}), 1, SHAPE)
    assert alone.tokens == 500 * 3 * 4096
    assert alone.hours == pytest.approx(alone.tokens / 1000 / 3600)
    assert alone.dollars == pytest.approx(2 * alone.hours)
    assert both.dollars == pytest.approx(2 * alone.dollars)


def test_the_approved_ceiling_ends_a_run() -> None:
    _, train, _ = estimate_generation(changed(budget={"device_seconds": 3600}), 1, SHAPE)
    assert train.hours == 1


def test_the_ceilings_of_writing_and_evaluating_end_them() -> None:
    """Device-seconds: of four GPUs together."""
    curriculum, _, evaluation = estimate_generation(
        changed(budget={"writing_seconds": 1440, "evaluating_seconds": 14400}), 1, SHAPE
    )
    assert (curriculum.hours, evaluation.device_hours) == (0.1, 4)


# Shape, layers computed twice, GiB at the peak, tokens a second: as docs/gpu.md has them.
MEASURED = [(SHAPE_8B, 32, 8.6, 6448), (SHAPE_8B, 0, 37.8, 10674), (SHAPE_70B, 70, 62.0, 1286)]


@pytest.mark.parametrize(("repo", "recomputed", "gib", "tokens_per_second"), MEASURED)
def test_memory_and_speed_of_training_are_estimated_as_they_were_measured(
    repo: str, recomputed: int, gib: float, tokens_per_second: float
) -> None:
    """What is spare in the estimate is no part of PyTorch's peak."""
    shape = shape_of_founder(HubFounder(kind="hub", repo=repo, revision="0" * 40), NOWHERE)
    assert training_memory(shape, BIG.recipe, 1, recomputed).total / GIB == pytest.approx(gib, rel=0.1)
    speed = training_speed(load_catalogue(), StageMachine(gpu="H200"), shape, BIG.recipe, recomputed)
    assert speed.tokens_per_second == pytest.approx(tokens_per_second, rel=0.2)


@pytest.mark.parametrize(("gpu", "repo"), [("H100 SXM", SHAPE_70B), ("A40", SHAPE_8B)])
def test_layers_are_computed_twice_only_as_far_as_memory_asks_for_it(gpu: str, repo: str) -> None:
    shape = shape_of_founder(HubFounder(kind="hub", repo=repo, revision="0" * 40), NOWHERE)
    room = ROOM * load_catalogue().gpus[gpu].memory
    count = recomputed_layers(shape, BIG.recipe, 1, 1, room)
    assert 0 < count < shape.layers
    fewer, enough = (training_memory(shape, BIG.recipe, 1, each).with_reserve().total for each in (count - 1, count))
    assert enough <= room < fewer
    config = changed(machines={"train": {"gpu": gpu}})
    estimate = estimate_training(config, load_catalogue(), 1, shape, 10**6)
    assert estimate.memory.total == enough
    assert f"{count} of {shape.layers} layers computed twice" in estimate.speed.source


def test_a_small_model_keeps_every_layer_and_trains_half_again_as_fast() -> None:
    shape = shape_of_founder(HubFounder(kind="hub", repo=SHAPE_8B, revision="0" * 40), NOWHERE)
    assert recomputed_layers(shape, BIG.recipe, 1, 1, ROOM * load_catalogue().gpus["H100 SXM"].memory) == 0
    kept, twice = (
        training_speed(load_catalogue(), StageMachine(gpu="H200"), shape, BIG.recipe, count).tokens_per_second
        for count in (0, shape.layers)
    )
    assert kept == pytest.approx(1.5 * twice)


def test_the_tiny_world_runs_here_for_nothing() -> None:
    config = load_config(Path("config/default.yaml"))
    steps = estimate_generation(config, 1, shape_of_founder(config.founder, NOWHERE))
    assert {each.machine.gpu for each in steps} == {"here"}
    assert sum(each.dollars for each in steps) == 0
    assert max(each.hours for each in steps) < 0.5


def test_a_founder_whose_shape_nobody_wrote_down_is_refused() -> None:
    with pytest.raises(LamarckError, match="the shape of some/model is not known before it is here"):
        shape_of_founder(HubFounder(kind="hub", repo="some/model", revision="0" * 40), NOWHERE)


@pytest.mark.parametrize(("hours", "said"), [(0.01, "36 s"), (0.5, "30 min"), (28.5, "28.5 h")])
def test_durations_are_for_people(hours: float, said: str) -> None:
    assert duration(hours) == said


def test_the_founder_of_another_configuration_that_lies_in_the_checkout_is_not_taken_for_this_one(
    tmp_path: Path,
) -> None:
    two_layers = {"model_type": "llama", "hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128}
    two_layers |= {"num_hidden_layers": 2, "vocab_size": 300, "max_position_embeddings": 96}
    (tmp_path / "config.json").write_text(json.dumps(two_layers))

    def lay_down(founder: Founder) -> None:
        record = make_record("0" * 64, {"founder": founder.digest()}, 0, "cpu", 1.0, 1.0)
        write_json(tmp_path / WEIGHTS_RECORD, {"record": record.model_dump(mode="json")})

    lay_down(load_config(Path("config/default.yaml")).founder)
    assert shape_of_founder(BIG.founder, tmp_path) == SHAPE
    lay_down(BIG.founder)
    assert shape_of_founder(BIG.founder, tmp_path).layers == 2
