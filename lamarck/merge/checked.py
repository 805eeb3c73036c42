"""Check a merge file whole, on headers alone."""

from dataclasses import dataclass, field
from pathlib import Path

from lamarck.errors import LamarckError, nearest
from lamarck.files import digest_value
from lamarck.merge.document import Note
from lamarck.merge.layout import Layout, lay_out
from lamarck.merge.load import Merge
from lamarck.merge.weights import ModelView, open_model, planned_model, read_vocabulary


@dataclass(frozen=True)
class Checked:
    """A merge of which everything is known that can be known before weights are read.

    `models`: what is there and what the documents make, by name. `external`: the names of what is there before.
    """

    layouts: tuple[Layout, ...]
    models: dict[str, ModelView]
    external: frozenset[str]
    result: str
    seed: int
    notes: tuple[Note, ...] = field(default=())

    def digest(self) -> str:
        """Of the documents as they are read, and the seed."""
        documents = [layout.document.model_dump(mode="json") for layout in self.layouts]
        return digest_value([documents, self.result, self.seed])


def check_merge(merge: Merge) -> Checked:
    """Open every model's headers and lay out every document. Errors: LamarckError, see layout.py and weights.py."""
    made = {document.name for document in merge.documents}
    models: dict[str, ModelView] = {}
    notes = list(merge.notes)
    weighed = {name for document in merge.documents for name in document.models}
    shapes: dict[Path, ModelView] = {}
    for name in dict.fromkeys(name for document in merge.documents for name in document.references if name not in made):
        models[name] = _open(merge, name, name in weighed, made, shapes)
        if models[name].directory is None:
            text = "it is not here: its shape is taken from a config.json"
            notes.append(Note(document=merge.result, kind="assumed", place=name, text=text))
    layouts = []
    for document in merge.documents:
        layout = lay_out(document, models)
        layouts.append(layout)
        models[document.name] = layout.view
        unknown = layout.vocabulary.unknown()
        if unknown:
            text = f"no model has a row for {len(unknown)} tokens, such as {unknown[0]!r}: theirs is zero"
            notes.append(Note(document=document.name, kind="warning", place="tokenizer_source", text=text))
    return Checked(tuple(layouts), models, frozenset(models) - made, merge.result, merge.seed, tuple(notes))


def _open(merge: Merge, name: str, weighed: bool, made: set[str], shapes: dict[Path, ModelView]) -> ModelView:
    if name in merge.directories:
        directory = merge.directories[name]
        if weighed:
            return open_model(name, directory)
        return ModelView(name, {}, {}, directory, read_vocabulary(directory))
    if name in merge.shapes:
        path = merge.shapes[name]
        if path not in shapes:
            shapes[path] = planned_model(name, path)
        shape = shapes[path]
        return ModelView(name, shape.config, shape.tensors if weighed else {}, None)
    known = made | set(merge.directories) | set(merge.shapes) | set(merge.available)
    raise LamarckError(
        f"there is no model and no document {name!r}: {nearest(name, known)}; a model that is not here is fetched with "
        f"`hf download {name} --local-dir DIR`, and DIR named under models"
    )
