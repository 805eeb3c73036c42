"""Merges that mergekit and this project are both asked for: method by method, parameter by parameter.

Models are directories named base, a, b, c (four layers, one tokenizer), and more (another tokenizer).
"""

from typing import Any

Case = dict[str, Any]


def _models(**weights: Any) -> list[dict[str, Any]]:
    """a: 0.5 -> weight 0.5; a: {..} -> those parameters; a: None -> none."""
    return [
        {"model": name}
        | ({} if value is None else {"parameters": value if isinstance(value, dict) else {"weight": value}})
        for name, value in weights.items()
    ]


def _case(method: str, models: list[dict[str, Any]], base: str | None = "base", **parameters: Any) -> Case:
    case: Case = {"merge_method": method, "models": models, "dtype": "float32"}
    if base:
        case["base_model"] = base
    if parameters:
        case["parameters"] = {name.removesuffix("_"): value for name, value in parameters.items()}
    return case


def _slices(method: str, ranges: list[dict[str, list[int]]], extra: list[Case] | None = None, **more: Any) -> Case:
    extra = extra or [{}] * len(ranges)
    slices = [
        {"sources": [{"model": model, "layer_range": each} for model, each in part.items()], **own}
        for part, own in zip(ranges, extra, strict=True)
    ]
    return {"merge_method": method, "slices": slices, "dtype": "float32", **more}


def _source(model: str, first: int, last: int, **parameters: Any) -> dict[str, Any]:
    return {"model": model, "layer_range": [first, last]} | ({"parameters": parameters} if parameters else {})


AB, ABC = {"a": 0.3, "b": 0.9}, {"a": 0.3, "b": 0.9, "c": -0.4}
DENSE = {
    "a": {"weight": 0.6, "density": 0.4},
    "b": {"weight": 0.9, "density": 0.7},
    "c": {"weight": 0.5, "density": 0.1},
}
# The same, each with a width of chance, or of what is cut off at the top, of its own.
WIDE = {name: values | {"epsilon": values["density"] / 4} for name, values in DENSE.items()}
CUT = {name: values | {"gamma": values["density"] / 5} for name, values in DENSE.items()}
FILTERS = [{"filter": "self_attn", "value": 0.2}, {"filter": "layers.2", "value": [0.1, 0.7]}, {"value": 0.8}]

