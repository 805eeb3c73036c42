"""The bridge to lm-eval, with an engine that writes down what it is asked."""

from collections.abc import Callable

import pytest
from lm_eval.api.instance import Instance

from lamarck.errors import LamarckError
from lamarck.eval.lm import EngineLM

GREEDY = {"do_sample": False, "temperature": 0.0}


class Echo:
    """Answers every prompt with itself and an afterthought; remembers its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[str], int]] = []

    def generate(
        self,
        prompts: list[str],
        *,
        max_new_tokens: int,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        on_done: Callable[[int], None] = lambda finished: None,
    ) -> list[str]:
        assert temperature == 0.0
        self.calls.append((prompts, max_new_tokens))
        on_done(len(prompts))
        return [f"{prompt} says ; then\nmore" for prompt in prompts]

    def loglikelihoods(self, texts: list[str]) -> list[float]:
        return [-float(len(text)) for text in texts]


def request(*arguments: object, kind: str = "generate_until") -> Instance:
    return Instance(request_type=kind, doc={}, arguments=arguments, idx=0)


def test_one_engine_call_for_all_requests_of_a_length_in_their_order() -> None:
    engine = Echo()
    finished: list[int] = []
    settings = [{**GREEDY, "until": ["\n"], "max_gen_toks": limit} for limit in (8, 16, 8)]
    requests = [request(name, each) for name, each in zip("abc", settings, strict=True)]
    assert EngineLM(engine, finished.append).generate_until(requests) == [f"{name} says ; then" for name in "abc"]
    assert engine.calls == [(["a", "c"], 8), (["b"], 16)]
    assert sum(finished) == 3


@pytest.mark.parametrize(
    ("until", "answer"),
    [([], "a says ; then\nmore"), (["\n"], "a says ; then"), (["\n", " ;"], "a says"), (" says", "a")],
)
def test_an_answer_ends_before_the_first_stop_string(until: str | list[str], answer: str) -> None:
    asked = request("a", {**GREEDY, "until": until, "max_gen_toks": 8})
    assert EngineLM(Echo()).generate_until([asked]) == [answer]


@pytest.mark.parametrize("wrong", [{"do_sample": True}, {"temperature": 0.7}, {"top_k": 5}])
def test_settings_that_would_be_ignored_are_refused(wrong: dict[str, object]) -> None:
    asked = request("a", {**GREEDY, "until": [], "max_gen_toks": 8, **wrong})
    with pytest.raises(LamarckError, match="greedily"):
        EngineLM(Echo()).generate_until([asked])


def test_whole_texts_are_scored_and_parts_refused() -> None:
    model = EngineLM(Echo())
    assert model.loglikelihood_rolling([request("abc", kind="loglikelihood_rolling")]) == [-3.0]
    with pytest.raises(LamarckError, match="whole texts only"):
        model.loglikelihood([request("a", "b", kind="loglikelihood")])
