"""Scores find their way to the strategies that earned them; the rank correlation is scipy's."""

import itertools
import random
from pathlib import Path

import pytest
from scipy.stats import spearmanr

from lamarck.files import write_json
from lamarck.lineage.generation import Generation
from lamarck.lineage.reward import rank_correlation, rewards_table, route_rewards
from tests.curriculum.lines import card, items

WRITTEN = items({("json_mode", 1): 3}, seed=1)


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def generation(
    number: int, strategy: str, score: float | None, partial: bool = False, control: float | None = None
) -> None:
    """gN, whose curriculum its parent wrote under `strategy`; `score` None: made, but not yet measured. `control`: the
    score of its control arm."""
    child = Generation(number)
    content = card(WRITTEN, child.name, child.parent.name)
    content["record"]["inputs"]["strategy"] = strategy
    content["strategy"] = f"{strategy}.yaml"
    write_json(child.card, content)
    if score is not None:
        write_scores(child, score, partial)
    if control is not None:
        write_scores(child.control, control)


def write_scores(generation: Generation, score: float, partial: bool = False) -> None:
    suite = {"name": "suite", "digest": "0"}
    content = {"generation": generation.name, "partial": partial, "score": score, "suite": suite}
    write_json(generation.scores, content | {"tiers": {}, "tasks": {}})


def test_a_strategy_is_rewarded_with_its_users_grandchild() -> None:
    for number, strategy, score in ((1, "a", 50.0), (2, "b", 60.0), (3, "a", 40.0), (4, "b", None)):
        generation(number, strategy, score)
    routing = route_rewards(5)
    a, b = routing.by_strategy
    # g0 wrote g1's curriculum under a; its child g1 has 50, its grandchild g2 60.
    assert (a.digest, a.path) == ("a", "a.yaml")
    assert a.proxies == {"g0": 50.0, "g2": 40.0}
    assert a.rewards == {"g0": 60.0}
    assert b.proxies == {"g1": 60.0}
    assert b.rewards == {"g1": 40.0}
    assert (routing.pairs, routing.rank_correlation) == (0, None)


def test_a_partial_score_is_not_a_reward() -> None:
    generation(1, "a", 50.0)
    generation(2, "a", 60.0, partial=True)
    [strategy] = route_rewards(2).by_strategy
    assert (strategy.proxies, strategy.rewards) == ({"g0": 50.0}, {})


def test_from_ten_pairs_on_gains_over_the_control_arm_are_correlated() -> None:
    """Scores that rise with time alone: their levels are correlated without an exception, their gains are not."""
    luck = [0.3, -0.2, 0.1, 0.4, -0.5, 0.2, -0.1, 0.5, -0.3, 0.0, -0.4]
    for number, gain in enumerate(luck, start=1):
        generation(number, "a", 50.0 + number + gain, control=50.0 + number)
    few = route_rewards(9)
    assert (few.pairs, few.rank_correlation) == (9, None)
    routing = route_rewards(10)
    assert routing.pairs == 10
    assert routing.rank_correlation == pytest.approx(spearmanr(luck[:-1], luck[1:]).statistic, abs=1e-6)
    levels = [50.0 + number + gain for number, gain in enumerate(luck)]
    assert rank_correlation(list(itertools.pairwise(levels))) == pytest.approx(1.0)
    assert routing.by_strategy[0].gains["g0"] == pytest.approx(luck[1])


@pytest.mark.parametrize("seed", range(20))
def test_rank_correlation_is_spearmans(seed: int) -> None:
    generator = random.Random(seed)
    # Few different values: ties are where a rank correlation goes wrong.
    pairs = [(float(generator.randrange(4)), float(generator.randrange(4))) for _ in range(12)]
    expected = spearmanr(*zip(*pairs, strict=True)).statistic
    assert rank_correlation(pairs) == pytest.approx(expected, abs=1e-6)


def test_an_undefined_correlation_has_no_value() -> None:
    assert rank_correlation([(1.0, 2.0), (2.0, 3.0)]) is None
    assert rank_correlation([(1.0, float(number)) for number in range(12)]) is None


def test_the_table_comes_with_the_first_reward() -> None:
    generation(1, "a", 50.0)
    assert rewards_table(route_rewards(3)) is None
    generation(2, "a", 60.0)
    table = rewards_table(route_rewards(3))
    assert table is not None
    assert table.row_count == 2
    assert "rank correlation" not in str(table.caption)
