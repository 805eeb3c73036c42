"""What fits where, and what the refusal says; hours and dollars follow from the assumptions that are named."""

from pathlib import Path

import pytest

from lamarck.budget.estimate import duration, estimate_generation
from lamarck.budget.machine import load_catalogue, training_speed
from lamarck.budget.memory import GIB
from lamarck.budget.shape import shape_of_founder
from lamarck.config import Config, HubFounder, Machine, load_config
from lamarck.errors import LamarckError

NOWHERE = Path("nowhere")
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


def test_training_in_bfloat16_does_not_fit_that_card_and_the_refusal_says_what_would() -> None:
    said = refusal(changed(recipe={"quantize": "none"}))
    assert said.startswith("train does not fit") and "131 of them for weights" in said
    assert "recipe.quantize: nf4 on one H100 SXM" in said


def test_an_engine_in_bfloat16_does_not_fit_one_card_of_80_gb_but_several_that_split_it() -> None:
    said = refusal(changed(machines={"curriculum": {"gpu": "H100 SXM"}}))
    assert said.startswith("curriculum does not fit: it needs 165 GiB")
    assert "bfloat16 on 4 x H100 SXM, split by tensor parallelism" in said
    assert "awq on 1 x H100 SXM" in said and "as it is on one B200" in said


def test_two_long_examples_side_by_side_do_not_fit() -> None:
    assert "recipe.batch_size: 3 on one H100 SXM" in refusal(changed(recipe={"batch_size": 4}))


def test_what_a_server_holds_is_its_own_affair() -> None:
    values = BIG.model_dump(mode="json")
    values["engine"] = {"kind": "server", "url": "http://127.0.0.1:8000/v1", "chat": True}
    values["machines"]["curriculum"] = {"gpu": "H100 SXM", "count": 2, "tokens_per_second": 1000}
    curriculum, _, _ = estimate_generation(Config.model_validate(values), 1, SHAPE)
    assert curriculum.memory.total == 0
    assert curriculum.hours == pytest.approx(curriculum.tokens / 1000 / 3600)
    assert curriculum.dollars == pytest.approx(curriculum.hours * 2 * 3.99)


def test_what_no_machine_holds_is_said_to_fit_nowhere() -> None:
    said = refusal(changed(engine={"batch_size": 100_000}, machines={"curriculum": {"gpu": "B300"}}))
    assert "nothing in config/machines.yaml would" in said


def test_more_gpus_than_a_step_can_use_are_refused() -> None:
    said = refusal(changed(machines={"train": {"gpu": "H100 SXM", "count": 4}}))
    assert said == "machines.train.count is 4, but the trainer uses one GPU: the others would idle"


def test_an_unknown_gpu_names_the_known_ones() -> None:
    assert "no GPU called 'H1000': it has A40, A100 SXM" in refusal(changed(machines={"curriculum": {"gpu": "H1000"}}))


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


def test_the_assumed_speed_of_training_is_the_published_one() -> None:
    speed = training_speed(load_catalogue(), Machine(gpu="H100 SXM"), SHAPE)
    assert speed.tokens_per_second == pytest.approx(786, rel=0.02)


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
