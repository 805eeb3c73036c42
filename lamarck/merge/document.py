"""The records of a merge file: what a document says, typed. Light."""

from typing import Any, Literal

from pydantic import Field, model_validator

from lamarck.config.section import Section

Scalar = bool | float | str
Dtype = Literal["float32", "bfloat16", "float16"]
Compat = Literal["strict", "mergekit", "as-written"]


class Filtered(Section):
    """A value for the tensors whose name contains `filter`; for all of them without one, or with `*`."""

    filter: str | None = None
    value: Scalar | tuple[Scalar, ...]


# One value; a gradient over the layers; or values by filter, of which the first that matches holds.
Setting = Scalar | tuple[Scalar, ...] | tuple[Filtered, ...]
Settings = dict[str, Setting]


class SliceSource(Section):
    """Layers [first, last) of a model, in a slice."""

    model: str
    layer_range: tuple[int, int]
    parameters: Settings = Field({})


class Slice(Section):
    """Consecutive layers of the output, made of as many layers of each source."""

    sources: tuple[SliceSource, ...] = Field(min_length=1)
    parameters: Settings = Field({})


class WholeModel(Section):
    model: str
    parameters: Settings = Field({})


class Module(Section):
    """What the output is made of: whole models, or slices."""

    models: tuple[WholeModel, ...] | None = None
    slices: tuple[Slice, ...] | None = None
    parameters: Settings = Field({})

    @model_validator(mode="after")
    def _says_one_of_both(self) -> "Module":
        if bool(self.models) == bool(self.slices):
            raise ValueError("give either models or slices")
        return self


class Document(Section):
    """One merge: the output of a method on models, or on the outputs of other documents."""

    name: str
    merge_method: str
    base_model: str | None = None
    tokenizer_source: str | None = Field(None, description="base, union, or a model; the base's as it is if left out.")
    parameters: Settings = Field({})
    module: Module
    dtype: Dtype | None = Field(None, description="What the inputs are cast to; left out: as they are.")
    out_dtype: Dtype | None = Field(None, description="What is written; `dtype` if left out.")
    compat: Compat = "strict"

    @property
    def models(self) -> tuple[str, ...]:
        """Every model whose weights it needs, in order of mention; the base first."""
        named = [self.base_model] if self.base_model else []
        named += [source.model for part in self.module.slices or () for source in part.sources]
        named += [model.model for model in self.module.models or ()]
        return tuple(dict.fromkeys(named))

    @property
    def references(self) -> tuple[str, ...]:
        """The models, and that of the tokenizer."""
        source = self.tokenizer_source
        return tuple(dict.fromkeys([*self.models, *([source] if source and source not in ("base", "union") else [])]))


class Note(Section):
    """One line about how a document is read."""

    document: str
    kind: Literal["ignored", "assumed", "read as", "warning"]
    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}: {self.place}: {self.kind}: {self.text}"


class MergeFile(Section):
    """A merge with what its documents leave open: where they lie, how they are read, what their names mean."""

    description: str = ""
    documents: tuple[str, ...] = Field(min_length=1, description="YAML files, relative to this one.")
    compat: Compat | dict[str, Compat] = Field("strict", description="How documents are read: all, or by name.")
    result: str | None = Field(None, description="The document that makes the output; the last if left out.")
    aliases: dict[str, str] = Field({}, description="Name of a model in a document -> a document, or another model.")
    models: dict[str, str] = Field({}, description="Name of a model -> its directory, relative to this file.")
    shapes: dict[str, str] = Field(
        {}, description="Name of a model, or * -> a config.json to plan with where the model is not here."
    )
    variables: dict[str, Any] = Field({}, description="Name -> what stands for ${name} in the documents.")
    seed: int = Field(0, ge=0, description="Everything random descends from this number.")
