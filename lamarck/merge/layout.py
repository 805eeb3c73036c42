"""From a document and the headers of its models to every tensor of the output: what it is made of, with which values.

Everything that can be wrong with a merge is found here, before a byte of weights is read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lamarck.errors import LamarckError, nearest
from lamarck.merge.document import Document, Slice, SliceSource
from lamarck.merge.methods import get_method
from lamarck.merge.methods.base import MergeMethod, Parameter, Value
from lamarck.merge.parameters import Level, lookup, values_of
from lamarck.merge.tokens import Vocabulary, adapt_config, plan_vocabulary
from lamarck.merge.weights import Header, ModelView

LAYER = re.compile(r"^(.*?\b(?:layers|h|blocks))\.(\d+)\.(.+)$")
BEFORE = ("embed", "wte", "wpe")  # in the names of tensors that lie before the layers
ROWS_ARE_TOKENS = ("embed_tokens.weight", "wte.weight", "lm_head.weight")


@dataclass(frozen=True)
class TensorPiece:
    """A tensor of a model, as an input."""

    model: str
    tensor: str


@dataclass(frozen=True)
class Output:
    """One tensor to be made. `header` is as it is written, `dtype` what it is merged in."""

    name: str
    header: Header
    dtype: str
    pieces: tuple[TensorPiece, ...]
    own: tuple[Mapping[str, float], ...]
    shared: Mapping[str, Value]
    base: TensorPiece | None
    base_weight: float
    rows_are_tokens: bool


@dataclass(frozen=True)
class Layout:
    """A document, ready to be made."""

    document: Document
    method: MergeMethod
    outputs: tuple[Output, ...]
    vocabulary: Vocabulary
    view: ModelView  # of what comes out

    @property
    def models(self) -> int:
        """Of which a tensor each is held at once."""
        return max(len(output.pieces) + (output.base is not None) for output in self.outputs)


def lay_out(document: Document, models: Mapping[str, ModelView]) -> Layout:
    """Errors: LamarckError where models do not fit together, layers do not exist, or a value is missing or absurd."""
    method = get_method(document.merge_method)
    views = {name: models[name] for name in document.references}
    merged = {name: views[name] for name in document.models}
    main = document.base_model or document.models[0]
    _check_alike(document, merged, main)
    vocabulary = plan_vocabulary(document.name, document.tokenizer_source, views, main)
    for setting_place, name, setting in _settings(document):
        _check_values(document, setting_place, name, setting, method.parameters[name])
    slices = _slices(document, merged, method)
    outputs = _Outputs(document, method, merged, vocabulary).make(slices)
    kind = outputs[0].header.dtype
    config = adapt_config(merged[main].config, vocabulary.size, kind)
    config = _with_layers(config, merged, slices)
    view = ModelView(document.name, config, {output.name: output.header for output in outputs}, None, vocabulary.tokens)
    return Layout(document, method, outputs, vocabulary, view)


def layers_of(view: ModelView) -> int:
    """Errors: LamarckError where the tensors' names show no layers, or two stacks of them."""
    found = [match for match in map(LAYER.match, view.tensors) if match]
    stacks = sorted({match[1] for match in found})
    if len(stacks) != 1:
        raise LamarckError(
            f"{view.name}: its tensors show {'no layers' if not stacks else ' and '.join(stacks)}: only models with "
            "one stack of layers can be merged"
        )
    return 1 + max(int(match[2]) for match in found)


def _check_alike(document: Document, models: Mapping[str, ModelView], main: str) -> None:
    first = models[main]
    for view in models.values():
        if not view.tensors:
            raise LamarckError(f"{document.name}: {view.name} has no weights")
        ours, theirs = (model.config.get("model_type") for model in (first, view))
        if ours != theirs:
            raise LamarckError(
                f"{document.name}: {main} is a {ours} and {view.name} a {theirs}: other architectures cannot be merged"
            )
        if first.tied != view.tied:
            tied, untied = (main, view.name) if first.tied else (view.name, main)
            raise LamarckError(
                f"{document.name}: {tied} ties its output head to the embedding and {untied} does not: untie it first"
            )


