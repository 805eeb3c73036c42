"""How the text of a document is understood. Light.

Three ways. `strict`: what is unknown is an error. `mergekit`: what that tool does once names are resolved; it drops
unknown keys and parameters in silence, here each is a note. `as-written`: what the author of such a file meant: a
parameter beside `sources:` or `model:` belongs to that slice or model, a gradient of the document runs over all layers
of the output instead of over each slice anew, and the weight of a base among the models counts when weights are
normalised.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from lamarck.config.section import check_section
from lamarck.errors import LamarckError, nearest
from lamarck.merge.document import Compat, Document, Note
from lamarck.merge.methods import METHODS, get_method
from lamarck.merge.methods.base import MergeMethod

DOCUMENT_KEYS = (
    "name", "merge_method", "base_model", "tokenizer_source", "parameters", "models", "slices", "modules", "dtype",
    "out_dtype", "compat",
)  # fmt: skip
MODULE_KEYS = ("models", "slices", "parameters")
SLICE_KEYS = ("sources", "parameters")
SOURCE_KEYS = ("model", "layer_range", "parameters")
MODEL_KEYS = ("model", "parameters")
MODULE = "default"  # the name of the only module of a language model
# What mergekit reads and this does not, with what to say instead.
UNSUPPORTED = {
    DOCUMENT_KEYS: {
        "tokenizer": "say tokenizer_source",
        "chat_template": "leave it out: the tokenizer's own stays",
    },
    SLICE_KEYS: {"base_model": "give slices of another base a document of their own"},
}


@dataclass
class Reading:
    """A document as its text stands, and what came of reading it."""

    source: str
    compat: Compat
    name: str
    method: MergeMethod
    notes: list[Note] = field(default_factory=list)

    def note(self, kind: Literal["ignored", "assumed", "read as", "warning"], place: str, text: str) -> None:
        self.notes.append(Note(document=self.name, kind=kind, place=place, text=text))

    def refuse(self, text: str) -> LamarckError:
        return LamarckError(f"{self.source}: {self.name}: {text}")


def read_document(raw: object, source: str, name: str, compat: Compat) -> tuple[Document, list[Note]]:
    """A document of a YAML file, read in one of the three ways, with a note for each thing ignored or assumed.

    Errors: LamarckError with one sentence that names the place, and for an unknown name the nearest one.
    """
    if not isinstance(raw, dict):
        raise LamarckError(f"{source}: {name}: a document is a mapping that says merge_method and models or slices")
    if "merge_method" not in raw:
        raise LamarckError(f"{source}: {name}: merge_method is missing: choose one of {', '.join(METHODS)}")
    try:
        method = get_method(str(raw["merge_method"]))
    except LamarckError as error:
        raise LamarckError(f"{source}: {name}: {error}") from error
    reading = Reading(source, compat, name, method)
    top = _known(reading, raw, "", DOCUMENT_KEYS)
    module: dict[str, Any] = {key: top.pop(key) for key in ("models", "slices") if key in top}
    place = ""
    if "modules" in top:
        modules = top.pop("modules")
        if module or not isinstance(modules, dict) or set(modules) != {MODULE}:
            raise reading.refuse(f"modules: a language model has one, {MODULE!r}, instead of models and slices")
        module, place = _known(reading, modules[MODULE], f"modules.{MODULE}.", MODULE_KEYS), f"modules.{MODULE}."
    _read_module(reading, module, place)
    _read_parameters(reading, top, "", owner=None)
    document = check_section({**top, "name": name, "module": module, "compat": compat}, Document, f"{source}: {name}")
    if document.base_model is None and method.base == "required":
        raise reading.refuse(f"base_model is missing: {method.name} needs one")
    _remark(reading, document)
    return document, reading.notes


def _read_module(reading: Reading, module: dict[str, Any], place: str) -> None:
    """Check and complete the models and slices of a module, in place."""
    _read_parameters(reading, module, place, owner=None)
    for kind in ("models", "slices"):
        if kind in module and not isinstance(module[kind], list):
            raise reading.refuse(f"{place}{kind}: it is a list")
    if "models" in module:
        module["models"] = [
            _read_entry(reading, model, f"{place}models.{i}.", MODEL_KEYS, module)
            for i, model in enumerate(module["models"])
        ]
    if "slices" in module:
        parts = []
        for i, raw in enumerate(module["slices"]):
            here = f"{place}slices.{i}."
            part = _known(reading, raw, here, SLICE_KEYS)
            _read_parameters(reading, part, here, owner=None)
            if not isinstance(part.get("sources"), list):
                raise reading.refuse(f"{here}sources: it is a list of models with layer_range")
            part["sources"] = [
                _read_entry(reading, source, f"{here}sources.{j}.", SOURCE_KEYS, part)
                for j, source in enumerate(part["sources"])
            ]
            parts.append(part)
        module["slices"] = parts


def _read_entry(
    reading: Reading, raw: object, place: str, known: tuple[str, ...], owner: dict[str, Any]
) -> dict[str, Any]:
    entry = _known(reading, raw, place, known)
    _read_parameters(reading, entry, place, owner)
    return entry


def _known(reading: Reading, raw: object, place: str, known: tuple[str, ...]) -> dict[str, Any]:
    """The keys of a mapping that are known; the others are refused, ignored or read as parameters."""
    if not isinstance(raw, dict):
        raise reading.refuse(f"{place.rstrip('.') or 'the document'}: it is a mapping with {', '.join(known)}")
    entry = {key: value for key, value in raw.items() if key in known}
    for key in raw:
        if key in known:
            continue
        is_parameter = key in reading.method.parameters
        if instead := UNSUPPORTED.get(known, {}).get(key):
            raise reading.refuse(f"{place}{key}: mergekit reads it, and it is not supported here: {instead}")
        if reading.compat == "mergekit":
            reading.note("ignored", f"{place}{key}", f"mergekit drops the unknown key {key!r} in silence")
        elif reading.compat == "as-written" and is_parameter:
            entry["parameters"] = {**(entry.get("parameters") or {}), key: raw[key]}
            reading.note("read as", f"{place}{key}", f"a parameter: {place}parameters.{key}")
        elif is_parameter:
            raise reading.refuse(
                f"unknown key '{place}{key}': parameters of {reading.method.name} stand under parameters"
            )
        else:
            raise reading.refuse(f"unknown key '{place}{key}': {nearest(str(key), known)}")
    return entry


def _read_parameters(reading: Reading, entry: dict[str, Any], place: str, owner: dict[str, Any] | None) -> None:
    """Check the names of `entry`'s parameters; `owner` is what a model or source is part of, None elsewhere."""
    settings = entry.get("parameters") or {}
    if not isinstance(settings, dict):
        raise reading.refuse(f"{place}parameters: it is a mapping of names to values")
    kept: dict[str, Any] = {}
    for name, value in settings.items():
        here = f"{place}parameters.{name}"
        declared = reading.method.parameters.get(name)
        if declared is None:
            _unknown_parameter(reading, str(name), here)
        elif owner is None or declared.per_model:
            value = [value] if isinstance(value, dict) else value  # one value with its filter
            kept[name] = _flags(value) if declared.is_flag else value
            if name == "int8_mask":
                reading.note("ignored", here, "it says how mergekit stores masks, and changes no result")
        elif reading.compat == "mergekit":
            reading.note("ignored", here, f"mergekit looks for {name} of the whole tensor, not of one model")
        elif reading.compat == "as-written" and name not in (owner.get("parameters") or {}):
            owner["parameters"] = {**(owner.get("parameters") or {}), name: value}
            reading.note("read as", here, f"a parameter of what {place.rstrip('.')} is part of")
        else:
            raise reading.refuse(f"{here}: {name} holds for a whole tensor, not for one model: give it one level up")
    if settings:
        entry["parameters"] = kept
    else:
        entry.pop("parameters", None)


