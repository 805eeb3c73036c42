"""A founder's primer, typed: a short supervised warm-up for models too small to follow the skills' words. Light."""

from pathlib import Path

from pydantic import Field, model_validator

from lamarck.config import Recipe
from lamarck.config.section import Section, load_section
from lamarck.config.strategy import Share


class Primer(Section):
    """Problems of the skills' own generators, to be solved and to be written, and how the founder is trained on them.

    It becomes part of g0, the same for both arms: its adapter is merged into the weights.
    """

    description: str = Field(description="One line: for which founder, and what for.")
    skills: dict[str, Share] = Field(min_length=1, description="Skill -> its share, and the difficulties to draw.")
    size: int = Field(ge=1, description="Problems to be solved.")
    writing_share: float = Field(0.5, ge=0, le=1, description="Share of them that are also learned as written.")
    recipe: Recipe = Field(description="How it is trained, as a generation is; `inherit` has nothing to inherit.")
    device_seconds: float = Field(gt=0, description="Its compute ceiling.")

    @model_validator(mode="after")
    def _can_be_merged(self) -> "Primer":
        if self.recipe.quantize != "none":
            raise ValueError("a primer is merged into weights that are whole: set recipe.quantize to none")
        whole = sum(part.share for part in self.skills.values())
        if abs(whole - 1) > 1e-6:
            raise ValueError(f"the shares of the skills add up to {whole:g}, not 1")
        return self


def load_primer(path: Path) -> Primer:
    """Errors: LamarckError with one sentence that names the key."""
    return load_section(path, Primer)