DETERMINISTIC: dict[str, Case] = {
    "linear": _case("linear", _models(**AB), None),
    "linear of three": _case("linear", _models(**ABC), None),
    "linear, not normalised": _case("linear", _models(**AB), None, normalize=False),
    "linear, weight of the document": _case("linear", _models(a=None, b=0.9), None, weight=0.4),
    "linear, gradient of a model": _case("linear", _models(a={"weight": [0.0, 0.5, 1.0]}, b=0.5), None),
    "linear, filters": _case("linear", _models(a={"weight": FILTERS}, b=0.5), None),
    "linear, filters without a default": _case(
        "linear", _models(a={"weight": [{"filter": "mlp", "value": 0.1}]}, b=0.5), None, weight=0.7
    ),
    "passthrough": _case("passthrough", _models(a=None), None),
    "passthrough, scaled": _case("passthrough", _models(a={"scale": [{"filter": "down_proj", "value": 0.5}]}), None),
    "task arithmetic": _case("task_arithmetic", _models(**ABC)),
    "task arithmetic, normalised": _case("task_arithmetic", _models(**ABC), normalize=True),
    "task arithmetic, lambda": _case("task_arithmetic", _models(**ABC), lambda_=0.3),
    "task arithmetic, lambda by gradient": _case("task_arithmetic", _models(**ABC), lambda_=[0.0, 1.0]),
    "task arithmetic, the base among the models": _case("task_arithmetic", _models(base=0.7, **AB), normalize=True),
    "ties": _case("ties", _models(**DENSE)),
    "ties, density 1": _case("ties", _models(**ABC)),
    "ties, not normalised": _case("ties", _models(**DENSE), normalize=False),
    "ties, rescaled": _case("ties", _models(**DENSE), rescale=True),
    "ties, lambda": _case("ties", _models(**DENSE), lambda_=1.4),
    "ties, int8_mask": _case("ties", _models(**DENSE), int8_mask=True),
    "task arithmetic, int8_mask": _case("task_arithmetic", _models(**AB), int8_mask=True),
    "ties, normalised in some layers": _case("ties", _models(**DENSE), normalize=[True, False], rescale=[0, 1]),
    "ties, density 0": _case("ties", _models(**AB), density=0.0),
    "ties, one model": _case("ties", _models(a=1.0), density=0.5),
    "ties, the base among the models": _case("ties", _models(base={"weight": 0.7, "density": 0.2}, **DENSE)),
    "ties, density by filter and gradient": _case("ties", _models(**AB), density=FILTERS),
    "breadcrumbs": _case("breadcrumbs", _models(**DENSE)),
    "breadcrumbs, gamma": _case("breadcrumbs", _models(**DENSE), gamma=0.2),
    "breadcrumbs, gamma of a model": _case("breadcrumbs", _models(**CUT), lambda_=0.7, int8_mask=True),
    "breadcrumbs, rescaled": _case("breadcrumbs", _models(**DENSE), gamma=0.1, rescale=True, normalize=True),
    "breadcrumbs, more than there is": _case("breadcrumbs", _models(**AB), density=0.9, gamma=0.3),
    "breadcrumbs with consensus": _case("breadcrumbs_ties", _models(**DENSE), gamma=0.1),
    "breadcrumbs with consensus, normalised": _case("breadcrumbs_ties", _models(**DENSE), gamma=0.1, normalize=True),
    "breadcrumbs with consensus, all else": _case(
        "breadcrumbs_ties", _models(**CUT), lambda_=1.3, rescale=True, int8_mask=True
    ),
    "della_linear, density 1": _case("della_linear", _models(**ABC)),
    "dare_ties, density 1": _case("dare_ties", _models(**ABC)),
    "model stock of two": _case("model_stock", _models(a=None, b=None)),
    "model stock of three": _case("model_stock", _models(a=None, b=None, c=None)),
    "model stock by rows": _case("model_stock", _models(a=None, b=None, c=None), filter_wise=True),
    "slerp": _case("slerp", _models(a=None, b=None), "a", t=0.75),
    "slerp, base outside": _case("slerp", _models(b=None), "a", t=0.25),
    "slerp, beyond": _case("slerp", _models(a=None, b=None), "a", t=1.2),
    "slerp, gradient and filters": _case(
        "slerp", _models(a=None, b=None), "b", t=[{"filter": "self_attn", "value": [0, 0.5, 0.3, 1]}, {"value": 0.5}]
    ),
    "nuslerp": _case("nuslerp", _models(**AB), None),
    "nuslerp by rows": _case("nuslerp", _models(**AB), None, nuslerp_flatten=False),
    "nuslerp by columns": _case("nuslerp", _models(**AB), None, nuslerp_flatten=False, nuslerp_row_wise=True),
    "nuslerp of task vectors": _case("nuslerp", _models(**AB)),
    "nuslerp of task vectors by rows": _case("nuslerp", _models(**AB), nuslerp_flatten=False),
    "slices, stacked": _slices("passthrough", [{"a": [0, 3]}, {"b": [1, 4]}, {"a": [2, 3]}]),
    "slices, a gradient in each": _slices(
        "slerp", [{"a": [0, 2], "b": [0, 2]}, {"a": [2, 3], "b": [1, 2]}, {"a": [1, 4], "b": [1, 4]}],
        base_model="a", parameters={"t": [0.0, 0.6, 0.8, 0.3]},
    ),
    "slices, parameters of one": _slices(
        "slerp", [{"a": [0, 2], "b": [0, 2]}, {"a": [2, 4], "b": [2, 4]}], [{"parameters": {"t": [0.1, 0.9]}}, {}],
        base_model="a", parameters={"t": 0.5},
    ),
    "slices, ties": _slices(
        "ties", [{"base": [0, 2], "a": [0, 2], "b": [0, 2]}, {"base": [2, 4], "c": [2, 4]}],
        base_model="base", parameters={"density": 0.5, "weight": [0.2, 1.0]},
    ),
    "module": {
        "merge_method": "linear", "dtype": "float32", "parameters": {"weight": 0.1},
        "modules": {"default": {"models": _models(a=0.3, b=None), "parameters": {"weight": 0.6}}},
    },
    # Of a source, of its slice, of the module, of the document: the nearest counts, and each is the nearest somewhere.
    "every place at once": {
        "merge_method": "linear", "dtype": "float32", "parameters": {"weight": 0.1, "normalize": False},
        "modules": {"default": {"parameters": {"weight": [0.5, 0.7]}, "slices": [
            {"sources": [_source("a", 0, 3, weight=[0.2, 1.0]), _source("b", 1, 4)], "parameters": {"weight": 0.3}},
            {"sources": [_source("b", 0, 2), _source("c", 2, 4, weight=FILTERS)]},
        ]}},
    },
    "a filter of a slice before the document's value": _slices(
        "task_arithmetic", [{"base": [0, 2], "a": [0, 2]}, {"base": [2, 4], "a": [1, 3]}],
        [{"parameters": {"weight": [{"filter": "mlp", "value": [0.0, 1.0]}], "lambda": 0.4}}, {}],
        base_model="base", parameters={"weight": 0.8},
    ),
    "one filter, not in a list": _case(
        "linear", _models(a={"weight": {"filter": "mlp", "value": 0.1}}, b=0.5), None, weight={"value": 0.7}
    ),
    "read in 16 bits": _case("passthrough", _models(a={"scale": 0.3}), None) | {"dtype": "bfloat16"},
    "tokenizer of the base": _case("linear", _models(a=0.3, more=0.9), "a") | {"tokenizer_source": "base"},
    "tokenizer of a model": _case("linear", _models(a=0.3, more=0.9), "a") | {"tokenizer_source": "more"},
    "tokenizer of a model, ties": _case("ties", _models(a=0.3, more=0.9), density=0.6) | {"tokenizer_source": "more"},
    "tokenizer of a model that is not merged": _case("linear", _models(**AB), None) | {"tokenizer_source": "more"},
    "tokenizer of both": _case("linear", _models(a=0.3, more=0.9, b=0.2), "a") | {"tokenizer_source": "union"},
    "written in 16 bits": _case("linear", _models(**AB), None) | {"out_dtype": "bfloat16"},
}  # fmt: skip