def _flags(value: Any) -> Any:
    """0 and 1 as what they stand for, wherever they do: a gradient of them has steps then."""
    if isinstance(value, list):
        return [_flags(each) for each in value]
    if isinstance(value, dict) and "value" in value:
        return {**value, "value": _flags(value["value"])}
    return bool(value) if isinstance(value, int | float) and value in (0, 1) else value


def _unknown_parameter(reading: Reading, name: str, place: str) -> None:
    method = reading.method
    elsewhere = any(name in other.parameters for other in METHODS.values())
    if reading.compat == "mergekit" or (reading.compat == "as-written" and elsewhere):
        reading.note("ignored", place, f"{method.name} has no parameter {name!r}")
        return
    if elsewhere:
        raise reading.refuse(f"{place}: {method.name} has no such parameter: {', '.join(method.parameters)}")
    raise reading.refuse(f"unknown parameter '{place}': {nearest(name, method.parameters)}")


def _remark(reading: Reading, document: Document) -> None:
    """Say what follows from the document without standing in it."""
    if reading.compat == "strict":
        return
    _remark_models(reading, document)
    settings, method = document.parameters, reading.method
    slices = document.module.slices or ()
    gradients = [name for name, value in settings.items() if isinstance(value, tuple)]
    for name in gradients:
        if slices and all(name in part.parameters for part in slices):
            reading.note("ignored", f"parameters.{name}", "every slice gives its own")
        elif reading.compat == "mergekit" and slices:
            text = f"it runs over the layers of each of the {len(slices)} slices anew, not once over the model"
            reading.note("assumed", f"parameters.{name}", f"{text}; tensors outside the layers take its first value")
        elif reading.compat == "as-written":
            reading.note(
                "assumed",
                f"parameters.{name}",
                "it runs once over all layers; tensors before them take its first value, tensors after them its last",
            )
    levels = [document.parameters, *(model.parameters for model in document.module.models or ())]
    densities = [settings.get("density") for settings in levels]
    if settings.get("rescale") is False and any(density not in (None, 1) for density in densities):
        reading.note(
            "warning", "parameters.rescale", "what is dropped is not made up for: differences to the base shrink"
        )
    others = [name for name in document.models if name != document.base_model]
    if method.name == "ties" and len(others) == 1 and settings.get("density", 1.0) == 1:
        reading.note("warning", "models", f"ties of one model at density 1 is {others[0]} itself, up to rounding")