def _settings(document: Document) -> list[tuple[str, str, Any]]:
    """(place, name, setting) of every parameter that stands anywhere."""
    module = document.module
    places = [("parameters", document.parameters), ("modules.default.parameters", module.parameters)]
    places += [(f"models.{i}.parameters", model.parameters) for i, model in enumerate(module.models or ())]
    for i, part in enumerate(module.slices or ()):
        places.append((f"slices.{i}.parameters", part.parameters))
        places += [(f"slices.{i}.sources.{j}.parameters", each.parameters) for j, each in enumerate(part.sources)]
    return [(place, name, setting) for place, settings in places for name, setting in settings.items()]


def _check_values(document: Document, place: str, name: str, setting: Any, declared: Parameter) -> None:
    for value in values_of(setting):
        here = f"{document.name}: {place}.{name}: {value!r}"
        if declared.is_flag:
            if not isinstance(value, bool) and value not in (0, 1):
                raise LamarckError(f"{here} is neither true nor false")
        elif isinstance(value, bool | str) or value != value or abs(value) == float("inf"):
            raise LamarckError(f"{here} is not a number")
        elif declared.within is not None and not declared.within[0] <= value <= declared.within[1]:
            raise LamarckError(f"{here} lies outside {declared.within[0]:g}..{declared.within[1]:g}")


def _slices(document: Document, models: Mapping[str, ModelView], method: MergeMethod) -> tuple[Slice, ...]:
    """The output's slices; whole models are one slice. Each with the base among its sources, where there is one."""
    base = document.base_model if method.base != "unused" else None
    if document.module.models is not None:
        counts = {view.name: layers_of(view) for view in models.values()}
        if len(set(counts.values())) > 1:
            named = ", ".join(f"{name} {count}" for name, count in counts.items())
            raise LamarckError(f"{document.name}: the models have different numbers of layers: {named}: use slices")
        whole = (0, next(iter(counts.values())))
        sources = [
            SliceSource(model=m.model, layer_range=whole, parameters=m.parameters) for m in document.module.models
        ]
        if base and base not in [source.model for source in sources]:
            sources.insert(0, SliceSource(model=base, layer_range=whole))
        slices: tuple[Slice, ...] = (Slice(sources=tuple(sources)),)
    else:
        slices = document.module.slices or ()
    for i, part in enumerate(slices):
        place = f"{document.name}: slices.{i}" if document.module.slices else document.name
        _check_slice(place, part, models, method, base)
    return slices


def _check_slice(
    place: str, part: Slice, models: Mapping[str, ModelView], method: MergeMethod, base: str | None
) -> None:
    for source in part.sources:
        first, last = source.layer_range
        count = layers_of(models[source.model])
        if not 0 <= first < last <= count:
            raise LamarckError(
                f"{place}: layer_range [{first}, {last}] of {source.model}: it has layers 0 to {count - 1}, so give a "
                f"range within [0, {count}]"
            )
    lengths = {source.layer_range[1] - source.layer_range[0] for source in part.sources}
    if len(lengths) > 1:
        raise LamarckError(f"{place}: its sources have different numbers of layers: make their ranges equally long")
    if base and base not in [source.model for source in part.sources]:
        raise LamarckError(f"{place}: the base {base} is not among its sources: add it with the layers that are meant")
    others = len(part.sources) - (1 if base else 0)
    if others < method.fewest or (method.most is not None and others > method.most):
        most = "" if method.most is None else f" to {method.most}"
        wanted = f"{method.fewest}" if method.fewest == method.most else f"{method.fewest}{most or ' or more'}"
        beside, plural = " beside the base" if base else "", "" if wanted == "1" else "s"
        raise LamarckError(f"{place}: {method.name} takes {wanted} model{plural}{beside}, not {others}")


