"""The words around what a skill asks: templates for real models, in config/prompts/. Light.

A skill says what a problem is and in which form it must come; how a certain kind of model is best spoken to stands
here. The engine puts the result into the model's own chat form.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from string import Formatter

from pydantic import Field, field_validator

from lamarck.config.section import Section, load_section


class Prompts(Section):
    """Templates: `{request}` is what the skill asks, `{topic}` one of `topics`, `{examples}` texts that would do,
    `{problem}` what is to be answered."""

    description: str = Field("The skill's own words alone.", description="One line: for which models.")
    write: str = Field("{request}", description="Asks for a problem with its answer.")
    solve: str = Field("{problem}", description="Asks for a further answer to a problem.")
    examples: str = Field(
        "Examples of what is asked for:\n\n{examples}\n\nWrite another one.\n\n{request}",
        description="Puts worked examples before what the skill asks.",
    )
    topics: tuple[str, ...] = Field((), description="Drawn one a request, so that like requests get unlike problems.")

    @field_validator("write")
    @classmethod
    def _asks(cls, template: str) -> str:
        return _checked(template, "request", {"request", "topic"})

    @field_validator("examples")
    @classmethod
    def _shows(cls, template: str) -> str:
        return _checked(_checked(template, "examples", {"examples", "request"}), "request", {"examples", "request"})

    @field_validator("solve")
    @classmethod
    def _poses(cls, template: str) -> str:
        return _checked(template, "problem", {"problem"})

    def to_write(self, request: str, rng: random.Random) -> str:
        return self.write.format(request=request, topic=rng.choice(self.topics) if self.topics else "")

    def with_examples(self, request: str, examples: Sequence[str]) -> str:
        """What the skill asks, behind texts that would do; the request alone where there are none."""
        return self.examples.format(request=request, examples="\n\n".join(examples)) if examples else request

    def to_solve(self, problem: str) -> str:
        return self.solve.format(problem=problem)


def load_prompts(path: Path) -> Prompts:
    """Errors: LamarckError with one sentence that names the key."""
    return load_section(path, Prompts)


def _checked(template: str, needed: str, known: set[str]) -> str:
    """Errors: ValueError for a template without its placeholder, or with one that nothing fills."""
    found = {name for _, name, _, _ in Formatter().parse(template) if name is not None}
    if needed not in found or found - known:
        raise ValueError(f"a template needs {{{needed}}} and may have {', '.join(sorted(known))}, not {sorted(found)}")
    return template