def _remark_models(reading: Reading, document: Document) -> None:
    """What is assumed of models without parameters of their own, and of a base among the models."""
    method = reading.method
    own = [name for name, declared in method.parameters.items() if declared.per_model]
    named = {name for model in document.module.models or () for name in model.parameters}
    for i, model in enumerate(document.module.models or ()):
        place = f"models.{i}"
        if model.model == document.base_model and method.base != "unused":
            counts = "weight" in model.parameters and "normalize" in method.parameters
            if reading.compat == "as-written" and counts:
                text = "the base does not differ from itself, but its weight counts where weights are normalised"
                reading.note("read as", place, text)
            else:
                unused = ", ".join(name for name in own if name in model.parameters) or "parameters"
                reading.note("ignored", place, f"{model.model} is the base: it does not differ from itself ({unused})")
            continue
        missing = [name for name in own if name in named and name not in model.parameters]
        if missing:
            given = [f"{name} {_value(document, method, name)}" for name in missing]
            reading.note("assumed", place, f"{model.model} gives no {' nor '.join(missing)}: {', '.join(given)}")


def _value(document: Document, method: MergeMethod, name: str) -> str:
    for settings in (document.module.parameters, document.parameters):
        if name in settings:
            return f"{settings[name]} as of the document"
    return f"{method.parameters[name].default} by default"