def _with_layers(config: dict[str, Any], models: Mapping[str, ModelView], slices: tuple[Slice, ...]) -> dict[str, Any]:
    """The number of layers, and what the configuration says of each (`layer_types`), follow the slices."""
    origin = [(part.sources[0].model, layer) for part in slices for layer in range(*part.sources[0].layer_range)]
    count_key = "n_layer" if "n_layer" in config else "num_hidden_layers"
    if isinstance(config.get("layer_types"), list):
        config = config | {"layer_types": [models[model].config["layer_types"][layer] for model, layer in origin]}
    return config | {count_key: len(origin)}


@dataclass(frozen=True)
class _Outputs:
    """Makes the list of outputs of one document."""

    document: Document
    method: MergeMethod
    models: Mapping[str, ModelView]
    vocabulary: Vocabulary

    def make(self, slices: tuple[Slice, ...]) -> tuple[Output, ...]:
        total = sum(part.sources[0].layer_range[1] - part.sources[0].layer_range[0] for part in slices)
        outputs = self._outside(slices[0], before=True)
        done = 0
        for part in slices:
            first, last = part.sources[0].layer_range
            for step in range(last - first):
                here = step / (last - first - 1) if last - first > 1 else 1.0
                whole = done / (total - 1) if total > 1 else 1.0
                outputs += self._layer(part, step, done, here, whole)
                done += 1
        return tuple(outputs + self._outside(slices[-1], before=False))

    @cached_property
    def _layers(self) -> dict[str, tuple[str, dict[int, dict[str, str]]]]:
        """Of each model: what its layers' names begin with, and layer -> the rest of a name -> the whole name."""
        found: dict[str, tuple[str, dict[int, dict[str, str]]]] = {}
        for name, view in self.models.items():
            for match in filter(None, map(LAYER.match, view.tensors)):
                _, layers = found.setdefault(name, (match[1], {}))
                layers.setdefault(int(match[2]), {})[match[3]] = match[0]
        return found

    def _layer(self, part: Slice, step: int, layer: int, here: float, whole: float) -> list[Output]:
        prefix, _ = self._layers[part.sources[0].model]
        names = [self._layers[source.model][1][source.layer_range[0] + step] for source in part.sources]
        self._check_equal_names(part, names)
        return [
            self._output(f"{prefix}.{layer}.{suffix}", part, [each[suffix] for each in names], here, whole)
            for suffix in names[0]
        ]

    def _outside(self, part: Slice, before: bool) -> list[Output]:
        """Tensors outside the layers: of the first slice's models before them, of the last slice's after them."""
        names = [
            {
                tensor: tensor
                for tensor in self.models[source.model].tensors
                if not LAYER.match(tensor) and any(word in tensor for word in BEFORE) == before
            }
            for source in part.sources
        ]
        self._check_equal_names(part, names)
        end = 1.0 if self.document.compat == "as-written" and not before else 0.0
        return [self._output(name, part, [name] * len(names), end, end) for name in names[0]]

    def _check_equal_names(self, part: Slice, names: list[dict[str, str]]) -> None:
        everything = {suffix: name for each in names for suffix, name in each.items()}
        for source, each in zip(part.sources, names, strict=True):
            for suffix in everything:
                if suffix not in each:
                    raise LamarckError(
                        f"{self.document.name}: {source.model} has no tensor for {everything[suffix]}, which the other "
                        f"models have: {nearest(everything[suffix], list(each.values()))}"
                    )

    def _output(self, name: str, part: Slice, tensors: list[str], here: float, whole: float) -> Output:
        headers = [
            self.models[source.model].tensors[tensor] for source, tensor in zip(part.sources, tensors, strict=True)
        ]
        rows_are_tokens = name.endswith(ROWS_ARE_TOKENS) and self.vocabulary.rows is not None
        shape = self._shape(name, part, headers, rows_are_tokens)
        dtype = self.document.dtype or _common([header.dtype for header in headers])
        written = self.document.out_dtype or dtype
        base, base_weight = None, 0.0
        pieces, own = [], []
        span = whole if self.document.compat == "as-written" else here
        shared_levels = [
            Level(part.parameters, here),
            Level(self.document.module.parameters, span),
            Level(self.document.parameters, span),
        ]
        for source, tensor in zip(part.sources, tensors, strict=True):
            levels = [Level(source.parameters, here), *shared_levels]
            if base is None and self.method.base != "unused" and source.model == self.document.base_model:
                base = TensorPiece(source.model, tensor)
                if self.document.compat == "as-written" and "weight" in source.parameters:
                    base_weight = float(lookup("weight", tensor, levels[:1]) or 0)
                continue
            pieces.append(TensorPiece(source.model, tensor))
            # A filter of a model's parameter is compared with the name of its own tensor: stacked layers have others.
            own.append(self._values(tensor, levels, per_model=True, of=f" for {source.model}"))
        shared = self._values(name, shared_levels, per_model=False, of="")
        self._check_together(name, own, shared)
        header = Header(shape, written)
        return Output(name, header, dtype, tuple(pieces), tuple(own), shared, base, base_weight, rows_are_tokens)

    def _shape(self, name: str, part: Slice, headers: list[Header], rows_are_tokens: bool) -> tuple[int, ...]:
        """Of the output. Errors: LamarckError where the sources' shapes differ, but for the number of tokens."""
        shapes = {header.shape[1:] if rows_are_tokens else header.shape for header in headers}
        if len(shapes) > 1:
            named = ", ".join(f"{s.model} {h.shape}" for s, h in zip(part.sources, headers, strict=True))
            advice = ": say tokenizer_source" if name.endswith(ROWS_ARE_TOKENS) else ": such models cannot be merged"
            raise LamarckError(f"{self.document.name}: the shapes of {name} differ: {named}{advice}")
        if not rows_are_tokens:
            return headers[0].shape
        self._check_rows(name, part, headers)
        return (self.vocabulary.size or headers[0].shape[0], *headers[0].shape[1:])

    def _check_rows(self, name: str, part: Slice, headers: list[Header]) -> None:
        assert self.vocabulary.rows is not None
        for source, header in zip(part.sources, headers, strict=True):
            if max(self.vocabulary.rows[source.model]) >= header.shape[0]:
                raise LamarckError(
                    f"{self.document.name}: the tokenizer of {source.model} has more tokens than {name} has rows "
                    f"({header.shape[0]})"
                )

    def _values(self, tensor: str, levels: list[Level], per_model: bool, of: str) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, declared in self.method.parameters.items():
            if declared.per_model != per_model:
                continue
            value = lookup(name, tensor, levels)
            value = declared.default if value is None else value
            if value is None:
                raise LamarckError(
                    f"{self.document.name}: {self.method.name} needs {name}{of}: none is given for {tensor}"
                )
            values[name] = bool(value) if declared.is_flag else float(value)
        return values

    def _check_together(self, tensor: str, own: list[dict[str, float]], shared: Mapping[str, Value]) -> None:
        """What holds between values of one tensor."""
        normalised = shared.get("normalize", "weight" in self.method.parameters) and not getattr(
            self.method, "consensus", False
        )
        weights = [values["weight"] for values in own if "weight" in values]
        if normalised and weights and abs(sum(weights)) < 1e-8:
            raise LamarckError(
                f"{self.document.name}: the weights for {tensor} sum to 0, and are to be divided by their sum: change "
                "one, or set normalize: false"
            )
        for values in own:
            density, epsilon = values.get("density", 1.0), values.get("epsilon", 0.0)
            if density < 1 and not 0 <= density - epsilon <= density + epsilon <= 1:
                raise LamarckError(
                    f"{self.document.name}: density {density:g} -/+ epsilon {epsilon:g} for {tensor} leaves 0..1: make "
                    "epsilon smaller"
                )


def _common(kinds: list[str]) -> str:
    """The dtype that holds all: equal ones as they are, different ones as float32."""
    return kinds[0] if len(set(kinds)) == 1 else "float32"
