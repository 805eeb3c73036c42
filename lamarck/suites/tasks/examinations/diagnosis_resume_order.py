# Stands for the frozen tests with sha256 79c42bb03f8b9f4cab70cc73ac82494b326cfe87167b6594ad69f14bed84b449
import torch
from examiner import ask, equal

STATE = "[dict(each['model']) for each in (whole, second)], [each['step'] for each in (whole, second)], sorted(whole)"
PARTS = "whole_used, first_used, second_used, [order(epoch).tolist() for epoch in (0, 1, 2, 5)]"
AGAIN = """
state, used, steps = None, [], []
for stop in stops:
    state, part = train(stop, state)
    steps.append(state["step"])
    used += part
used, steps, dict(state["model"])
"""


def close_states(one, other, atol):
    assert one and set(one) == set(other)
    assert all(torch.allclose(value, other[name], atol=atol) for name, value in one.items())


def check_a_resumed_run_is_the_whole_run():
    whole_used, first_used, second_used, _ = ask(PARTS)
    assert first_used + second_used == whole_used
    (whole, second), *_ = ask(STATE)
    close_states(whole, second, 1e-6)


def still_what_was_right():
    whole_used, first_used, second_used, orders = ask(PARTS)
    assert [len(part) for part in (whole_used, first_used, second_used)] == [18, 9, 9]
    (whole, _), steps, names = ask(STATE)
    assert names == ["model", "optimizer", "rng", "scheduler", "step"] and steps == [18, 18]
    for epoch in range(3):
        wanted = torch.randperm(24, generator=torch.Generator().manual_seed(1000 + epoch)).tolist()
        assert orders[epoch] == wanted == [each for part in whole_used[6 * epoch : 6 * epoch + 6] for each in part]
    assert orders[0] != orders[1] and sorted(orders[3]) == list(range(24))
    _, _, again = ask(AGAIN, stops=[18])
    assert set(again) == set(whole)
    for name, value in again.items():
        equal(value, whole[name])
    # Any step can be resumed from, the border of an epoch included, and more than once.
    for stops in ([1, 18], [6, 18], [12, 13, 18], [5, 7, 17, 18]):
        used, steps, model = ask(AGAIN, stops=stops)
        assert steps == stops and used == whole_used
        close_states(whole, model, 1e-6)