RANDOM: dict[str, Case] = {
    "dare_linear": _case("dare_linear", _models(**DENSE)),
    "dare_linear, not rescaled": _case("dare_linear", _models(**DENSE), rescale=False),
    "dare_linear, all else": _case("dare_linear", _models(**DENSE), normalize=True, lambda_=0.7, int8_mask=True),
    "dare_ties": _case("dare_ties", _models(**DENSE)),
    "dare_ties, normalised": _case("dare_ties", _models(**DENSE), normalize=True, lambda_=0.8),
    "dare_ties, not rescaled": _case("dare_ties", _models(**DENSE), rescale=False, int8_mask=True),
    "della": _case("della", _models(**DENSE), epsilon=0.08),
    "della, epsilon of a model, not normalised": _case(
        "della", _models(**WIDE), normalize=False, lambda_=0.95, int8_mask=True
    ),
    "della, not rescaled": _case("della", _models(**DENSE), epsilon=0.05, rescale=False),
    "della_linear": _case("della_linear", _models(**DENSE), epsilon=0.09),
    "della_linear, all else": _case("della_linear", _models(**WIDE), lambda_=1.2, rescale=False, int8_mask=True),
    "della_linear, normalised": _case("della_linear", _models(**DENSE), epsilon=0.02, normalize=True),
}
