"""Where g0 comes from: one section for each kind of founder. Light: typed settings only."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from lamarck import strict_yaml
from lamarck.config.section import Section
from lamarck.config.tiny import TinyFounder
from lamarck.errors import LamarckError


class FoundModel(Section):
    """What every founder that is not pretrained here has."""

    primer: str | None = Field(
        None, description="Path of a primer: a warm-up, with its own approval, that becomes part of g0."
    )


class LocalFounder(FoundModel):
    kind: Literal["local"]
    path: str = Field(description="A model directory with safetensors weights and a tokenizer.")


class GgufFounder(FoundModel):
    """Licence and origin are recorded; the file's own words about them go before these."""

    kind: Literal["gguf"]
    path: str = Field(description="A GGUF file, of any type that transformers unpacks.")
    license: str | None = Field(None, description="Its licence, such as apache-2.0, where the file names none.")
    origin: str | None = Field(None, description="Where the file is from, where it does not say.")


class HubFounder(FoundModel):
    kind: Literal["hub"]
    repo: str = Field(description="owner/name on the Hugging Face hub.")
    revision: str = Field(pattern=r"^[0-9a-f]{40}$", description="The full commit hash: a branch name can move.")


class EvolvedFounder(FoundModel):
    kind: Literal["evolved"]
    evolution: str = Field(pattern=r"^[\w-]+$", description="Name of an evolution that has run in this checkout.")
    candidate: str = Field(pattern=r"^[\w-]+$", description="One that it trained to the end, such as g2-c03.")

    @property
    def path(self) -> str:
        """Its model directory."""
        return f"results/evolve/{self.evolution}/candidates/{self.candidate}/full"


class MergeFounder(FoundModel):
    kind: Literal["merge"]
    file: str = Field(description="A merge file that says where each of its models lies: docs/merge.md.")


Founder = Annotated[
    TinyFounder | LocalFounder | GgufFounder | HubFounder | EvolvedFounder | MergeFounder, Field(discriminator="kind")
]


def with_recipe(founder: Mapping[str, Any], source: str) -> dict[str, Any]:
    """A tiny founder's keys with those of the file that its `recipe` names; its own go before these.

    Errors: LamarckError where the recipe is no file of a founder's keys.
    """
    file = founder["recipe"]
    if not isinstance(file, str):
        raise LamarckError(f"{source}: founder.recipe: name a file of a tiny founder's keys")
    recipe = strict_yaml.load(Path(file))
    keys = set(TinyFounder.model_fields) - {"kind"}
    if not isinstance(recipe, dict) or set(recipe) - keys:
        raise LamarckError(f"{file}: a tiny founder's recipe has keys of these alone: {', '.join(sorted(keys))}")
    return {**recipe, **{key: value for key, value in founder.items() if key != "recipe"}}
