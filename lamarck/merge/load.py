"""Read a merge file: its documents in the order in which they are made, and the models that they name.

A file is either a record (see MergeFile) that names YAML files of documents, or such a file itself.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml

from lamarck.config.section import check_section
from lamarck.errors import LamarckError, nearest
from lamarck.merge.document import Compat, Document, MergeFile, Note
from lamarck.merge.reading import read_document
from lamarck.strict_yaml import UniqueKeys

VARIABLE = re.compile(r"\$\{([^{}]*)\}")


@dataclass(frozen=True)
class Merge:
    """The documents that make `result`, each after those that it needs, with names resolved.

    `directories`: model -> where it lies. `shapes`: model -> a config.json, for what is only planned.
    """

    documents: tuple[Document, ...]
    result: str
    directories: dict[str, Path]
    shapes: dict[str, Path]
    notes: tuple[Note, ...]
    seed: int
    available: tuple[str, ...] = ()  # names of the models in the directory that is looked in first


def load_merge(
    file: Path, variables: Mapping[str, Any] | None = None, models: Path | None = None, seed: int | None = None
) -> Merge:
    """Read `file`. `variables` win over the file's own. Models are looked for in `models` first, as owner/name or
    owner--name, then as the file's `models` says, then as a path.

    Errors: LamarckError with one sentence for what cannot be read, an unknown name, or documents that need each other.
    """
    first = list(_yaml_documents(file))
    is_record = len(first) == 1 and isinstance(first[0], dict) and "documents" in first[0]
    settings = check_section(first[0], MergeFile, str(file)) if is_record else MergeFile(documents=(file.name,))
    values = {**settings.variables, **(variables or {})}
    documents: dict[str, Document] = {}
    notes: list[Note] = []
    for listed in settings.documents:
        path = file.parent / listed
        found, remarks = _documents(path, settings, values)
        for document in found:
            if document.name in documents:
                raise LamarckError(f"{path}: two documents are named {document.name!r}: rename one")
            documents[document.name] = document
        notes += remarks
    if not documents:
        raise LamarckError(f"{file}: there is no document in it: say merge_method and models")
    _check_names(file, settings, documents)
    result = settings.result or list(documents)[-1]
    if result not in documents:
        raise LamarckError(f"{file}: result: there is no document {result!r}: {nearest(result, documents)}")
    resolved = {name: _resolved(document, settings.aliases, documents, notes) for name, document in documents.items()}
    ordered = _in_order(file, resolved, result)
    needed = {document.name for document in ordered}
    notes = [note for note in notes if note.document in needed or note.document not in documents]
    notes += [
        Note(document=name, kind="ignored", place="document", text=f"{result} does not need it")
        for name in documents
        if name not in needed
    ]
    return Merge(
        documents=ordered,
        result=result,
        directories=_directories(file, settings, ordered, models),
        shapes=_shapes(file, settings, ordered),
        notes=tuple(notes),
        seed=settings.seed if seed is None else seed,
        available=_available(models) if models else (),
    )


def _yaml_documents(path: Path) -> Iterator[Any]:
    """With anchors and aliases, as mergekit reads them. Errors: LamarckError where it is not there, or not valid."""
    try:
        yield from list(yaml.load_all(path.read_text(encoding="utf-8"), UniqueKeys))
    except FileNotFoundError as error:
        raise LamarckError(f"{path} does not exist") from error
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise LamarckError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error


def _documents(path: Path, settings: MergeFile, variables: Mapping[str, Any]) -> tuple[list[Document], list[Note]]:
    """The documents of one YAML file; what is empty, as behind a last `---`, is left out with a note."""
    parts = list(_yaml_documents(path))
    count = sum(part is not None for part in parts)
    documents, notes = [], []
    for number, part in enumerate(parts, start=1):
        if part is None:
            notes.append(Note(document=path.name, kind="ignored", place=f"document {number}", text="it is empty"))
            continue
        raw = substitute(part, variables, str(path))
        named = isinstance(raw, dict) and isinstance(raw.get("name"), str)
        if not named and count > 1:
            raise LamarckError(f"{path}: document {number} has no name: of several, each needs one")
        name = raw["name"] if named else path.stem
        document, remarks = read_document(raw, str(path), name, _compat(raw, settings, name, path))
        documents.append(document)
        notes += remarks
    return documents, notes


def _compat(raw: Any, settings: MergeFile, name: str, path: Path) -> Compat:
    named = settings.compat if isinstance(settings.compat, str) else settings.compat.get(name, "strict")
    chosen: Compat = raw.get("compat", named) if isinstance(raw, dict) else named
    if chosen not in get_args(Compat):
        raise LamarckError(f"{path}: {name}: compat: there is no {chosen!r}: {nearest(str(chosen), get_args(Compat))}")
    return chosen


def substitute(value: Any, variables: Mapping[str, Any], source: str) -> Any:
    """`value` with every ${name} in its texts replaced; a text that is nothing else becomes the variable's own value.

    Errors: LamarckError with the nearest name for an unknown variable.
    """
    if isinstance(value, dict):
        return {substitute(k, variables, source): substitute(v, variables, source) for k, v in value.items()}
    if isinstance(value, list):
        return [substitute(part, variables, source) for part in value]
    if not isinstance(value, str):
        return value
    for name in VARIABLE.findall(value):
        if name not in variables:
            raise LamarckError(f"{source}: there is no variable {name!r}: {nearest(name, variables)}")
    whole = VARIABLE.fullmatch(value)
    return variables[whole[1]] if whole else VARIABLE.sub(lambda match: str(variables[match[1]]), value)


def _check_names(file: Path, settings: MergeFile, documents: Mapping[str, Document]) -> None:
    """Whatever the record says of a document or a model is said of one that there is."""
    if isinstance(settings.compat, dict):
        for name in settings.compat:
            if name not in documents:
                raise LamarckError(f"{file}: compat: there is no document {name!r}: {nearest(name, documents)}")
    named = {reference for document in documents.values() for reference in document.references}
    for key in ("aliases", "models"):
        for name in getattr(settings, key):
            if name not in named and name not in settings.aliases.values():
                raise LamarckError(f"{file}: {key}: no document names {name!r}: {nearest(name, named)}")


def _resolved(
    document: Document, aliases: Mapping[str, str], documents: Mapping[str, Document], notes: list[Note]
) -> Document:
    """The document with aliases replaced, everywhere that it names a model."""
    for name in document.references:
        if name in aliases:
            what = "the document" if aliases[name] in documents else "the model"
            notes.append(
                Note(document=document.name, kind="read as", place=name, text=f"{what} {aliases[name]} (aliases)")
            )

    def renamed(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {k: renamed(v, k) for k, v in value.items()}
        if isinstance(value, tuple | list):
            return [renamed(part) for part in value]
        if key in ("model", "base_model", "tokenizer_source") and isinstance(value, str):
            return aliases.get(value, value)
        return value

    return Document.model_validate(renamed(document.model_dump(exclude_none=True)))


def _in_order(file: Path, documents: Mapping[str, Document], result: str) -> tuple[Document, ...]:
    """What `result` needs, each document after those that it names. Errors: LamarckError where that is a circle."""
    ordered: dict[str, Document] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            circle = " -> ".join([*path[path.index(name) :], name])
            raise LamarckError(f"{file}: the documents need each other: {circle}: give one of them another model")
        if name in ordered:
            return
        for reference in documents[name].references:
            if reference in documents:
                visit(reference, (*path, name))
        ordered[name] = documents[name]

    visit(result, ())
    return tuple(ordered.values())


def _directories(
    file: Path, settings: MergeFile, documents: tuple[Document, ...], models: Path | None
) -> dict[str, Path]:
    found: dict[str, Path] = {}
    made = {document.name for document in documents}
    for name in dict.fromkeys(reference for document in documents for reference in document.references):
        if name in made:
            continue
        places = [models / name, models / name.replace("/", "--")] if models else []
        places += [file.parent / settings.models[name]] if name in settings.models else [Path(name), file.parent / name]
        present = [place for place in places if place.is_dir()]
        if present:
            found[name] = present[0]
    return found


def _available(models: Path) -> tuple[str, ...]:
    """name, or owner/name, of every model directory."""
    found = [*models.glob("*/config.json"), *models.glob("*/*/config.json")]
    return tuple(sorted(path.parent.relative_to(models).as_posix() for path in found))


def _shapes(file: Path, settings: MergeFile, documents: tuple[Document, ...]) -> dict[str, Path]:
    names = {reference for document in documents for reference in document.references}
    shapes = {name: settings.shapes.get(name, settings.shapes.get("*")) for name in names}
    return {name: file.parent / shape for name, shape in shapes.items() if shape}
